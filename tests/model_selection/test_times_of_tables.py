"""Times of entries that come from long tables, whatever their order, and from sparse matrices."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import KFold

from sklearn_mf import ImplicitFactorization
from sklearn_mf.model_selection import (
    EntryLeaveLastOut,
    EntryTimeSeriesSplit,
    EntryTimeSplit,
    RankingScorer,
    cross_val_entries,
)
from sklearn_mf.recommending import pivot_entries

PAGE = Path(__file__).parents[2] / "doc" / "guide" / "rankings.md"


@pytest.mark.skipif(not PAGE.exists(), reason="needs the documentation")
def test_the_recipe_for_times_trains_on_nothing_late():
    """Whatever the order of the table: an entry that was repeated later sums the future, too."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(20, size=600), rng.integers(10, size=600)
    frame = pd.DataFrame({"user": users, "item": items, "day": rng.integers(90, size=600)})
    recipe = re.search(r"`(pivot_entries\(frame, .*?\))`", PAGE.read_text(encoding="utf-8"))[1]
    times = eval(recipe)
    latest = frame.pivot_table(index="user", columns="item", values="day", aggfunc="max")
    np.testing.assert_array_equal(times.X.toarray(), latest.fillna(0))
    X = pivot_entries(frame, rows="user", columns="item")
    [(train, _)] = EntryTimeSplit(cut=80).split(X, groups=times)
    rows, columns = X.X.nonzero()
    early = set(zip(rows[train], columns[train], strict=True))
    late = frame[frame["day"] >= 80]
    assert early
    assert not early & set(zip(late["user"], late["item"], strict=True))


SPLITTERS = [
    EntryTimeSplit(cold="keep"),
    EntryTimeSeriesSplit(2, cold="keep"),
    EntryLeaveLastOut(cold="keep"),
]


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("kind", ["csr", "coo", "labels"])
def test_an_entry_without_a_time_is_refused(kind, splitter):
    """Sparse times are no times of zero where they are not stored; a zero that is stored is one."""
    X = np.arange(1.0, 13).reshape(3, 4)
    times = np.arange(12.0).reshape(3, 4)
    rows, columns = np.indices(X.shape).reshape(2, -1)
    stored = sparse.csr_array((times.ravel(), (rows, columns)), shape=X.shape)
    for part, same in zip(
        *(list(splitter.split(X, groups=groups)) for groups in (stored, times)), strict=True
    ):
        np.testing.assert_array_equal(part[0], same[0])
        np.testing.assert_array_equal(part[1], same[1])
    seen = np.arange(12) != 6
    entries = times.ravel()[seen], (rows[seen], columns[seen])
    lacking = sparse.coo_array(entries, shape=X.shape)
    if kind == "csr":
        lacking = lacking.tocsr()
    elif kind == "labels":
        frame = pd.DataFrame({"day": entries[0], "r": entries[1][0], "c": entries[1][1]})
        lacking = pivot_entries(frame, rows="r", columns="c", values="day", aggregate="max")
    with pytest.raises(ValueError, match="no time for the entry in row 1, column 2: every"):
        next(splitter.split(X, groups=lacking))


def test_a_splitter_of_entries_is_no_splitter_of_rows():
    """Early entries may all have numbers that rows have, too."""
    X = sparse.csr_array(np.ones((60, 12)))
    cv = EntryTimeSplit(cut=50)
    model = ImplicitFactorization(2, random_state=0)
    scorer = RankingScorer("ndcg@10")
    found = cross_val_entries(model, X, cv=cv, groups=np.arange(720), metric=scorer)
    assert found["test_score"].shape == (1,)
    with pytest.raises(ValueError, match="seems to split the rows"):
        cross_val_entries(model, X, cv=KFold(3), metric=scorer)
