"""Splitters of observed entries by time: later entries are never used for training."""

import numpy as np
from scipy import sparse

from sklearn_mf.model_selection._split import BaseEntrySplit, number_of
from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._sparse import entries_at
from sklearn_mf.utils._validation import Integral, Interval, Real, StrOptions, admit

COLD = {"cold": [StrOptions({"drop", "keep"})]}


class BaseTimeSplit(BaseEntrySplit):
    """Base class of splitters by time; subclasses have a parameter ``cold``."""

    # Metadata routing passes the times without a request.
    __metadata_request__split = {"groups": True}
    _reason = "no later entry has earlier entries in both its row and its column"

    def split(self, X, y=None, groups=None):
        """Generate indices of training and test entries.

        Test entries never return to the training entries: they would come from the future.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data. Missing entries are NaN or, in a sparse X, not stored.
        y : Ignored
            Not used, present by convention.
        groups : array-like of shape (n_observed,) or array or sparse matrix of the shape of X
            Time of every observed entry, in the order of :func:`observed_entries`, or a matrix with
            the times at the positions of the observed entries.

        Yields
        ------
        train : ndarray of int
            Indices of training entries, numbered as in :func:`observed_entries`.
        test : ndarray of int
            Indices of test entries.
        """
        yield from super().split(X, y, groups)

    def _learnable(self, lines, train, test, order):
        if self.cold == "keep":
            return train, test
        known = np.bincount(lines[train], minlength=lines.max(initial=-1) + 1) > 0
        return train, test & known[lines]


class EntryTimeSeriesSplit(BaseTimeSplit):
    """Splits by time: later entries are predicted from all earlier ones.

    As in :class:`sklearn.model_selection.TimeSeriesSplit`, the test entries of each split are those
    that follow its training entries. Still later entries are in neither part.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits. The entries are ordered by time and cut into one part more.
    cold : {"drop", "keep"}, default="drop"
        How to handle later entries whose row or column has no training entry, so that nothing is
        known about it. With "drop", they are in neither part. With "keep", they are test entries.

    See Also
    --------
    EntryTimeSplit : One split at one time.
    EntryShuffleSplit : Random splits regardless of time.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import EntryTimeSeriesSplit
    >>> X = np.arange(12.0).reshape(3, 4)
    >>> times = [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    >>> for train, test in EntryTimeSeriesSplit(2).split(X, groups=times):
    ...     print(train, test)
    [0 1 4 8] [5 9]
    [0 1 2 4 5 6 8 9] [10]
    """

    _parameter_constraints: dict = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        **COLD,
    }

    def __init__(self, n_splits=5, *, cold="drop"):
        self.n_splits = n_splits
        self.cold = cold

    def _splits(self, rows, columns, shape, groups):
        times = _times(groups, rows, columns, shape)
        order = np.argsort(times, kind="stable")
        part = np.empty(len(order), dtype=np.intp)
        for number, entries in enumerate(np.array_split(order, self.n_splits + 1)):
            part[entries] = number
        for number in range(1, self.n_splits + 1):
            yield part < number, part == number, order


class EntryTimeSplit(BaseTimeSplit):
    """One split at one time: entries from then on are predicted from the entries before.

    A recommender is used in this way, so this split measures its performance best: nothing of the
    future is known, neither of the same row nor of other rows.

    Parameters
    ----------
    test_size : float or int, default=0.2
        Fraction of the entries to hide, in (0, 1), or their number: the latest ones, together with
        all other entries that have the same time as the first of them.
    cut : object, default=None
        The time of the split, of the same type as the times. If it is given, `test_size` is
        ignored.
    cold : {"drop", "keep"}, default="drop"
        How to handle later entries whose row or column has no training entry, so that nothing is
        known about it. With "drop", they are in neither part. With "keep", they are test entries.

    See Also
    --------
    EntryTimeSeriesSplit : Several splits by time.
    EntryLeaveLastOut : Hides the last entries of each row, whatever their time.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import EntryTimeSplit
    >>> X = np.array([[5.0, 3, np.nan], [4, np.nan, 1], [np.nan, 2, 4]])
    >>> days = np.array([1, 5, 2, 6, 3, 4], dtype="datetime64[D]")
    >>> [(train, test)] = EntryTimeSplit(cut=np.datetime64(4, "D")).split(X, groups=days)
    >>> train, test  # the last entry is in a column that was not there on the first days
    (array([0, 2, 4]), array([1]))
    """

    _parameter_constraints: dict = {
        "test_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
        **COLD,
    }
    n_splits = 1

    def __init__(self, test_size=0.2, *, cut=None, cold="drop"):
        self.test_size = test_size
        self.cut = cut
        self.cold = cold

    def _splits(self, rows, columns, shape, groups):
        times = _times(groups, rows, columns, shape)
        cut = self.cut
        if cut is None:
            cut = np.sort(times)[len(times) - number_of(self.test_size, len(times))]
        try:
            train = np.asarray(times < cut, dtype=bool)
        except TypeError as error:
            raise ValueError(
                f"cut={cut!r} cannot be compared with the times, which have dtype {times.dtype}: "
                "pass a time of this type."
            ) from error
        if not train.any():
            raise ValueError(
                f"X has no entry before {cut}, the time of the split, so there are no training "
                "entries. Use a later cut, or a smaller test_size."
            )
        yield train, ~train, np.arange(len(times))


