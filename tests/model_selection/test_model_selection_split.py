"""Splits of entries: all that is observed, and something to learn every row and column from."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse
from sklearn.base import clone

from sklearn_mf.model_selection import (
    EntryKFold,
    EntryShuffleSplit,
    EntryTimeSeriesSplit,
    hide_entries,
    observed_entries,
    train_test_entry_split,
)

SPLITTERS = [
    EntryKFold(4, random_state=0),
    EntryKFold(3, stratify="rows", random_state=0),
    EntryKFold(3, stratify="columns", random_state=0),
    EntryShuffleSplit(3, test_size=0.4, random_state=0),
    EntryShuffleSplit(3, test_size=0.4, stratify="rows", random_state=0),
    EntryShuffleSplit(3, test_size=0.4, stratify="columns", random_state=0),
    EntryTimeSeriesSplit(3),
]
CONTAINERS = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array]


def sparsely_observed(seed=0):
    """Few entries: some rows and columns have one, or none."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(25, 12))
    X[rng.random(X.shape) < 0.85] = np.nan
    X[3] = X[:, 5] = np.nan
    return X


def splits(splitter, X, seed=0):
    times = np.random.default_rng(seed).permutation(np.count_nonzero(~np.isnan(X)))
    groups = times if isinstance(splitter, EntryTimeSeriesSplit) else None
    return list(splitter.split(X, groups=groups))


class TestEntries:
    def test_dense_and_sparse_have_the_same_numbers(self, holed):
        expected = observed_entries(holed)
        for container in CONTAINERS:
            for found, wanted in zip(
                observed_entries(store_observed(holed, container)), expected, strict=True
            ):
                np.testing.assert_array_equal(found, wanted)

    def test_what_is_stored_twice_or_out_of_order_is_one_entry(self):
        data = np.array([1.0, 2.0, 3.0, np.nan])
        X = sparse.csr_array((data, np.array([2, 0, 2, 1]), np.array([0, 3, 4])), shape=(2, 3))
        rows, columns, values = observed_entries(X)
        assert (rows.tolist(), columns.tolist(), values.tolist()) == ([0, 0], [0, 2], [2.0, 4.0])
        assert X.nnz == 4
        left = hide_entries(X, [1])
        assert left.nnz == 1
        assert left[0, 0] == 2.0

    def test_hidden_ones_alone_are_missing(self, holed):
        rows, columns, values = observed_entries(holed)
        before = holed.copy()
        hidden = np.array([0, 7, 30])
        X = hide_entries(holed, hidden)
        expected = holed.copy()
        expected[rows[hidden], columns[hidden]] = np.nan
        np.testing.assert_array_equal(X, expected)
        np.testing.assert_array_equal(holed, before)
        for container in CONTAINERS:
            X = hide_entries(store_observed(holed, container), hidden)
            kept = np.delete(np.arange(len(rows)), hidden)
            np.testing.assert_array_equal(observed_entries(X)[2], values[kept])
            np.testing.assert_array_equal(observed_entries(X)[1], columns[kept])

    def test_types(self, holed):
        assert hide_entries(holed.astype(np.float32), [1]).dtype == np.float32
        stored = store_observed(holed.astype(np.float32), sparse.csr_matrix)
        assert hide_entries(stored, [1]).dtype == np.float32
        assert isinstance(hide_entries(stored, [1]), sparse.csr_matrix)
        assert np.isnan(hide_entries(np.array([[1, 2], [3, 4]]), [1])[0, 1])

    @pytest.mark.parametrize("package", ["pandas", "polars"])
    def test_data_frames_keep_their_names(self, package, holed):
        frames = pytest.importorskip(package)
        names = [f"feature {i}" for i in range(holed.shape[1])]
        arguments = {"columns": names} if package == "pandas" else {"schema": names}
        X = hide_entries(frames.DataFrame(holed, **arguments), [0, 5])
        assert isinstance(X, frames.DataFrame)
        assert list(X.columns) == names
        np.testing.assert_array_equal(X.to_numpy(), hide_entries(holed, [0, 5]))

    @pytest.mark.parametrize(
        ("entries", "words"), [([0.5], "integers"), ([-1], "from 0"), ([4], "from 0 to 3")]
    )
    def test_entries_that_do_not_exist_are_refused(self, entries, words):
        with pytest.raises(ValueError, match=f"entries.*{words}"):
            hide_entries(np.ones((2, 2)), entries)


