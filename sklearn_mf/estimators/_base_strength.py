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
    Trial,
    rank_and_strength,
    strength_at,
)
from sklearn_mf.observations import DenseObservations, ZeroFilledObservations
from sklearn_mf.utils._hiding import hiding_stream

# Entries are hidden in so many hold-outs that enough are, fewer than a rank asks for; fewer than so
# many tell nothing.
ENOUGH_FOR_STRENGTH, FEWEST_HIDDEN = 1000, 3
# Entries of a table that are enough to choose by.
MANY_ENTRIES = 1 << 20
NOTHING = Strength(0.0, 0.0)


class AutomaticPenalty(PathsMixin):
    """For estimators of a `Problem` with the parameters of MatrixFactorization."""

    def _rank_and_strength(self, observations, loss):
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
        unit, trials = self._unit_of_shares(observations, loss), []
        if self._can_choose_strength(observations, loss):
            rng = check_random_state(self.random_state)
            trials = self._trials(_some_rows(observations, rng), (loss, unit), rng)
        if not trials:
            rank = self._choose_n_components(observations, loss) if rank is None else rank
            return rank, self._strength_of_batch(observations, loss)
        with threads_for(trials[0].hidden):
            if rank is None:
                largest = min(*observations.shape, MOST_COMPONENTS)
                rank, share = rank_and_strength(trials, largest)
            else:
                share = strength_at(trials, rank)
        return rank, outside(share, unit, self.l1_ratio)

    def _strength_of_batch(self, observations, loss):
        """The strength that is good for most data, the weaker the less is missing."""
        if self.alpha_W != "auto":
            return self._strength
        share = TYPICAL_SHARE if hasattr(loss, "quadratic") else TYPICAL_OF_RATES
        unit = self._unit_of_shares(observations, loss)
        return outside(share * _share_missing(observations), unit, self.l1_ratio)

    def _trials(self, observations, terms, rng):
        """What walks downhill see and are judged by; none, where too little can be hidden."""
        loss, unit = terms
        observations = unit.observations(observations).stored().in_short(PRECISION)
        n_trials = n_enough(HIDDEN_SHARE * observations.n_observed, ENOUGH_FOR_STRENGTH)
        trials = []
        for seed in rng.randint(2**31 - 1, size=min(n_trials, N_HOLD_OUTS)):
            held_out = observations.hold_out(HIDDEN_SHARE, hiding_stream(seed))
            if held_out.hidden.n_observed:
                random_state = check_random_state(seed)
                problem_of = self._problem_of(held_out.visible.stored(), loss, unit)
                trials.append(Trial(problem_of, held_out.hidden, random_state))
        enough = sum(trial.hidden.n_observed for trial in trials) >= FEWEST_HIDDEN
        return trials if enough else []

    def _problem_of(self, visible, loss, unit):
        """The problem of what is visible, in units of its deviation, for a rank and a strength."""

        def in_unit(rank, share):
            strength = outside(share, unit, self.l1_ratio)
            return unit.terms(self._problem(visible, loss, rank, strength))

        with threads_for(visible):
            offset = self._with_offset(in_unit(1, TYPICAL_SHARE)).offset
        return lambda rank, share: replace(in_unit(rank, share), offset=offset)

    def _can_choose_strength(self, observations, loss):
        """Whether alternation solves what entries can be hidden of."""
        if isinstance(observations, ZeroFilledObservations) or not hasattr(loss, "quadratic"):
            return False
        return self._problem(observations, loss, 1).is_smooth


def _some_rows(observations, rng):
    """All rows, or of large tables that are not sparse as many as can be copied cheaply."""
    n_rows, n_columns = observations.shape
    n_chosen = max(MANY_ENTRIES // n_columns, n_columns)
    if not isinstance(observations, DenseObservations) or n_rows <= n_chosen:
        return observations
    return observations.take(np.sort(rng.permutation(n_rows)[:n_chosen]))


def _share_missing(observations):
    return 1 - observations.n_observed / np.prod(observations.shape, dtype=np.float64)
