"""Splitters of the observed entries of a matrix, in the style of scikit-learn's splitters."""

import sys
from abc import abstractmethod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

from sklearn_mf.model_selection._entries import check_holed, hide_entries, observed_entries
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_parameters,
)


class BaseEntrySplit(BaseEstimator, BaseCrossValidator):
    """Base class of splitters of observed entries; subclasses choose the test entries."""

    def split(self, X, y=None, groups=None):
        """Generate indices of training and test entries.

        At least one training entry remains in every row and column that has an observed entry.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data. Missing entries are NaN or, in a sparse X, not stored.
        y : Ignored
            Not used, present by convention.
        groups : Ignored
            Not used, present by convention.

        Yields
        ------
        train : ndarray of int
            Indices of training entries, numbered as in :func:`observed_entries`.
        test : ndarray of int
            Indices of test entries.
        """
        check_parameters(self)
        _refuse_to_split_rows(type(self).__name__)
        X = check_holed(X)
        shape = X.shape
        rows, columns, _ = observed_entries(X)
        for train, test, order in self._splits(rows, columns, shape, groups):
            for lines in (rows, columns):
                train, test = self._learnable(lines, train, test, order)
            if not test.any():
                raise ValueError(
                    f"{type(self).__name__} cannot hide any entry of X (n_samples={shape[0]}, "
                    f"n_features={shape[1]}, {len(rows)} observed entries): {self._reason}. Use "
                    "more entries or fewer splits."
                )
            yield np.flatnonzero(train), np.flatnonzero(test)

    _reason = "at least one entry of each row and column must remain visible"

    def _learnable(self, lines, train, test, order):
        """Adjust the masks of train and test so that every row, or column, has training entries."""
        return _keep_one_of_each(lines, train, test, order)

    @abstractmethod
    def _splits(self, rows, columns, shape, groups):
        """Yield masks of train and test, and the order in which entries may return to train."""

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits.

        Parameters
        ----------
        X : Ignored
            Not used, present by convention.
        y : Ignored
            Not used, present by convention.
        groups : Ignored
            Not used, present by convention.

        Returns
        -------
        n_splits : int
            The parameter `n_splits`.
        """
        return self.n_splits


class EntryKFold(BaseEntrySplit):
    """K-fold split of the observed entries: each entry is hidden once.

    The exception are entries without which their row or column would have no training entry: they
    are never hidden.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    stratify : {"rows", "columns"} or None, default=None
        Whether each row, or each column, has about the same fraction of its entries in each fold.
        With None, entries are split regardless of their position.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. An int gives the same folds in every call.

    See Also
    --------
    EntryShuffleSplit : Random splits of any size.
    sklearn.model_selection.KFold : Splits rows.

    References
    ----------
    Wold, S. (1978). Cross-validatory estimation of the number of components in factor and
    principal components models. Technometrics 20(4), 397-405.
    :doi:`10.1080/00401706.1978.10489693`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import EntryKFold
    >>> X = np.arange(12.0).reshape(3, 4)
    >>> for train, test in EntryKFold(3, random_state=1).split(X):
    ...     print(len(train), len(test))
    8 4
    8 4
    8 4
    """

    _parameter_constraints: dict = {
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "stratify": [StrOptions({"rows", "columns"}), None],
        "random_state": ["random_state"],
    }

    def __init__(self, n_splits=5, *, stratify=None, random_state=None):
        self.n_splits = n_splits
        self.stratify = stratify
        self.random_state = random_state

    def _splits(self, rows, columns, shape, groups):
        order = _shuffled(rows, columns, self.stratify, hiding_stream(self.random_state))
        fold = np.empty(len(rows), dtype=np.intp)
        fold[order] = np.arange(len(rows)) % self.n_splits
        for number in range(self.n_splits):
            test = fold == number
            yield ~test, test, order


class EntryShuffleSplit(BaseEntrySplit):
    """Random splits of the observed entries.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent random splits.
    test_size : float or int, default=0.2
        Fraction of the observed entries to hide, in (0, 1), or their number.
    stratify : {"rows", "columns"} or None, default=None
        Whether to hide the same fraction of each row, or of each column. With None, entries are
        hidden regardless of their position.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. An int gives the same splits in every call.

    See Also
    --------
    EntryKFold : Hides each entry once.
    EntryTimeSeriesSplit : Predicts later entries from earlier ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import EntryShuffleSplit
    >>> X = np.arange(12.0).reshape(3, 4)
    >>> cv = EntryShuffleSplit(1, test_size=0.25, stratify="rows", random_state=0)
    >>> [(train, test)] = cv.split(X)
    >>> len(train), test // 4
    (9, array([0, 1, 2]))
    """

    _parameter_constraints: dict = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "stratify": [StrOptions({"rows", "columns"}), None],
        "random_state": ["random_state"],
    }

    def __init__(self, n_splits=10, *, test_size=0.2, stratify=None, random_state=None):
        self.n_splits = n_splits
        self.test_size = test_size
        self.stratify = stratify
        self.random_state = random_state

    def _splits(self, rows, columns, shape, groups):
        rng = hiding_stream(self.random_state)
        n_entries = len(rows)
        n_test = number_of(self.test_size, n_entries)
        for _ in range(self.n_splits):
            order = _shuffled(rows, columns, self.stratify, rng)
            # Evenly spaced indices in an order by rows, or columns, hide the same fraction of each.
            chosen = (np.arange(n_test) + rng.uniform()) * n_entries / max(n_test, 1)
            test = np.zeros(n_entries, dtype=bool)
            test[order[chosen.astype(np.intp)]] = True
            yield ~test, test, order


def train_test_entry_split(
    X, *, test_size=0.2, stratify=None, random_state=None, missing_values=np.nan
):
    """Split a matrix into a training matrix and a matrix of the hidden entries.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, which are never modified. The unstored entries of a sparse X are missing.
    test_size : float or int, default=0.2
        Fraction of the observed entries to hide, in (0, 1), or their number.
    stratify : {"rows", "columns"} or None, default=None
        Whether to hide the same fraction of each row, or of each column.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. An int gives the same split in every call.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        The value that marks missing entries, and will mark the hidden ones.

    Returns
    -------
    X_train : {ndarray, DataFrame, CSR matrix} of shape (n_samples, n_features)
        X without the hidden entries. Every row and column that has an observed entry keeps at least
        one.
    X_test : {ndarray, DataFrame, CSR matrix} of shape (n_samples, n_features)
        The hidden entries only.

    See Also
    --------
    sklearn.model_selection.train_test_split : Splits rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import train_test_entry_split
    >>> X = np.arange(6.0).reshape(2, 3)
    >>> X_train, X_test = train_test_entry_split(X, test_size=2, random_state=0)
    >>> int(np.isnan(X_train).sum()), int(np.isnan(X_test).sum())
    (2, 4)
    """
    splitter = EntryShuffleSplit(
        1, test_size=test_size, stratify=stratify, random_state=random_state
    )
    [parts] = splitter.split(check_holed(X, missing_values))
    train, test = (hide_entries(X, part, missing_values=missing_values) for part in parts)
    return test, train


def _refuse_to_split_rows(name):
    """Raise a ValueError if a scikit-learn function that splits rows requests a split."""
    frame = sys._getframe(1)
    here = __name__.rpartition(".")[0]
    while frame is not None and (
        frame.f_code.co_name == "split" and frame.f_globals.get("__name__", "").startswith(here)
    ):
        frame = frame.f_back
    if frame and frame.f_globals.get("__name__", "").startswith("sklearn.model_selection"):
        raise ValueError(
            f"cv={name}() splits observed entries, but scikit-learn's searches and "
            "cross-validation split rows. Search over EntryHoldout(estimator) with cv=[(rows, "
            "rows)], where rows = np.arange(len(X)), or use cross_val_entries or RankSearchCV."
        )


def _shuffled(rows, columns, stratify, rng):
    """Return entries in random order, grouped by rows or columns if they are stratified."""
    order = rng.permutation(len(rows))
    if stratify is None:
        return order
    # The rows are shuffled too. Otherwise the extra entries of the first rows would be in the same
    # folds.
    lines = rows if stratify == "rows" else columns
    shuffled_lines = rng.permutation(lines.max(initial=-1) + 1)[lines]
    return order[np.argsort(shuffled_lines[order], kind="stable")]


def number_of(test_size, n_entries):
    if isinstance(test_size, Integral):
        if test_size >= n_entries:
            raise ValueError(
                f"test_size={test_size} is not possible: X has {n_entries} observed entries, and "
                "some of them must remain for training."
            )
        return int(test_size)
    return int(np.ceil(test_size * n_entries))


def _keep_one_of_each(lines, train, test, order):
    """Give each row or column without training entries the first of its entries in `order`."""
    n_entries = np.bincount(lines)
    lacking = (n_entries > 0) & (np.bincount(lines[train], minlength=len(n_entries)) == 0)
    if not lacking.any():
        return train, test
    candidates = order[lacking[lines[order]]]
    first = candidates[np.unique(lines[candidates], return_index=True)[1]]
    train, test = train.copy(), test.copy()
    train[first], test[first] = True, False
    return train, test


def folds_of(cv, X, groups=None):
    """Return pairs of arrays of observed entries for a ``cv`` parameter.

    Parameters
    ----------
    cv : splitter or iterable
        A splitter of entries, or pairs of training and test entries.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data.
    groups : array-like, default=None
        Groups for the splitter.

    Returns
    -------
    folds : list of tuple of ndarray
        The pairs.

    Raises
    ------
    ValueError
        If cv is something else, or a fold does not hide its test entries.
    """
    kinds = "a splitter of entries, an int, or pairs of arrays (train, test)"
    if isinstance(cv, str) or not (hasattr(cv, "split") or np.iterable(cv)):
        raise ValueError(f"cv must be {kinds}, got {cv!r}.")
    folds = []
    for split in cv.split(X, groups=groups) if hasattr(cv, "split") else cv:
        try:
            train, test = split
        except (TypeError, ValueError):
            raise ValueError(f"cv must be {kinds}, but it contains {split!r}.") from None
        folds.append((np.asarray(train), np.asarray(test)))
    n_entries, n_samples = len(observed_entries(X)[0]), check_holed(X).shape[0]
    numbers = [part for fold in folds for part in fold if part.size]
    if any(not np.issubdtype(part.dtype, np.integer) for part in numbers) or any(
        part.min() < 0 or part.max() >= n_entries for part in numbers
    ):
        raise ValueError(
            f"cv must contain indices of observed entries of X, from 0 to {n_entries - 1}."
        )
    # A few early entries may happen to have the numbers of rows, but a splitter of entries never
    # splits rows.
    may_be_rows = not isinstance(cv, BaseEntrySplit) and n_entries > n_samples
    if may_be_rows and all(part.max() < n_samples for part in numbers):
        raise ValueError(
            "cv seems to split the rows of X. It must split observed entries: predicting the "
            "entries of a row from themselves would always favor the largest rank."
        )
    if any(len(np.intersect1d(*fold)) for fold in folds):
        raise ValueError("cv has an entry both in train and in test, so it would not be hidden.")
    return folds
