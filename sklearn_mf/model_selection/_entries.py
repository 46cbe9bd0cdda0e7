"""Observed entries of dense and sparse matrices in a common order, and copies with some hidden."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._tables import is_frame, native, without
from sklearn_mf.utils._validation import FLOATS, check_numbers, is_nan
from sklearn_mf.utils._validation import check_holed as check_marked


def observed_entries(X, *, missing_values=np.nan):
    """Return positions and values of the observed entries of X, row by row.

    The splitters of this module number the entries in this order.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data. The unstored entries of a sparse X are missing.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        The value that marks missing entries.

    Returns
    -------
    rows : ndarray of shape (n_observed,)
        Row of each observed entry, in ascending order.
    columns : ndarray of shape (n_observed,)
        Column of each observed entry, in ascending order within a row.
    values : ndarray of shape (n_observed,)
        Value of each observed entry.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import observed_entries
    >>> rows, columns, values = observed_entries([[1.0, np.nan], [3.0, 4.0]])
    >>> rows, columns, values
    (array([0, 1, 1]), array([0, 0, 1]), array([1., 3., 4.]))
    """
    X = check_holed(X, missing_values)
    if sparse.issparse(X):
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        observed = ~np.isnan(X.data)
        return rows[observed], X.indices[observed].astype(np.intp), X.data[observed]
    rows, columns = np.nonzero(~np.isnan(X))
    return rows, columns, X[rows, columns]


def hide_entries(X, entries, *, missing_values=np.nan):
    """Return a copy of X in which some observed entries are missing.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, which are never modified. The unstored entries of a sparse X are missing.
    entries : array-like of int of shape (n_hidden,)
        Indices of the entries to hide, numbered as in :func:`observed_entries`.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        The value that marks missing entries, and will mark the hidden ones.

    Returns
    -------
    X_visible : {ndarray, DataFrame, CSR matrix, LabeledMatrix} of shape (n_samples, n_features)
        A copy of X with `missing_values` at the hidden entries. A sparse matrix does not store them
        if `missing_values` is NaN. A DataFrame keeps its names and its nullable types, a
        LabeledMatrix its labels.

    Raises
    ------
    ValueError
        If `entries` contains an index that is not that of an observed entry.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.model_selection import hide_entries
    >>> hide_entries([[1.0, np.nan], [3.0, 4.0]], [1])
    array([[ 1., nan],
           [nan,  4.]])
    """
    array = check_holed(X, missing_values)
    rows, columns, _ = observed_entries(array)
    mark = np.nan if is_nan(missing_values) else missing_values
    entries = np.asarray(entries)
    if entries.size and not np.issubdtype(entries.dtype, np.integer):
        raise ValueError(f"entries must be integers, got dtype {entries.dtype}.")
    if entries.size and not (entries.min() >= 0 and entries.max() < len(rows)):
        raise ValueError(
            f"entries contains indices from {entries.min()} to {entries.max()}, but the "
            f"observed entries of X are numbered from 0 to {len(rows) - 1}."
        )
    entries = entries.astype(np.intp)
    if sparse.issparse(array):
        visible = _without_stored(array, entries, mark)
        return replace(X, X=visible) if isinstance(X, LabeledMatrix) else visible
    hidden = np.zeros(array.shape, dtype=bool)
    hidden[rows[entries], columns[entries]] = True
    if is_frame(native(X)):
        return without(X, hidden, mark)
    array = check_numbers(array, allow_nan=True)
    return np.where(hidden | np.isnan(array), array.dtype.type(mark), array)


def check_holed(X, missing_values=np.nan):
    """Return X as an array or a canonical CSR matrix, with NaN for missing entries."""
    X = check_marked(X, missing_values, dtype="numeric" if is_nan(missing_values) else FLOATS)
    if not sparse.issparse(X):
        # Arrow tables with missing integers or booleans are converted to objects.
        return X.astype(np.float64) if X.dtype == object else X
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _without_stored(X, entries, mark):
    # Stored NaN are missing: they have no index and are removed with the hidden entries.
    kept = ~np.isnan(X.data)
    kept[np.flatnonzero(kept)[entries]] = False
    if not is_nan(mark):
        return type(X)((np.where(kept, X.data, mark), X.indices, X.indptr), shape=X.shape)
    indptr = np.concatenate([[0], np.cumsum(kept)])[X.indptr].astype(X.indptr.dtype)
    return type(X)((X.data[kept], X.indices[kept], indptr), shape=X.shape)
