"""Improvement of rows under penalties other than the elastic net."""

import numpy as np

from sklearn_mf.systems.descent import Descent, at_least
from sklearn_mf.systems.row_systems import RowSystems


@np.errstate(over="ignore", invalid="ignore")  # rows that diverge are restored
def descend_proximally(systems: RowSystems, start, accuracy):
    r"""Make accelerated proximal gradient descent from initial rows (FISTA).

    The step size of a row is the inverse of an upper bound L of its second derivatives,

    .. math::

        v \leftarrow \mathrm{prox}_{g/L}\left(u - \tfrac1L (G u - m + \nabla f(u))\right)

    where f is the smooth part of the penalty, g the other part, and u a point extrapolated beyond
    the last row (Beck & Teboulle 2009, :doi:`10.1137/080716542`). The momentum restarts when the
    last move turns back (O'Donoghue & Candes 2015, :doi:`10.1007/s10208-013-9150-3`). With rowwise
    penalties the rows are independent; if the penalty compares rows, they share one step size and
    one momentum.

    Parameters
    ----------
    systems : RowSystems
        The systems, with a penalty that has `slope`, `prox`, `curvature`, `cost` and `is_rowwise`.
    start : ndarray of shape (n_rows, k)
        The initial rows.
    accuracy : tuple of (float, int)
        Largest move of a step relative to the largest coefficient, and maximum number of steps.

    Returns
    -------
    descent : Descent
        The improved rows. No row costs more than at the start, or all rows together if they are
        compared.
    """
    tol, most = accuracy
    tol = at_least(tol, start)
    rows = np.array(start)
    rows[_is_unknown(systems)] = 0
    is_rowwise = systems.penalty.is_rowwise
    n_ways = len(rows) if is_rowwise else 1
    violation = np.zeros(len(rows), dtype=start.dtype)
    moving, last, age = np.arange(n_ways), rows.copy(), np.ones(n_ways)
    lengths = _lengths(systems, start)
    for n_steps in range(most):
        ways = moving if is_rowwise else slice(None)
        part = systems.of_rows(ways) if len(moving) < n_ways else systems
        before = rows[ways]
        older, age[moving] = age[moving], (1 + np.sqrt(1 + 4 * age[moving] ** 2)) / 2
        ahead = before + _per_row((older - 1) / age[moving], before) * (before - last[ways])
        slope = part.times(ahead) - part.moments + part.penalty.slope(ahead)
        length = lengths[ways]
        after = part.penalty.prox(ahead - length * slope, length if is_rowwise else length[0, 0])
        if n_steps == 0:
            violation[:] = np.abs(slope).sum(axis=1)
        turns = _by_way((ahead - after) * (after - before), part).sum(axis=1) > 0
        age[moving[turns]] = 1
        last[ways], rows[ways] = before, after
        change = _by_way(np.abs(after - ahead), part).max(axis=1, initial=0)
        moving = moving[change > tol * _by_way(np.abs(after), part).max(axis=1, initial=0)]
        if len(moving) == 0:
            break
    rows = _cheaper(systems, start, rows)
    return Descent.after(systems, rows, violation)


def _is_unknown(systems):
    """Return which rows have neither data nor a penalty."""
    if not systems.penalty.is_rowwise or len(systems.grams) == 1:
        return np.zeros(len(systems.moments), dtype=bool)
    return (systems.penalty.scale == 0) & ~systems.grams.any(axis=(1, 2))


def _lengths(systems, rows):
    """Return the step size of every row, or of all: the inverse of the largest curvature."""
    curvature = np.linalg.eigvalsh(systems.grams)[:, -1] + systems.penalty.curvature
    if not systems.penalty.is_rowwise:
        curvature = curvature.max(initial=0, keepdims=True)
    lengths = 1 / np.where(curvature > 0, curvature, 1)
    return lengths.astype(rows.dtype)[:, None]


def _by_way(numbers, systems):
    """Sum over the coefficients that share a step: of a row, or of all rows."""
    return numbers if systems.penalty.is_rowwise else numbers.reshape(1, -1)


def _per_row(numbers, rows):
    return numbers.astype(rows.dtype)[:, None]


def _cheaper(systems, before, after):
    """Return the new rows, or the old ones where these cost less."""
    costs = [_costs(systems, rows) for rows in (before, after)]
    if not systems.penalty.is_rowwise:
        return after if costs[1].sum() <= costs[0].sum() else before
    return np.where((costs[1] <= costs[0])[:, None], after, before)


def _costs(systems, rows):
    slope = 0.5 * systems.times(rows) - systems.moments
    return np.einsum("ik,ik->i", rows, slope, dtype=np.float64) + systems.penalty.cost(rows)
