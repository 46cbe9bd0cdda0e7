"""Rankings that users hand over."""

import numpy as np


def check_rankings(items, n_features):
    """Validate rankings: columns of each row, the best first, and -1 for none.

    Parameters
    ----------
    items : array-like of int of shape (n_samples, m)
        What `recommend` returns, or what is like it.
    n_features : int
        How many columns there are.

    Returns
    -------
    items : C-ordered ndarray of int64 of shape (n_samples, m)
        The same.

    Raises
    ------
    ValueError
        If there are none, or other columns, or one comes twice in a row.
    """
    items = np.asarray(items)
    if items.ndim != 2 or not np.issubdtype(items.dtype, np.integer):
        raise ValueError(
            "items must be integers of shape (n_samples, m), the columns that are recommended to "
            f"each row; got dtype {items.dtype} and shape {items.shape}."
        )
    if not items.size:
        raise ValueError(
            f"items has the shape {items.shape}: one row with one column is needed at least."
        )
    if not (items.min() >= -1 and items.max() < n_features):
        wrong = (items < -1) | (items >= n_features)
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise ValueError(
            f"items has {items[row][wrong[row]][0]} in row {row}, but columns are numbered from 0 "
            f"to {n_features - 1}, and -1 is none."
        )
    ascending = np.sort(items, axis=1)
    twice = (ascending[:, 1:] == ascending[:, :-1]) & (ascending[:, 1:] >= 0)
    if twice.any():
        row = int(np.flatnonzero(twice.any(axis=1))[0])
        column = ascending[row, 1:][twice[row]][0]
        raise ValueError(f"items has column {column} twice in row {row}: it would count twice.")
    return np.ascontiguousarray(items, dtype=np.int64)
