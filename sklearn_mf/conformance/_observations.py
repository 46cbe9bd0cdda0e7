"""The checks of a view of data."""

import numpy as np

from sklearn_mf.conformance._base import agree, holds
from sklearn_mf.losses import Huber, Squared
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.systems import RowPenalty

RANK = 2
LOSSES = (Squared(), Huber(delta=0.5))


def check_observations(observations: ObservedMatrix, X, entry_weight=None, sample_weight=None):
    """Compare a view of data with NumPy's results for the same data.

    Parameters
    ----------
    observations : ObservedMatrix
        The view to check, with a few rows and columns.
    X : ndarray of shape (n_rows, n_columns)
        The same data as an array; NaN is missing.
    entry_weight : ndarray of shape (n_rows, n_columns) or None, default=None
        Weight of every entry; None for 1.
    sample_weight : ndarray of shape (n_rows,) or None, default=None
        Weight of every row; None for 1.

    Raises
    ------
    AssertionError
        If a result is different.

    See Also
    --------
    check_solver : Check a solver.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.conformance import check_observations
    >>> from sklearn_mf.observations import observe
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 6.0], [3.0, 6.0, np.nan]])
    >>> check_observations(observe(X), X)
    """
    holds(isinstance(observations, ObservedMatrix), observations, "it is not an ObservedMatrix.")
    seen = ~np.isnan(X)
    weight = seen * (1.0 if entry_weight is None else np.asarray(entry_weight, dtype=float))
    samples = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    filled = np.where(seen, X, 0)
    _check_side(observations, filled, weight, samples, np.ones(X.shape[1]))
    _check_side(observations.T, filled.T, weight.T, np.ones(X.shape[1]), samples)
    holds(observations.T.T is observations, observations, "T.T is not the same object.")
    _check_loss(observations, filled, weight, samples)
    _check_parts(observations, filled, weight)


def _check_side(seen, X, weight, own, others):
    """Check totals, products and rows of one side, with weights of its rows and columns."""
    counts = weight * others
    holds(seen.shape == X.shape, seen, f"its shape is {seen.shape}, but the data have {X.shape}.")
    agree(seen.row_totals(), counts.sum(axis=1), seen, "row_totals")
    agree(seen.column_sums(), own @ (weight * X) * 1.0, seen, "column_sums")
    agree(seen.n_in_row(), (weight > 0).sum(axis=1), seen, "n_in_row")
    total = float(own @ (counts * X**2).sum(axis=1))
    agree(seen.total_squares, total, seen, "total_squares")
    rng = np.random.default_rng(0)
    k, n = RANK, X.shape[1]
    design, offsets, row_offsets = (
        rng.normal(size=(n, k)),
        rng.normal(size=n),
        rng.normal(size=len(X)),
    )
    expected = (weight * (X - offsets - row_offsets[:, None])) @ design
    agree(seen.product(design, offsets, row_offsets), expected, seen, "product")
    grams = np.einsum("ij,jk,jl->ikl", counts, design, design)
    moments = (counts * (X - offsets)) @ design
    systems = seen.systems(design, offsets)
    agree(np.broadcast_to(systems.grams, grams.shape), grams, seen, "systems (Gram matrices)")
    agree(systems.moments, moments, seen, "systems (moments)")
    start = np.zeros_like(moments)

    def solved(scale):
        matrices = grams + scale[:, None, None] * np.eye(k)
        return np.linalg.solve(matrices, moments[:, :, None])[:, :, 0]

    # Rows with the same observed entries get the same scale here, as in a problem.
    scale = 0.1 + seen.row_totals()
    arguments = design, offsets, RowPenalty.of_ridge(scale, np.ones(k))
    agree(seen.solve_rows(*arguments), solved(scale), seen, "solve_rows")
    found = seen.refine_rows(*arguments, start, 1e-9)
    agree(found, solved(scale), seen, "refine_rows", rtol=1e-5)
    scale = 1.0 + np.arange(len(X))
    arguments = design, offsets, RowPenalty.of_ridge(scale, np.ones(k))
    agree(seen.best_rows(*arguments, start), solved(scale), seen, "best_rows")
    descent = seen.descend_rows(*arguments, start, (1e-10, 1000))
    agree(descent.rows, solved(scale), seen, "descend_rows")


def _check_loss(seen, X, weight, samples):
    """Check losses and their derivatives."""
    rng = np.random.default_rng(1)
    W, Ht = rng.normal(size=(X.shape[0], RANK)), rng.normal(size=(X.shape[1], RANK))
    model, counts = W @ Ht.T, samples[:, None] * weight
    for loss in LOSSES:
        name, slopes = type(loss).__name__, loss.gradient(X, model)
        expected = float((counts * loss.value(X, model)).sum())
        agree(seen.total_loss(W, Ht, loss), expected, seen, f"total_loss under {name}")
        total, of_W, of_Ht = seen.loss_and_gradient(W, Ht, loss)
        agree(total, expected, seen, f"loss_and_gradient under {name} (loss)")
        agree(of_W, (weight * slopes) @ Ht, seen, f"loss_and_gradient under {name} (W)")
        agree(of_Ht, (counts * slopes).T @ W, seen, f"loss_and_gradient under {name} (H)")


def _check_parts(seen, X, weight):
    """Check rows, blocks, and the same data in another storage format."""
    rng = np.random.default_rng(2)
    dense, offsets = rng.normal(size=(X.shape[1], RANK)), np.zeros(X.shape[1])
    expected = (weight * X) @ dense
    for entries in (None, 1):
        covered = np.zeros(len(X), dtype=int)
        for rows, block in seen.blocks(entries):
            covered[rows] += 1
            agree(block.product(dense, offsets), expected[rows], seen, "product of a block")
        holds((covered == 1).all(), seen, "its blocks do not contain every row exactly once.")
    some = np.arange(len(X))[::2]
    agree(seen.take(some).product(dense, offsets), expected[some], seen, "take")
    agree(seen.subset(some).product(dense, offsets), expected[some], seen, "subset")
    agree(seen.stored().product(dense, offsets), expected, seen, "stored")
    agree(seen.times(2.0).product(dense, offsets), 2 * expected, seen, "times")
    for i in range(len(X)):
        columns, values, _ = seen.row(i)
        order = np.argsort(columns)
        there = np.flatnonzero(weight[i] > 0)
        holds(np.array_equal(columns[order], there), seen, f"row {i} has different columns.")
        agree(values[order], X[i, there], seen, f"row {i}")