class TestSplits:
    @pytest.mark.parametrize("splitter", SPLITTERS[:-1])
    @pytest.mark.parametrize("seed", range(3))
    def test_every_row_and_column_keeps_an_entry(self, splitter, seed):
        X = sparsely_observed(seed)
        for train, test in splits(splitter, X, seed):
            assert len(test) > 0
            assert len(np.intersect1d(train, test)) == 0
            visible = np.zeros(X.shape, dtype=bool)
            rows, columns, _ = observed_entries(X)
            visible[rows[train], columns[train]] = True
            np.testing.assert_array_equal(visible.any(axis=0), ~np.isnan(X).all(axis=0))
            np.testing.assert_array_equal(visible.any(axis=1), ~np.isnan(X).all(axis=1))

    @pytest.mark.parametrize("splitter", SPLITTERS[:-1])
    def test_what_is_not_tested_is_trained_on(self, splitter):
        X = sparsely_observed()
        n_entries = np.count_nonzero(~np.isnan(X))
        for train, test in splits(splitter, X):
            np.testing.assert_array_equal(np.union1d(train, test), np.arange(n_entries))

    @pytest.mark.parametrize("splitter", SPLITTERS)
    def test_sparse_and_dense_are_split_alike(self, splitter, holed):
        stored = store_observed(holed)
        groups = np.random.default_rng(0).permutation(stored.nnz)
        for one, other in zip(
            splitter.split(holed, groups=groups), splitter.split(stored, groups=groups), strict=True
        ):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])

    @pytest.mark.parametrize("splitter", SPLITTERS)
    def test_an_int_gives_the_same_splits_and_get_n_splits_counts_them(self, splitter, holed):
        first, second = splits(splitter, holed), splits(clone(splitter), holed)
        assert len(first) == splitter.get_n_splits(holed)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one[1], other[1])

    def test_folds_of_complete_data_are_a_partition(self, complete):
        folds = [test for _, test in EntryKFold(7, random_state=1).split(complete)]
        np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(complete.size))
        assert np.ptp([len(test) for test in folds]) <= 1

    @pytest.mark.parametrize("stratify", ["rows", "columns"])
    def test_strata_have_equal_shares(self, stratify, complete):
        axis = 1 if stratify == "rows" else 0
        expected = complete.shape[axis] / 5
        for cv in (EntryKFold(5, stratify=stratify), EntryShuffleSplit(5, stratify=stratify)):
            for _, test in cv.split(complete):
                hidden = np.zeros(complete.shape, dtype=bool)
                hidden.flat[test] = True
                assert np.abs(hidden.sum(axis=axis) - expected).max() <= 1

    @pytest.mark.parametrize(("test_size", "expected"), [(0.25, 150), (7, 7)])
    def test_size_is_a_share_or_a_number(self, test_size, expected, complete):
        [(_, test)] = EntryShuffleSplit(1, test_size=test_size).split(complete)
        assert len(test) == expected

    def test_no_shuffle_is_like_the_one_before(self, complete):
        first, second = EntryShuffleSplit(2, random_state=0).split(complete)
        assert set(first[1]) != set(second[1])

    def test_time_goes_forward(self, complete):
        times = np.random.default_rng(0).permutation(complete.size)
        for n, (train, test) in enumerate(EntryTimeSeriesSplit(3).split(complete, groups=times)):
            part = complete.size // 4
            assert set(times[train]) == set(range((n + 1) * part))
            rows, columns, _ = observed_entries(complete)
            known = np.isin(rows, rows[train]) & np.isin(columns, columns[train])
            now = (times >= (n + 1) * part) & (times < (n + 2) * part)
            np.testing.assert_array_equal(test, np.flatnonzero(known & now))

    def test_nothing_to_predict_from_the_past_is_said(self):
        X = np.arange(12.0).reshape(3, 4)
        with pytest.raises(ValueError, match="no later entry has earlier entries"):
            list(EntryTimeSeriesSplit(2).split(X, groups=np.arange(12)))

    @pytest.mark.parametrize("seed", range(15))
    def test_nothing_to_train_on_is_later_than_what_is_tested(self, seed):
        X = sparsely_observed(seed)
        times = np.random.default_rng(seed).integers(40, size=(~np.isnan(X)).sum())
        for train, test in EntryTimeSeriesSplit(2).split(X, groups=times):
            assert times[train].max() <= times[test].min()

    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.csr_matrix])
    def test_times_may_be_a_matrix(self, container, holed):
        n_entries = np.count_nonzero(~np.isnan(holed))
        times = np.random.default_rng(0).permutation(n_entries) + 1
        matrix = np.zeros(holed.shape)
        matrix[~np.isnan(holed)] = times
        cv = EntryTimeSeriesSplit(2)
        for one, other in zip(
            cv.split(holed, groups=times), cv.split(holed, groups=container(matrix)), strict=True
        ):
            np.testing.assert_array_equal(one[1], other[1])

    @pytest.mark.parametrize(
        ("splitter", "words"),
        [
            (EntryKFold(1), "n_splits"),
            (EntryKFold(stratify="row"), "stratify"),
            (EntryShuffleSplit(test_size=1.5), "test_size"),
            (EntryShuffleSplit(test_size=1000), "test_size=1000"),
            (EntryTimeSeriesSplit(), "groups"),
            (EntryTimeSeriesSplit(0), "n_splits"),
        ],
    )
    def test_what_cannot_be_is_named(self, splitter, words, complete):
        with pytest.raises(ValueError, match=words):
            list(splitter.split(complete))

    def test_times_of_other_entries_are_refused(self, complete):
        for times in (np.arange(5), np.ones((2, 3))):
            with pytest.raises(ValueError, match="groups has shape"):
                list(EntryTimeSeriesSplit().split(complete, groups=times))

    def test_nothing_to_hide_is_refused(self):
        with pytest.raises(
            ValueError, match=r"cannot hide any entry of X \(n_samples=3, n_features=3"
        ):
            list(EntryKFold(3).split(np.where(np.eye(3) == 1, 1.0, np.nan)))


class TestTrainTestEntrySplit:
    @pytest.mark.parametrize("make", [np.asarray, store_observed])
    def test_the_two_are_what_was_there(self, make):
        X = punch_holes(low_rank())
        n_entries = len(observed_entries(X)[0])
        train, test = train_test_entry_split(make(X), test_size=0.3, random_state=0)
        both = [observed_entries(part) for part in (train, test)]
        found = np.full(X.shape, np.nan)
        for part in both:
            assert np.isnan(found[part[0], part[1]]).all()
            found[part[0], part[1]] = part[2]
        np.testing.assert_array_equal(found, X)
        assert len(both[1][0]) == np.ceil(0.3 * n_entries)
