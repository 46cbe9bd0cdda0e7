"""Rows improved under a penalty that squares, absolute values and bounds do not tell."""

import numpy as np

from sklearn_mf.systems.descent import Descent, at_least
from sklearn_mf.systems.row_systems import RowSystems


@np.errstate(over="ignore", invalid="ignore")  # rows that led astray are taken back
def descend_proximally(systems: RowSystems, start, accuracy):
    r"""Accelerated proximal gradient descent from a start (FISTA).

    A row takes steps of one over the largest second derivative that it may have,

    .. math::

        v \leftarrow \mathrm{prox}_{g/L}\left(u - \tfrac1L (G u - m + \nabla f(u))\right)

    for the smooth part f of the penalty and the other part g, from a point u that lies beyond the
    last row (Beck & Teboulle 2009, :doi:`10.1137/080716542`). Where the last move turns back the
    momentum starts anew (O'Donoghue & Candes 2015, :doi:`10.1007/s10208-013-9150-3`). Rows that
    cost by themselves go their own ways; where the penalty compares rows, all take one way.

    Parameters
    ----------
    systems : RowSystems
        With a penalty that has `slope`, `prox`, `curvature`, `cost` and `is_rowwise`.
    start : ndarray of shape (n_rows, k)
        Where to start.
    accuracy : tuple of (float, int)
        What a step's largest move may be beside the largest coefficient, and steps at most.

    Returns
    -------
    descent : Descent
        No row costs more than at its start; or all rows together, where they are compared.
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
    """Rows of which neither data nor a penalty tell anything."""
    if not systems.penalty.is_rowwise or len(systems.grams) == 1:
        return np.zeros(len(systems.moments), dtype=bool)
    return (systems.penalty.scale == 0) & ~systems.grams.any(axis=(1, 2))


def _lengths(systems, rows):
    """Steps of every row, or of all: one over the largest second derivative."""
    curvature = np.linalg.eigvalsh(systems.grams)[:, -1] + systems.penalty.curvature
    if not systems.penalty.is_rowwise:
        curvature = curvature.max(initial=0, keepdims=True)
    lengths = 1 / np.where(curvature > 0, curvature, 1)
    return lengths.astype(rows.dtype)[:, None]


def _by_way(numbers, systems):
    """Numbers of all coefficients that go one way: of a row, or of all of them."""
    return numbers if systems.penalty.is_rowwise else numbers.reshape(1, -1)


def _per_row(numbers, rows):
    return numbers.astype(rows.dtype)[:, None]


def _cheaper(systems, before, after):
    """The rows after, unless those before cost less."""
    costs = [_costs(systems, rows) for rows in (before, after)]
    if not systems.penalty.is_rowwise:
        return after if costs[1].sum() <= costs[0].sum() else before
    return np.where((costs[1] <= costs[0])[:, None], after, before)


def _costs(systems, rows):
    slope = 0.5 * systems.times(rows) - systems.moments
    return np.einsum("ik,ik->i", rows, slope, dtype=np.float64) + systems.penalty.cost(rows)