class EntryLeaveLastOut(BaseTimeSplit):
    """One split: the last entries of each row are predicted from its earlier ones.

    All rows have the same weight, however old they are. However, later entries of other rows are
    used for training: they may show what became popular, which was not yet known at the time of a
    test entry. :class:`EntryTimeSplit` avoids this.

    Parameters
    ----------
    n_last : int, default=1
        Number of entries to hide in each row: the latest ones and, among those with the same time,
        the ones in higher columns.
    cold : {"drop", "keep"}, default="drop"
        How to handle entries about which nothing is known. With "drop", each row keeps its first
        entry, and a hidden entry is in neither part if its column has no training entry. With
        "keep", rows may lose all of their entries, and all hidden entries are test entries.

    See Also
    --------
    EntryTimeSplit : One time for all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import EntryLeaveLastOut
    >>> X = np.array([[5.0, 3, np.nan], [4, 3, 1], [np.nan, 2, 4]])
    >>> times = np.array([1, 2, 9, 8, 7, 5, 6])
    >>> [(train, test)] = EntryLeaveLastOut().split(X, groups=times)
    >>> train, test
    (array([0, 3, 4, 5]), array([1, 2, 6]))
    """

    _parameter_constraints: dict = {
        "n_last": [Interval(Integral, 1, None, closed="left")],
        **COLD,
    }
    n_splits = 1
    _reason = "no row has two entries of which the later one is in a column with other entries"

    def __init__(self, n_last=1, *, cold="drop"):
        self.n_last = n_last
        self.cold = cold

    def _splits(self, rows, columns, shape, groups):
        times = _times(groups, rows, columns, shape)
        moments = np.unique(times, return_inverse=True)[1]
        order = np.lexsort((moments, rows))
        # Number of entries of the same row that are later.
        n_of_row = np.bincount(rows, minlength=shape[0])
        ends = np.cumsum(n_of_row)[rows[order]]
        after = np.empty(len(order), dtype=np.intp)
        after[order] = ends - 1 - np.arange(len(order))
        test = after < self.n_last
        if self.cold == "drop":
            test &= after < n_of_row[rows] - 1
        yield ~test, test, order


def _times(groups, rows, columns, shape):
    if groups is None:
        raise ValueError("groups must contain the time of every observed entry, got None.")
    if isinstance(groups, LabeledMatrix):
        groups = groups.X
    if sparse.issparse(groups) or np.ndim(groups) == 2:
        matrix = admit(groups, "groups") if sparse.issparse(groups) else np.ma.asarray(groups)
        if matrix.shape != shape:
            raise ValueError(f"groups has shape {matrix.shape}, but X has shape {shape}.")
        is_sparse = sparse.issparse(matrix)
        groups = _stored_at(matrix, rows, columns) if is_sparse else matrix[rows, columns]
    groups = np.ma.asarray(groups)
    if groups.shape != rows.shape:
        raise ValueError(
            f"groups has shape {groups.shape}, but X has {len(rows)} observed entries: pass one "
            "time for each of them, or a matrix of the shape of X."
        )
    times = groups.data
    unknown = np.flatnonzero(np.ma.getmaskarray(groups) | (times != times))
    if len(unknown):
        k = unknown[0]
        raise ValueError(
            f"groups has no time for the entry in row {rows[k]}, column {columns[k]}: every "
            "observed entry needs a time."
        )
    return times


def _stored_at(matrix, rows, columns):
    """Return entries of a CSR matrix at positions, masked where it stores nothing (not zero)."""
    marks = np.ones(len(matrix.data), dtype=bool)
    pattern = sparse.csr_array((marks, matrix.indices, matrix.indptr), shape=matrix.shape)
    lacking = ~entries_at(pattern, rows, columns)
    return np.ma.array(entries_at(matrix, rows, columns), mask=lacking)
