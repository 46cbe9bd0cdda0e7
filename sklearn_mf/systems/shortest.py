"""Minimum-norm solutions of rows that are not determined by their entries.

These rows are solved in batches and in double precision, directly from the design: its Gram matrix
cannot distinguish small directions from rounding errors.
"""

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import in_threads

# Number of floats in the systems of a batch, which then stays in the cache.
BATCH = 1 << 16
# Cost of a decomposition, in units of the number of entries times the squared number of
# coefficients.
DECOMPOSITION = 20


def shortest_rows(entries, design, offsets, penalty: RowPenalty):
    """Solve a weighted ridge regression of every row, where systems may be singular.

    Parameters
    ----------
    entries : tuple of (indptr, indices, values, weights)
        The entries of the rows in CSR format; the weights may be None.
    design : ndarray of shape (n_columns, k)
        The regressors.
    offsets : ndarray of shape (n_columns,)
        Numbers that are subtracted from the data.
    penalty : RowPenalty
        Penalty on these rows; only its L2 part is used.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        The solutions; the shortest one if there are several.
    """
    eps, k = np.finfo(design.dtype).eps, design.shape[1]
    ridge = np.sqrt(penalty.scale[:, None].astype(np.float64) * penalty.ridge)
    solution = np.zeros((len(ridge), k))

    def solve(rows):
        systems, targets = _padded(entries, rows, design, offsets)
        if ridge[rows].any():
            systems = np.concatenate([systems, ridge[rows][:, :, None] * np.eye(k)], axis=1)
        inverses = kernels.pseudoinverses(systems, eps)[:, :, : targets.shape[1]]
        solution[rows] = (inverses @ targets[:, :, None])[:, :, 0]

    counts = np.diff(entries[0])
    work = DECOMPOSITION * (counts.sum() + solution.size) * k**2
    in_threads(solve, _batches(counts, k), work)
    return solution


def _batches(counts, k):
    """Yield rows with similar numbers of entries, to minimize padding."""
    order = np.argsort(counts, kind="stable")
    sizes = np.maximum(counts[order], k)
    batches, first = [], 0
    while first < len(order):
        # The sizes ascend, so all rows before the first one that exceeds a limit satisfy both
        # limits.
        step = max(1, BATCH // (int(sizes[first]) * k))
        last = min(first + step, int(np.searchsorted(sizes, 2 * sizes[first], side="right")))
        batches.append(order[first:last])
        first = last
    return batches


def _padded(entries, rows, design, offsets):
    """Return the weighted design and targets of some rows, padded with zeros."""
    indptr, indices, values, weights = entries
    counts = np.diff(indptr)[rows]
    places = np.arange(counts.max())
    there = places < counts[:, None]
    at = np.where(there, indptr[rows][:, None] + places, indptr[rows[-1]])
    columns = indices[at]
    roots = there.astype(np.float64)
    if weights is not None:
        roots *= np.sqrt(weights[at], dtype=np.float64)
    targets = values[at].astype(np.float64) - offsets[columns]
    return roots[:, :, None] * design[columns], roots * targets
