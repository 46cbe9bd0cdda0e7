"""Multiplicative updates of the rows of one non-negative factor for a fixed other factor."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.systems import Descent

# Smallest divisor, and the threshold below which coefficients are set to zero, as in scikit-learn.
FLOOR = float(np.finfo(np.float32).eps)
LEAST = float(np.finfo(np.float64).eps)
# Number of updates before Newton's method, enough to select one of several minima.
FIRST_UPDATES = 30


@dataclass(frozen=True)
class GradientParts:
    """A derivative with respect to non-negative rows, as the difference of two non-negative parts.

    Attributes
    ----------
    negative, positive : ndarray of shape (n_rows, k)
        The derivative is the second part minus the first.
    loss : float or None
        Loss of all entries, if it was requested.
    """

    negative: np.ndarray
    positive: np.ndarray
    loss: float | None = None


def multiplied(at, penalty, W, exponent):
    r"""Multiply rows by a power of the ratio of the derivative's parts, with penalties.

    .. math::

        w \leftarrow w \left(\frac{\nabla^-}
        {\nabla^+ + \lambda_1 + \lambda_2 w}\right)^\gamma

    Parameters
    ----------
    at : GradientParts
        Parts of the derivative at these rows.
    penalty : RowPenalty
        Penalty on the rows.
    W : ndarray of shape (n_rows, k)
        The rows.
    exponent : float
        The exponent :math:`\gamma`.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        The updated rows; zeros remain zeros.
    """
    divisor = at.positive + penalty.slope(W)
    divisor[divisor == 0] = FLOOR
    ratio = np.divide(at.negative, divisor, out=divisor)
    if exponent != 1:
        ratio **= ratio.dtype.type(exponent)
    ratio *= W
    return ratio


def flush(W, beta):
    """Set tiny numbers to zero in place: as scikit-learn does, or where products underflow.

    Parameters
    ----------
    W : ndarray of shape (n_rows, k)
        The rows.
    beta : float
        Exponent of the beta divergence.
    """
    W[(LEAST if beta < 1 else _underflow(W.dtype)) > W] = 0


def _underflow(dtype):
    """Return the size below which products are subnormal numbers, which are very slow."""
    return float(np.sqrt(np.finfo(dtype).tiny))


def multiply(systems, start, rounds):
    """Make rounds of multiplicative updates under the squared loss, from the normal equations.

    Parameters
    ----------
    systems : RowSystems
        The normal equations, with a penalty.
    start : ndarray of shape (n_rows, k)
        Initial rows.
    rounds : int
        Number of updates of every coefficient.

    Returns
    -------
    descent : Descent
        The result. No row costs more than at the start.
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
    """Return positive rows near a minimum: the best constants of the rows, updated a few times.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.
    loss : BetaDivergence
        The loss, which splits its derivative.
    design : ndarray of shape (n_columns, k)
        The other factor.
    penalty : RowPenalty
        Penalty on the rows.

    Returns
    -------
    codes : ndarray of shape (n_rows, k)
        The rows. Each depends on its own data only, and is zero if its observed entries are zeros.
    """
    ones = np.ones_like(design, shape=(len(design), 1))
    no_offsets = np.zeros_like(design, shape=len(design))
    of_data = observations.product(ones, no_offsets)
    of_model = observations.pull_rows(np.ones_like(observations.values), design).sum(axis=1)
    codes = np.zeros_like(design, shape=(observations.shape[0], design.shape[1]))
    np.divide(of_data, of_model[:, None], out=codes, where=of_model[:, None] > 0)
    with np.errstate(over="ignore", invalid="ignore"):  # of a factor that is next to nothing
        for _ in range(FIRST_UPDATES):
            _, *parts = observations.split_gradient(codes, design, loss)
            codes = multiplied(GradientParts(*parts), penalty, codes, loss.exponent)
    codes[~np.isfinite(codes).all(axis=1)] = 0
    return codes
