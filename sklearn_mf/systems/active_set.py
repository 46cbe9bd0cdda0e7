"""An active-set method for the optimal rows under any penalty.

It alternates between coordinate descent, which finds the zero coefficients, and linear systems for
the others.
"""

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.descent import Descent, at_least, rounds, threads_for
from sklearn_mf.systems.row_systems import RowSystems

# A row has converged when no coefficient moves by more than FINE times the largest one. Between two
# linear systems, there are ROUNDS_BETWEEN rounds of descent, which identify the zero coefficients.
FINE, ROUNDS_BETWEEN, MOST_SYSTEMS, LAST_ROUNDS = 1e-10, 10, 50, 10_000
# Number of systems after which a row must cost less than before them.
PATIENCE = 5
# Fraction of its diagonal that is added to a singular system, in units of the root of the machine
# precision: pivots of this size are still accurate.
HOLD = 10
# Rounding errors of a sum in units of its terms.
DOUBT = 10
# Fraction of the rounding errors of the costs that justifies another system, for very small
# penalties.
LEAST_FALL = 1e-3
# Factor by which the contribution of a component may exceed the largest one after a step.
REACH = 10


def solve_active_set(systems: RowSystems, start):
    """Return converged rows: descent finds the zero coefficients, linear systems the others.

    With correlated components, descent alone would need hundreds of rounds. The rows are
    independent of one another, up to rounding errors. In single precision, rounding errors would
    dominate rows with singular systems: these stop at once and are marked as doubtful.

    Parameters
    ----------
    systems : RowSystems
        The systems, with a penalty of any kind.
    start : ndarray of shape (n_rows, k)
        The initial rows.

    Returns
    -------
    descent : Descent
        The rows with the smallest cost.
    """
    rows, violation = rounds(systems, start, (FINE, ROUNDS_BETWEEN))
    moving, doubtful = np.arange(len(rows)), np.zeros(len(rows), dtype=bool)
    for n_systems in range(MOST_SYSTEMS):
        part, before = systems.of_rows(moving), rows[moving]
        solved, held = _solved(part, before)
        after, _ = rounds(part, solved, (FINE, ROUNDS_BETWEEN))
        rows[moving] = after
        moved = np.abs(after - solved).max(axis=1, initial=0)
        rests = moved <= at_least(FINE, rows) * np.abs(after).max(axis=1, initial=0)
        # Or the signs did not change after the system was solved, so the active set is optimal.
        rests |= (np.sign(after) == np.sign(solved)).all(axis=1) & (solved != before).any(axis=1)
        # Rows with proximal steps have converged when nothing decreases; so have zeros that come
        # and go.
        slow = held | (n_systems >= PATIENCE)
        if rows.dtype == np.float32:
            doubtful[moving] = held | (slow & ~rests)
            rests |= slow
        elif slow.any():
            rests &= ~held
            rests[slow] |= ~_falls(part.of_rows(slow), before[slow], after[slow])
        moving = moving[~rests]
        if len(moving) == 0:
            break
    else:
        rows[moving], _ = rounds(systems.of_rows(moving), rows[moving], (FINE, LAST_ROUNDS))
    return Descent.after(systems, rows, violation, doubtful)


def _falls(systems, before, after):
    """Return whether rows cost less than before, by more than rounding errors.

    The decrease is computed from the step between them: a difference of costs would have half the
    digits.
    """
    (scale, _, l1, _), start = systems.penalty, before.astype(np.float64)
    way = after - start
    slope, noise = _slope(systems, before)
    absolute = scale[:, None] * l1 * (np.abs(start + way) - np.abs(start))
    fall = way * (slope - 0.5 * _curved(systems, way)) - absolute
    least = LEAST_FALL * np.finfo(np.float64).eps * np.abs(start * systems.moments).sum(axis=1)
    return fall.sum(axis=1) > (noise * np.abs(way)).sum(axis=1) + least


def _curved(systems, rows):
    """Return the products of rows with their quadratic forms, ridge included, independently."""
    scale, ridge, *_ = systems.penalty
    products = (systems.grams.astype(np.float64) @ rows[:, :, None])[:, :, 0]
    return products + scale[:, None] * ridge * rows


def _slope(systems, rows):
    """Return the slope of the cost without the L1 penalty, and its rounding errors.

    Directions within the rounding errors are ignored.
    """
    slope = systems.moments - _curved(systems, rows)
    sizes = (np.abs(systems.grams) @ np.abs(rows)[:, :, None])[:, :, 0]
    terms = np.abs(systems.moments) + sizes
    noise = DOUBT * float(np.finfo(rows.dtype).eps) * terms
    slope[np.abs(slope) <= noise] = 0
    return slope, noise


def _solved(systems, before):
    """Return rows whose nonzero coefficients solve their systems, and which needed proximal steps.

    If coefficients can be exchanged with almost no change of the cost, a small proximal term is
    added (proximal point method). The coefficients then converge to the same solution in a few
    steps, instead of thousands of rounds of descent.
    """
    solved = _coefficients(systems.grams, systems.moments, systems.penalty, before)
    held = (solved == before).all(axis=1) & before.any(axis=1)
    if held.any():
        part, before = systems.of_rows(held), before[held]
        k, (slope, _) = before.shape[1], _slope(part, before)
        diagonals = (
            np.einsum("ikk->ik", part.grams) + part.penalty.scale[:, None] * part.penalty.ridge
        )
        hold = HOLD * np.sqrt(k * np.finfo(before.dtype).eps) * diagonals
        moments = _curved(part, before) + slope + hold * before
        grams = part.grams + hold[:, :, None] * np.eye(k)
        nearer = _coefficients(grams, moments, part.penalty, before)
        pulled = (((slope != 0) | (part.penalty.l1 > 0)) & (before != 0)).any(axis=1)
        nearer[~pulled] = before[~pulled]
        solved[held] = _beyond(part, before, nearer)
    return solved, held


def _coefficients(grams, moments, penalty, before):
    """Return the nonzero coefficients, if no other one becomes zero on the way."""
    grams, moments = (np.ascontiguousarray(part, before.dtype) for part in (grams, moments))
    return kernels.solve_active_set_rows(grams, moments, penalty, before, threads_for(before, 1))


def _beyond(systems, before, after):
    """Extrapolate rows along their step until the cost is smallest or a coefficient is zero."""
    scale, _, l1, _ = systems.penalty
    at = after.astype(np.float64)
    way = at - before
    slope, noise = _slope(systems, after)
    slope = slope - scale[:, None] * l1 * np.sign(at)
    fall = np.maximum((slope * way - noise * np.abs(way)).sum(axis=1), 0)
    curvature = (way * _curved(systems, way)).sum(axis=1)
    step = np.divide(fall, curvature, out=np.full_like(fall, np.inf), where=curvature > 0)
    to_zero = np.divide(-at, way, out=np.full_like(way, np.inf), where=way * at < 0)
    # The contributions of the components add up to the data, so none should become much larger than
    # now.
    root = np.sqrt(np.einsum("ikk->ik", systems.grams))
    largest, growth = ((root * np.abs(part)).max(axis=1) for part in (at, way))
    most = np.divide(REACH * largest, growth, out=np.zeros_like(growth), where=growth > 0)
    step = np.minimum(step, np.minimum(to_zero.min(axis=1), most))
    beyond = at + step[:, None] * way
    beyond[to_zero <= step[:, None]] = 0
    return beyond.astype(after.dtype)
