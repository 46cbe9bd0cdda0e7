"""Rows improved by coordinate descent on their normal equations."""

from dataclasses import dataclass, fields

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.utils._threads import n_threads, product

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


@dataclass(frozen=True)
class Descent:
    """Rows improved by coordinate descent.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, k)
        Where they are now.
    violation : ndarray of shape (n_rows,)
        How far each was from its minimum at the start; see ``kernels.descend_rows``.
    loss : ndarray of shape (n_rows,)
        The squared loss of each row now, less that of a row of zeros.
    doubtful : ndarray of bool of shape (n_rows,)
        Rows for which this precision does not tell how far they should go.
    """

    rows: np.ndarray
    violation: np.ndarray
    loss: np.ndarray
    doubtful: np.ndarray

    @classmethod
    def after(cls, equations, rows, violation, doubtful=None):
        """Of rows that solve normal equations better than before."""
        if doubtful is None:
            doubtful = np.zeros(len(rows), dtype=bool)
        grams, moments = equations
        slope = images(grams, rows)
        slope *= 0.5
        slope -= moments
        loss = np.einsum("ik,ik->i", rows, slope, dtype=np.float64)
        return cls(rows, violation, loss, doubtful)

    @classmethod
    def empty(cls, start):
        """Of rows that parts are to be put into."""
        per_row = np.zeros_like(start, shape=len(start))
        return cls(np.array(start), per_row, per_row.astype(np.float64), per_row.astype(bool))

    def put(self, rows, part):
        """Write the descent of some rows in its place."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)


def images(grams, rows):
    """Products of rows with their Gram matrices, one for each or one for all."""
    return product(rows, grams[0]) if len(grams) == 1 else (grams @ rows[:, :, None])[:, :, 0]


def descend(equations, penalty, start, accuracy):
    """Coordinate descent on normal equations, one for each row or one for all."""
    rows, violation = _descend(equations, penalty, start, accuracy)
    return Descent.after(equations, rows, violation)


def settle(equations, penalty, start):
    """Rows at rest: descent finds which coefficients are zero, linear systems what others are.

    Descent alone takes hundreds of rounds where components are correlated. Every row goes its own
    way, whatever others are solved with it, but for rounding error. In single precision that error
    would lead rows whose systems are singular: they end at once, doubtful.
    """
    rows, violation = _descend(equations, penalty, start, (FINE, ROUNDS_BETWEEN))
    moving, doubtful = np.arange(len(rows)), np.zeros(len(rows), dtype=bool)
    for n_systems in range(MOST_SYSTEMS):
        part, before = _of_rows(equations, penalty, moving), rows[moving]
        solved, held = _solved(*part, before)
        after, _ = _descend(*part, solved, (FINE, ROUNDS_BETWEEN))
        rows[moving] = after
        moved = np.abs(after - solved).max(axis=1, initial=0)
        rests = moved <= _least(FINE, rows) * np.abs(after).max(axis=1, initial=0)
        # Or its system was solved, and descent is content with its zeros: the rest is rounding.
        rests |= (np.sign(after) == np.sign(solved)).all(axis=1) & (solved != before).any(axis=1)
        # What is held back rests where nothing falls; so do zeros that come and go.
        slow = held | (n_systems >= PATIENCE)
        if rows.dtype == np.float32:
            doubtful[moving] = held | (slow & ~rests)
            rests |= slow
        elif slow.any():
            some = _of_rows(*part, slow)
            rests &= ~held
            rests[slow] |= ~_falls(*some, before[slow], after[slow])
        moving = moving[~rests]
        if len(moving) == 0:
            break
    else:
        part = _of_rows(equations, penalty, moving)
        rows[moving], _ = _descend(*part, rows[moving], (FINE, LAST_ROUNDS))
    return Descent.after(equations, rows, violation, doubtful)


def _falls(equations, penalty, before, after):
    """Whether rows cost less than before, by more than rounding error.

    Of the way between them: costs themselves, one less the other, would have half the digits.
    """
    (scale, _, l1, _), start = penalty, before.astype(np.float64)
    way = after - start
    slope, noise = _slope(equations, penalty, before)
    absolute = scale[:, None] * l1 * (np.abs(start + way) - np.abs(start))
    fall = way * (slope - 0.5 * _curved(equations, penalty, way)) - absolute
    least = LEAST_FALL * np.finfo(np.float64).eps * np.abs(start * equations[1]).sum(axis=1)
    return fall.sum(axis=1) > (noise * np.abs(way)).sum(axis=1) + least


def _curved(equations, penalty, rows):
    """Rows times their quadratic form, ridge included: each by itself, whatever the others."""
    (grams, _), (scale, ridge, *_) = equations, penalty
    return (grams.astype(np.float64) @ rows[:, :, None])[:, :, 0] + scale[:, None] * ridge * rows


def _slope(equations, penalty, rows):
    """How steeply the cost without absolute values falls, and what of it is rounding error.

    That leads nowhere.
    """
    grams, moments = equations
    slope = moments - _curved(equations, penalty, rows)
    terms = np.abs(moments) + (np.abs(grams) @ np.abs(rows)[:, :, None])[:, :, 0]
    noise = DOUBT * float(np.finfo(rows.dtype).eps) * terms
    slope[np.abs(slope) <= noise] = 0
    return slope, noise


def _solved(equations, penalty, before):
    """Rows whose coefficients other than zero solve their system; which of them were held back.

    Where coefficients may trade with one another for nothing, or next to it, each is held back a
    little (the proximal point method): they go as far as the penalty pays for, in a few steps
    instead of the thousands of descent, and rest at the same place.
    """
    grams, moments = equations
    solved = kernels.settle_rows(grams, moments, penalty, before, _threads(before, 1))
    held = (solved == before).all(axis=1) & before.any(axis=1)
    if held.any():
        part, before = _of_rows(equations, penalty, held), before[held]
        (grams, _), (scale, ridge, l1, _) = part
        k, (slope, _) = before.shape[1], _slope(*part, before)
        diagonals = np.einsum("ikk->ik", grams) + scale[:, None] * ridge
        hold = HOLD * np.sqrt(k * np.finfo(before.dtype).eps) * diagonals
        moments = _curved(*part, before) + slope + hold * before
        grams = np.ascontiguousarray(grams + hold[:, :, None] * np.eye(k), dtype=before.dtype)
        moments = moments.astype(before.dtype)
        nearer = kernels.settle_rows(grams, moments, part[1], before, _threads(before, 1))
        pulled = (((slope != 0) | (l1 > 0)) & (before != 0)).any(axis=1)
        nearer[~pulled] = before[~pulled]
        solved[held] = _beyond(*part, before, nearer)
    return solved, held


def _beyond(equations, penalty, before, after):
    """Rows that go on as they went to where they cost least, or a coefficient becomes zero."""
    (grams, _), (scale, _, l1, _) = equations, penalty
    at = after.astype(np.float64)
    way = at - before
    slope, noise = _slope(equations, penalty, after)
    slope = slope - scale[:, None] * l1 * np.sign(at)
    fall = np.maximum((slope * way - noise * np.abs(way)).sum(axis=1), 0)
    curvature = (way * _curved(equations, penalty, way)).sum(axis=1)
    step = np.divide(fall, curvature, out=np.full_like(fall, np.inf), where=curvature > 0)
    to_zero = np.divide(-at, way, out=np.full_like(way, np.inf), where=way * at < 0)
    # What components contribute adds up to the data: none becomes much more than they are now.
    root = np.sqrt(np.einsum("ikk->ik", grams))
    largest, growth = ((root * np.abs(part)).max(axis=1) for part in (at, way))
    most = np.divide(REACH * largest, growth, out=np.zeros_like(growth), where=growth > 0)
    step = np.minimum(step, np.minimum(to_zero.min(axis=1), most))
    beyond = at + step[:, None] * way
    beyond[to_zero <= step[:, None]] = 0
    return beyond.astype(after.dtype)


def _descend(equations, penalty, start, accuracy):
    grams, moments = equations
    start, moments = np.ascontiguousarray(start), np.ascontiguousarray(moments)
    tol, rounds = accuracy
    threads = _threads(start, rounds)
    return kernels.descend_rows(grams, moments, penalty, start, _least(tol, start), rounds, threads)


def _least(tol, rows):
    """What can be told from rounding error."""
    return max(tol, 10 * float(np.finfo(rows.dtype).eps))


def _threads(rows, rounds):
    return n_threads(rows.size * rows.shape[1] * rounds)


def _of_rows(equations, penalty, rows):
    """Normal equations and penalty of some rows."""
    (grams, moments), (scale, *per_column) = equations, penalty
    grams = grams if len(grams) == 1 else grams[rows]
    return (grams, np.ascontiguousarray(moments[rows])), (scale[rows], *per_column)
