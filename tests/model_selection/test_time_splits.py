"""Splits by time, against what every pair of entries says."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from sklearn_mf import MatrixFactorization
from sklearn_mf.model_selection import (
    EntryLeaveLastOut,
    EntryTimeSeriesSplit,
    EntryTimeSplit,
    cross_val_entries,
    observed_entries,
)
from sklearn_mf.recommending import pivot_entries


def table(seed=0):
    """Entries with times, some of them equal; rows and columns that come late."""
    rng = np.random.default_rng(seed)
    X = sparse.csr_array(np.where(rng.random((30, 12)) < 0.3, rng.integers(1, 6, (30, 12)), 0.0))
    rows, columns, _ = observed_entries(X)
    times = rng.integers(0, 40, len(rows)) + rows + 2 * columns
    return X, times, rows, columns


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cold", ["drop", "keep"])
def test_nothing_is_trained_on_that_is_as_late_as_what_is_tested(cold, seed):
    X, times, rows, columns = table(seed)
    [(train, test)] = EntryTimeSplit(0.25, cold=cold).split(X, groups=times)
    assert times[train].max() < times[test].min()
    cut = np.sort(times)[len(times) - int(np.ceil(0.25 * len(times)))]
    assert set(train) == set(np.flatnonzero(times < cut))
    later = np.flatnonzero(times >= cut)
    if cold == "drop":
        known = np.isin(rows[later], rows[train]) & np.isin(columns[later], columns[train])
        later = later[known]
    np.testing.assert_array_equal(test, later)


def test_a_moment_may_be_given():
    X, times, *_ = table()
    dates = np.datetime64("2024-01-01") + times.astype("timedelta64[D]")
    for groups, cut in [(times, 30), (dates, np.datetime64("2024-01-31"))]:
        [(train, test)] = EntryTimeSplit(cut=cut, cold="keep").split(X, groups=groups)
        np.testing.assert_array_equal(train, np.flatnonzero(times < 30))
        np.testing.assert_array_equal(test, np.flatnonzero(times >= 30))
    with pytest.raises(ValueError, match="no training entries"):
        next(EntryTimeSplit(cut=times.min()).split(X, groups=times))
    with pytest.raises(ValueError, match="no training entries"):
        next(EntryTimeSplit().split(X, groups=np.zeros_like(times)))
    with pytest.raises(ValueError, match="cut='today' cannot be compared"):
        next(EntryTimeSplit(cut="today").split(X, groups=times))
    with pytest.raises(ValueError, match="cannot hide any entry"):
        next(EntryTimeSplit(cut=times.max() + 1).split(X, groups=times))


def test_times_may_be_a_labeled_matrix():
    X, times, rows, columns = table()
    frame = pd.DataFrame({"who": rows, "what": columns, "value": X.data, "day": times})
    data, days = (
        pivot_entries(frame, rows="who", columns="what", values=name) for name in ("value", "day")
    )
    [found] = EntryTimeSplit().split(data, groups=days)
    [expected] = EntryTimeSplit().split(X, groups=times)
    for part, same in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("n_last", [1, 3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cold", ["drop", "keep"])
def test_the_last_entries_of_each_row_are_left_out(cold, seed, n_last):
    X, times, rows, columns = table(seed)
    [(train, test)] = EntryLeaveLastOut(n_last, cold=cold).split(X, groups=times)
    hidden = []
    for i in range(30):
        order = sorted(np.flatnonzero(rows == i), key=lambda e: (times[e], columns[e]))
        n_hidden = min(n_last, len(order) - (cold == "drop"))
        hidden += order[len(order) - n_hidden :] if n_hidden > 0 else []
    assert set(train) == set(range(len(rows))) - set(hidden)
    if cold == "drop":
        hidden = [e for e in hidden if columns[e] in columns[train]]
    assert set(test) == set(hidden)


def test_a_series_may_keep_what_is_cold():
    X, times, *_ = table()
    dropped, kept = (
        list(EntryTimeSeriesSplit(3, cold=cold).split(X, groups=times)) for cold in ("drop", "keep")
    )
    for (train, test), (same_train, all_tests) in zip(dropped, kept, strict=True):
        np.testing.assert_array_equal(train, same_train)
        assert set(test) <= set(all_tests)
    assert sum(len(test) for _, test in kept) > sum(len(test) for _, test in dropped)


@pytest.mark.parametrize("splitter", [EntryTimeSplit(), EntryLeaveLastOut()])
def test_splitters_of_time_go_where_others_do(splitter):
    X = sparse.csr_array(np.random.default_rng(0).integers(1, 6, size=(20, 8)).astype(float))
    times = np.random.default_rng(1).permutation(160)
    assert splitter.get_n_splits() == 1
    model = MatrixFactorization(1, bias="both", unstored="missing", alpha_W=0.1, random_state=0)
    scores = cross_val_entries(model, X, cv=splitter, groups=times, metric="rmse")
    assert np.isfinite(scores["test_score"]).all()
    with pytest.raises(ValueError, match="groups must contain the time"):
        next(splitter.split(X))
    with pytest.raises(ValueError, match="splits observed entries"):
        GridSearchCV(model, {"n_components": [1]}, cv=splitter).fit(X, groups=times)
    with pytest.raises(ValueError, match="'cold' parameter"):
        next(type(splitter)(cold="freeze").split(X, groups=times))
