"""Rows that their entries do not determine: of all that fit best the shortest.

Their systems are solved in batches, in double precision, from the design itself: its square does
not tell small directions from rounding error.
"""

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import in_threads

# Numbers in the systems of a batch: they stay in the cache.
BATCH = 1 << 16
# Multiplications of a decomposition, as many times as entries times squared coefficients.
DECOMPOSITION = 20


def shortest_rows(entries, design, offsets, penalty: RowPenalty):
    """Weighted ridge regression of every row, where systems may be singular.

    Parameters
    ----------
    entries : tuple of (indptr, indices, values, weights)
        Of the rows, as CSR has them; weights may be None.
    design : ndarray of shape (n_columns, k)
        Regressors.
    offsets : ndarray of shape (n_columns,)
        Subtracted from the data.
    penalty : RowPenalty
        Of these rows; its squares count alone.

    Returns
    -------
    solution : ndarray of shape (n_rows, k)
        The shortest where many are equally good.
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
    """Rows of about as many entries, so that little of a batch is padding."""
    order = np.argsort(counts, kind="stable")
    sizes = np.maximum(counts[order], k)
    batches, first = [], 0
    while first < len(order):
        # Sizes grow, so both limits are met by all rows before the first that exceeds one.
        step = max(1, BATCH // (int(sizes[first]) * k))
        last = min(first + step, int(np.searchsorted(sizes, 2 * sizes[first], side="right")))
        batches.append(order[first:last])
        first = last
    return batches


def _padded(entries, rows, design, offsets):
    """Weighted design and targets of some rows, zeros after their entries."""
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
