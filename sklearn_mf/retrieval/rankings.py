"""Validation of rankings passed by users."""

import numpy as np


def check_rankings(items, n_features):
    """Validate rankings: column indices for each row, the best first, padded with -1.

    Parameters
    ----------
    items : array-like of int of shape (n_samples, m)
        The rankings, such as the result of `recommend`.
    n_features : int
        Number of columns.

    Returns
    -------
    items : C-ordered ndarray of int64 of shape (n_samples, m)
        The validated rankings.

    Raises
    ------
    ValueError
        If the rankings are empty, contain invalid columns, or repeat a column in a row.
    """
    items = np.asarray(items)
    if items.ndim != 2 or not np.issubdtype(items.dtype, np.integer):
        raise ValueError(
            "items must be integers of shape (n_samples, m), the columns recommended to each row; "
            f"got dtype {items.dtype} and shape {items.shape}."
        )
    if not items.size:
        raise ValueError(
            f"items has shape {items.shape}, but at least one row and one column are needed."
        )
    if not (items.min() >= -1 and items.max() < n_features):
        wrong = (items < -1) | (items >= n_features)
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise ValueError(
            f"items contains {items[row][wrong[row]][0]} in row {row}, but columns are numbered "
            f"from 0 to {n_features - 1}, and -1 stands for none."
        )
    ascending = np.sort(items, axis=1)
    twice = (ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] >= 0)
    if twice.any():
        row = int(np.flatnonzero(twice.any(axis=1))[0])
        column = ascending[row, 1:][twice[row]][0]
        raise ValueError(f"items contains column {column} twice in row {row}: remove one of them.")
    return np.ascontiguousarray(items, dtype=np.int64)
