"""Automatic choice of the strength and the rank: ``alpha_W="auto"``, ``n_components=None``."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.fitting.hidden import n_enough
from sklearn_mf.fitting.paths import PRECISION
from sklearn_mf.fitting.ranks import HIDDEN_SHARE, MOST_COMPONENTS, N_HOLD_OUTS, unit_of_shares
from sklearn_mf.fitting.strength import Trials, rank_and_strength, strength_at
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.constants import with_offset
from sklearn_mf.objective.objective import Objective, Strength
from sklearn_mf.observations import (
    BlockedObservations,
    DenseObservations,
    ObservedMatrix,
    ZeroFilledObservations,
)
from sklearn_mf.utils._hiding import hiding_stream

# Entries are hidden in enough hold-outs to hide this number in total (fewer than for the rank).
# With fewer hidden entries than the second number, no choice is made.
ENOUGH_FOR_STRENGTH, FEWEST_HIDDEN = 500, 3
# Number of entries, and of rows per column, that are enough for the choice.
MANY_ENTRIES, ROWS_PER_COLUMN = 1 << 15, 4
# Maximum number of entries read into memory from data in blocks.
MOST_IN_MEMORY = 1 << 20
# Strengths that are used if nothing can be hidden or the solver cannot make the search, the second
# one for losses without a quadratic bound, whose model values diverge more easily.
TYPICAL_SHARE, TYPICAL_OF_RATES = 0.1, 0.4


@dataclass(frozen=True)
class Choice:
    """The result of a choice by hidden entries.

    Attributes
    ----------
    n_components : int
        The rank.
    strength : Strength
        Strength of the penalties, in the unit of the data.
    Ht : ndarray of shape (n_features, k), or None
        Initial factor for a fit to all entries, in the unit of the data.
    """

    n_components: int
    strength: Strength
    Ht: np.ndarray | None = None


def chosen_by_hidden_entries(
    objective: Objective, observations: ObservedMatrix, n_components, random_state
):
    """Choose the strength, and possibly the rank, that predict hidden entries best.

    Parameters
    ----------
    objective : Objective
        The objective; its strength is not used.
    observations : ObservedMatrix
        The data, in their own unit.
    n_components : int or None
        The rank; None if it is to be chosen as well.
    random_state : int, RandomState instance or None
        Controls which entries are hidden.

    Returns
    -------
    choice : Choice or None
        The choice; None if the solver cannot make the search, or too few entries can be hidden.
    """
    if not _can_choose(objective, observations):
        return None
    rng, unit = check_random_state(random_state), unit_of_shares(objective, observations)
    trials = _trials(objective, _some_rows(observations, rng), unit, rng)
    if trials is None:
        return None
    with threads_for(trials.hidden):
        if n_components is None:
            largest = min(*observations.shape, MOST_COMPONENTS)
            is_full = largest == min(observations.shape)
            n_components, share, Ht = rank_and_strength(trials, largest, is_full)
        else:
            share, Ht = strength_at(trials, n_components)
    strength = Strength.of_share(share, unit, objective.l1_ratio)
    Ht = unit.outside(Ht.astype(observations.dtype), n_components)
    return Choice(n_components, strength, Ht if objective.loss.is_squared else None)


def typical_strength(objective: Objective, observations: ObservedMatrix):
    """Return a strength that suits most data; it decreases with the fraction of missing entries."""
    share = TYPICAL_SHARE if hasattr(objective.loss, "quadratic") else TYPICAL_OF_RATES
    unit = unit_of_shares(objective, observations)
    return Strength.of_share(share * share_missing(observations), unit, objective.l1_ratio)


def share_missing(observations: ObservedMatrix):
    """Return the fraction of missing entries."""
    return 1 - observations.n_observed / np.prod(observations.shape, dtype=np.float64)


def _can_choose(objective: Objective, observations: ObservedMatrix):
    """Return whether alternating least squares is exact and entries can be hidden."""
    if isinstance(observations, ZeroFilledObservations) or not hasattr(objective.loss, "quadratic"):
        return False
    return objective.problem(observations, 1).is_quadratic


def _trials(objective: Objective, observations: ObservedMatrix, unit, rng):
    """Return trials with hidden entries, or None if too few entries can be hidden."""
    observations = unit.observations(observations).stored().in_short(PRECISION)
    n_trials = n_enough(HIDDEN_SHARE * observations.n_observed, ENOUGH_FOR_STRENGTH)
    n_trials = min(n_trials, N_HOLD_OUTS)
    held_out = observations.repeated(n_trials).hold_out(HIDDEN_SHARE, hiding_stream(rng))
    if held_out.hidden.n_observed < FEWEST_HIDDEN:
        return None
    if objective.loss.kinds is not None:
        loss = objective.loss.at(np.tile(objective.loss.kinds, n_trials))
        objective = replace(objective, loss=loss)
    with threads_for(observations):
        offset = with_offset(unit.terms(objective.problem(observations, 1))).offset

    def problem_of(rank, share):
        strength = Strength.of_share(share, unit, objective.l1_ratio)
        problem = objective.at(strength).problem(held_out.visible, rank)
        return replace(unit.terms(problem), offset=offset)

    return Trials(problem_of, held_out.hidden, n_trials, rng)


def _some_rows(observations: ObservedMatrix, rng):
    """Return all rows or, for large tables that are not sparse, as many as are cheap to copy."""
    n_rows, n_columns = observations.shape
    n_chosen = max(MANY_ENTRIES // n_columns, ROWS_PER_COLUMN * n_columns)
    if isinstance(observations, BlockedObservations):  # trials need data in memory
        n_chosen = max(n_chosen, int(MOST_IN_MEMORY * n_rows / observations.n_observed))
        rows = np.arange(n_rows) if n_rows <= n_chosen else rng.permutation(n_rows)[:n_chosen]
        return observations.subset(np.sort(rows))
    if not isinstance(observations, DenseObservations) or n_rows <= n_chosen:
        return observations
    return observations.take(np.sort(rng.permutation(n_rows)[:n_chosen]))
