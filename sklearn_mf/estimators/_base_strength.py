"""What ``alpha_W="auto"`` means, and ``n_components=None`` beside it."""

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.estimators._base import threads_for
from sklearn_mf.estimators._base_paths import (
    HIDDEN_SHARE,
    MOST_COMPONENTS,
    N_HOLD_OUTS,
    PathsMixin,
    Strength,
    outside,
)
from sklearn_mf.fitting.paths import PRECISION, n_enough
from sklearn_mf.fitting.strength import (
    TYPICAL_OF_RATES,
    TYPICAL_SHARE,
    Trials,
    rank_and_strength,
    strength_at,
)
from sklearn_mf.observations import DenseObservations, ObservedMatrix, ZeroFilledObservations
from sklearn_mf.utils._hiding import hiding_stream

# Entries are hidden in so many hold-outs that enough are, fewer than a rank asks for; fewer than so
# many tell nothing.
ENOUGH_FOR_STRENGTH, FEWEST_HIDDEN = 500, 3
# Entries of a table that are enough to choose by.
MANY_ENTRIES, ROWS_PER_COLUMN = 1 << 15, 4
NOTHING = Strength(0.0, 0.0)


class AutomaticPenalty(PathsMixin):
    """For estimators of a `Problem` with the parameters of MatrixFactorization."""

    def _rank_and_strength(self, observations: ObservedMatrix, loss):
        """Number of components, and strength of the penalties, as parameters and data say."""
        if self.alpha_W != "auto":
            return self._choose_n_components(observations, loss), self._strength
        if self._goes_on and self.n_components is None:
            return self.n_components_, self._strength
        share_missing = _share_missing(observations)
        if share_missing == 0:
            return self._choose_n_components(observations, loss), NOTHING
        is_free = self.n_components is None and isinstance(self.init, str)
        rank = None if is_free else self._choose_n_components(observations, loss)
        if self._goes_on:
            return rank, self._strength
        unit, trials = self._unit_of_shares(observations, loss), None
        if self._can_choose_strength(observations, loss):
            rng = check_random_state(self.random_state)
            trials = self._trials(_some_rows(observations, rng), (loss, unit), rng)
        if trials is None:
            rank = self._choose_n_components(observations, loss) if rank is None else rank
            return rank, self._strength_of_batch(observations, loss)
        with threads_for(trials.hidden):
            if rank is None:
                largest = min(*observations.shape, MOST_COMPONENTS)
                is_full = largest == min(observations.shape)
                rank, share, Ht = rank_and_strength(trials, largest, is_full)
            else:
                share, Ht = strength_at(trials, rank)
        if loss.is_squared:
            self._walked = unit.outside(Ht.astype(observations.dtype), rank)
        return rank, outside(share, unit, self.l1_ratio)

    def _strength_of_batch(self, observations: ObservedMatrix, loss):
        """The strength that is good for most data, the weaker the less is missing."""
        if self.alpha_W != "auto":
            return self._strength
        share = TYPICAL_SHARE if hasattr(loss, "quadratic") else TYPICAL_OF_RATES
        unit = self._unit_of_shares(observations, loss)
        return outside(share * _share_missing(observations), unit, self.l1_ratio)

    def _trials(self, observations: ObservedMatrix, terms, rng):
        """What walks downhill see and are judged by; none, where too little can be hidden."""
        loss, unit = terms
        observations = unit.observations(observations).stored().in_short(PRECISION)
        n_trials = n_enough(HIDDEN_SHARE * observations.n_observed, ENOUGH_FOR_STRENGTH)
        n_trials = min(n_trials, N_HOLD_OUTS)
        held_out = observations.repeated(n_trials).hold_out(HIDDEN_SHARE, hiding_stream(rng))
        if held_out.hidden.n_observed < FEWEST_HIDDEN:
            return None
        if loss.kinds is not None:
            loss = loss.at(np.tile(loss.kinds, n_trials))
        with threads_for(observations):
            offset = self._with_offset(unit.terms(self._problem(observations, loss, 1))).offset

        def problem_of(rank, share):
            strength = outside(share, unit, self.l1_ratio)
            problem = self._problem(held_out.visible, loss, rank, strength)
            return replace(unit.terms(problem), offset=offset)

        return Trials(problem_of, held_out.hidden, n_trials, rng)

    def _can_choose_strength(self, observations: ObservedMatrix, loss):
        """Whether alternation solves what entries can be hidden of."""
        if isinstance(observations, ZeroFilledObservations) or not hasattr(loss, "quadratic"):
            return False
        return self._problem(observations, loss, 1).is_smooth


def _some_rows(observations: ObservedMatrix, rng):
    """All rows, or of large tables that are not sparse as many as can be copied cheaply."""
    n_rows, n_columns = observations.shape
    n_chosen = max(MANY_ENTRIES // n_columns, ROWS_PER_COLUMN * n_columns)
    if not isinstance(observations, DenseObservations) or n_rows <= n_chosen:
        return observations
    return observations.take(np.sort(rng.permutation(n_rows)[:n_chosen]))


def _share_missing(observations: ObservedMatrix):
    return 1 - observations.n_observed / np.prod(observations.shape, dtype=np.float64)
