"""The best rows under any penalty: which coefficients are zero, and what the others are then.

Descent finds the first and linear systems the second, in turns: an active-set method.
"""

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.descent import Descent, at_least, rounds, threads_for
from sklearn_mf.systems.row_systems import RowSystems

# Rows rest when no coefficient moves by more than this share of the largest. Between two linear
# systems they get so many rounds, in which it shows which coefficients are zero.
FINE, ROUNDS_BETWEEN, MOST_SYSTEMS, LAST_ROUNDS = 1e-10, 10, 50, 10_000
# Systems after which a row must cost less than before them.
PATIENCE = 5
# Share of its diagonal that is added to a singular system, in units of the root of rounding error:
# pivots as small as that are trusted, one after another.
HOLD = 10
# Rounding errors of a sum in units of its terms.
DOUBT = 10
# Share of the rounding error of costs that is worth another system: next to no penalty tells less.
LEAST_FALL = 1e-3
# How many times as much as the largest contribution of a component one may become in a step.
REACH = 10


def solve_active_set(systems: RowSystems, start):
    """Rows at rest: descent finds which coefficients are zero, linear systems what others are.

    Descent alone takes hundreds of rounds where components are correlated. Every row goes its own
    way, whatever others are solved with it, but for rounding error. In single precision that error
    would lead rows whose systems are singular: they end at once, doubtful.

    Parameters
    ----------
    systems : RowSystems
        With a penalty of any kind.
    start : ndarray of shape (n_rows, k)
        Where to start.

    Returns
    -------
    descent : Descent
        Rows whose cost is least.
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
        # Or its system was solved, and signs are unchanged after a pass: the active set is optimal.
        rests |= (np.sign(after) == np.sign(solved)).all(axis=1) & (solved != before).any(axis=1)
        # What is held back rests where nothing falls; so do zeros that come and go.
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
    """Whether rows cost less than before, by more than rounding error.

    Of the way between them: costs themselves, one less the other, would have half the digits.
    """
    (scale, _, l1, _), start = systems.penalty, before.astype(np.float64)
    way = after - start
    slope, noise = _slope(systems, before)
    absolute = scale[:, None] * l1 * (np.abs(start + way) - np.abs(start))
    fall = way * (slope - 0.5 * _curved(systems, way)) - absolute
    least = LEAST_FALL * np.finfo(np.float64).eps * np.abs(start * systems.moments).sum(axis=1)
    return fall.sum(axis=1) > (noise * np.abs(way)).sum(axis=1) + least


def _curved(systems, rows):
    """Rows times their quadratic form, ridge included: each by itself, whatever the others."""
    scale, ridge, *_ = systems.penalty
    products = (systems.grams.astype(np.float64) @ rows[:, :, None])[:, :, 0]
    return products + scale[:, None] * ridge * rows


def _slope(systems, rows):
    """How steeply the cost without absolute values falls, and what of it is rounding error.

    That leads nowhere.
    """
    slope = systems.moments - _curved(systems, rows)
    sizes = (np.abs(systems.grams) @ np.abs(rows)[:, :, None])[:, :, 0]
    terms = np.abs(systems.moments) + sizes
    noise = DOUBT * float(np.finfo(rows.dtype).eps) * terms
    slope[np.abs(slope) <= noise] = 0
    return slope, noise


def _solved(systems, before):
    """Rows whose coefficients other than zero solve their system; which of them were held back.

    Where coefficients may trade with one another for nothing, or next to it, each is held back a
    little (the proximal point method): they go as far as the penalty pays for, in a few steps
    instead of the thousands of descent, and rest at the same place.
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
    """What the coefficients other than zero are, if no other one becomes zero on the way."""
    grams, moments = (np.ascontiguousarray(part, before.dtype) for part in (grams, moments))
    return kernels.settle_rows(grams, moments, penalty, before, threads_for(before, 1))


def _beyond(systems, before, after):
    """Rows that go on as they went to where they cost least, or a coefficient becomes zero."""
    scale, _, l1, _ = systems.penalty
    at = after.astype(np.float64)
    way = at - before
    slope, noise = _slope(systems, after)
    slope = slope - scale[:, None] * l1 * np.sign(at)
    fall = np.maximum((slope * way - noise * np.abs(way)).sum(axis=1), 0)
    curvature = (way * _curved(systems, way)).sum(axis=1)
    step = np.divide(fall, curvature, out=np.full_like(fall, np.inf), where=curvature > 0)
    to_zero = np.divide(-at, way, out=np.full_like(way, np.inf), where=way * at < 0)
    # What components contribute adds up to the data: none becomes much more than they are now.
    root = np.sqrt(np.einsum("ikk->ik", systems.grams))
    largest, growth = ((root * np.abs(part)).max(axis=1) for part in (at, way))
    most = np.divide(REACH * largest, growth, out=np.zeros_like(growth), where=growth > 0)
    step = np.minimum(step, np.minimum(to_zero.min(axis=1), most))
    beyond = at + step[:, None] * way
    beyond[to_zero <= step[:, None]] = 0
    return beyond.astype(after.dtype)
