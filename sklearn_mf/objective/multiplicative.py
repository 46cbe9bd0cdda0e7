"""Multiplicative updates of the rows of one non-negative factor, the other fixed."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.systems import Descent

# What stands for a divisor of zero, and below what coefficients are zero; as in scikit-learn.
FLOOR = float(np.finfo(np.float32).eps)
LEAST = float(np.finfo(np.float64).eps)
# Updates from a constant before Newton's method: enough to choose among several minima.
FIRST_UPDATES = 30


@dataclass(frozen=True)
class GradientParts:
    """A derivative to non-negative rows as the difference of two parts that are not negative.

    Attributes
    ----------
    negative, positive : ndarray of shape (n_rows, k)
        The derivative is the second less the first.
    loss : float or None
        Of all entries, where it was asked for.
    """

    negative: np.ndarray
    positive: np.ndarray
    loss: float | None = None


def multiplied(at, penalty, W, exponent):
    r"""Rows times a power of the ratio of the derivative's parts, penalties in the second.

    .. math::

        w \leftarrow w \left(\frac{\nabla^-}
        {\nabla^+ + \lambda_1 + \lambda_2 w}\right)^\gamma

    Parameters
    ----------
    at : GradientParts
        At these rows.
    penalty : RowPenalty
        Of the rows.
    W : ndarray of shape (n_rows, k)
        The rows.
    exponent : float
        The power.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        The rows updated; what was zero stays zero.
    """
    divisor = at.positive + penalty.slope(W)
    divisor[divisor == 0] = FLOOR
    ratio = np.divide(at.negative, divisor, out=divisor)
    if exponent != 1:
        ratio **= ratio.dtype.type(exponent)
    ratio *= W
    return ratio


def flush(W, beta):
    """Set to zero what is too small, in place: as scikit-learn does, else where products underflow.

    Parameters
    ----------
    W : ndarray of shape (n_rows, k)
        The rows.
    beta : float
        Of the divergence.
    """
    W[(LEAST if beta < 1 else _underflow(W.dtype)) > W] = 0


def _underflow(dtype):
    """Numbers so small that their products would take many times as long, if they are numbers."""
    return float(np.sqrt(np.finfo(dtype).tiny))


def multiply(systems, start, rounds):
    """Rounds of multiplicative updates under the squared loss, on normal equations.

    Parameters
    ----------
    systems : RowSystems
        With a penalty.
    start : ndarray of shape (n_rows, k)
        Where to start.
    rounds : int
        How often every coefficient is multiplied.

    Returns
    -------
    descent : Descent
        No row costs more than at its start.
    """
    penalized = systems.penalty.ridge.any() or systems.penalty.l1.any()
    rows, underflow = start, _underflow(start.dtype) * start.max(initial=0)
    for _ in range(rounds):
        divisor = systems.times(rows)
        if penalized:
            divisor += systems.penalty.slope(rows)
        divisor[divisor == 0] = FLOOR
        ratio = np.divide(np.maximum(systems.moments, 0), divisor, out=divisor)
        ratio *= rows
        ratio[ratio < underflow] = 0
        rows = ratio
    return Descent.after(systems, rows, np.zeros_like(rows, shape=len(rows)))


def first_codes(observations: ObservedMatrix, loss, design, penalty):
    """Positive rows near a minimum: the best constant of each row, updated a few times.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.
    loss : BetaDivergence
        Splits its derivative.
    design : ndarray of shape (n_columns, k)
        The other factor.
    penalty : RowPenalty
        Of the rows.

    Returns
    -------
    codes : ndarray of shape (n_rows, k)
        Each depends on its own row alone; zero, where the row has nothing but zeros.
    """
    ones = np.ones_like(design, shape=(len(design), 1))
    no_offsets = np.zeros_like(design, shape=len(design))
    of_data = observations.product(ones, no_offsets)
    of_model = observations.pull_rows(np.ones_like(observations.values), design).sum(axis=1)
    codes = np.zeros_like(design, shape=(observations.shape[0], design.shape[1]))
    np.divide(of_data, of_model[:, None], out=codes, where=of_model[:, None] > 0)
    for _ in range(FIRST_UPDATES):
        _, *parts = observations.split_gradient(codes, design, loss)
        codes = multiplied(GradientParts(*parts), penalty, codes, loss.exponent)
    return codes
