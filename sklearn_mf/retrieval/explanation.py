"""Explanations of recommendations: how each entry changes a prediction."""

import numpy as np
from scipy import sparse

from sklearn_mf.retrieval.candidates import entries_of_rows

# Maximum number of entries in the rows that are transformed at a time.
BLOCK = 1 << 20


def contributions(predict, X, seen, n):
    """Return the entries of each row that increase a prediction most.

    Parameters
    ----------
    predict : callable
        A function of rows like those of X. It returns a prediction for each.
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Validated data with NaN for missing values.
    seen : ndarray or CSR array of bool of the shape of X
        Mask of the entries to leave out, one at a time.
    n : int
        Number of entries to return.

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        Columns of the entries, in descending order of the increase; among equal ones, the lower
        column comes first. -1 if there are fewer.
    differences : ndarray of shape (n_rows, n)
        Prediction minus the prediction without the entry; NaN if there are fewer.
    """
    predicted = predict(X)
    columns = np.full((X.shape[0], n), -1, dtype=np.int64)
    differences = np.full((X.shape[0], n), np.nan, dtype=predicted.dtype)
    for i in range(X.shape[0]):
        row, known = X[i : i + 1], seen[i : i + 1]
        where = np.sort(
            entries_of_rows(known)[1] if sparse.issparse(known) else np.flatnonzero(known)
        )
        step = max(1, BLOCK // max(1, row.nnz if sparse.issparse(row) else row.size))
        parts = [where[start : start + step] for start in range(0, len(where), step)]
        without = [predict(rows_without(row, part)) for part in parts]
        difference = predicted[i] - np.concatenate([np.zeros(0, predicted.dtype), *without])
        best = np.argsort(-difference, kind="stable")[:n]
        columns[i, : len(best)], differences[i, : len(best)] = where[best], difference[best]
    return columns, differences


def rows_without(row, columns):
    """Return copies of a row, each without one of its entries.

    An entry that is left out becomes like other entries that were not seen: not stored in a sparse
    row, and in a dense row NaN, or zero if nothing is missing.
    """
    n = len(columns)
    if not sparse.issparse(row):
        copies = np.repeat(row, n, axis=0)
        copies[np.arange(n), columns] = np.nan if np.isnan(row).any() else 0
        return copies
    kept = row.indices != columns[:, None]
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    entries = np.nonzero(kept)[1]
    return sparse.csr_array(
        (row.data[entries], row.indices[entries], indptr), shape=(n, row.shape[1])
    )
