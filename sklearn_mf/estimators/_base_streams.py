"""Base of factorizations with early stopping, warm starts and `partial_fit`."""

from dataclasses import replace
from functools import partial

import numpy as np

from sklearn_mf.estimators._base import BaseFactorization, model_attributes
from sklearn_mf.estimators._base_start import first_factors, stated_init
from sklearn_mf.fitting.solver import solver_of
from sklearn_mf.fitting.stream import advanced
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit


class StreamedFactorization(BaseFactorization):
    """Base of factorizations with a `partial_fit`.

    A subclass has the parameters ``solver``, ``init``, ``early_stopping``,
    ``validation_fraction``, ``n_iter_no_change`` and ``warm_start`` beside those of
    `BaseFactorization`.
    """

    def _advance(self, context, posed: Problem, forget_factor=1.0):
        """Update the fitted attributes with a batch. The context is X and its solver."""
        is_first = not hasattr(self, "components_")
        unit = Unit.of(posed) if is_first else self._unit
        problem = unit.problem(posed)
        model = None if is_first else self._model
        init = partial(stated_init, self, context, unit)
        past, batch = getattr(self, "_stream", None), (forget_factor, self.random_state)
        with threads_for(posed.observations), np.errstate(over="ignore", invalid="ignore"):
            stream, Ht = advanced(past, problem, model, init, batch)
        found = FactorModel.found(replace(problem, offset=stream.offset), Ht, unit)
        if not (is_first or self._has_sample_bias):
            # Features without an entry so far keep their bias.
            bias = np.where(stream.totals > 0, found.feature_bias, self.feature_bias_)
            found = replace(found, feature_bias=bias)
        fitted = {**model_attributes(found), **_left_to_streams(stream)}
        # Only a fit knows the mean code.
        vars(self).update(fitted, loss_=posed.loss, _unit=unit, _mean_code=None)

    @property
    def _validation_split(self):
        return (self.validation_fraction, self.n_iter_no_change) if self.early_stopping else None

    def _solver_of(self, problem: Problem):
        return solver_of(problem, self.solver, self.early_stopping)

    def _start(self, context, problem: Problem, unit, random_state):
        model = self._model if self._is_warm_start else None
        return first_factors(self, context, (problem, unit, model), random_state)

    def _fitted_attributes(self, result):
        scores = result.state.validation_scores
        return {
            **super()._fitted_attributes(result),
            "validation_scores_": list(scores) if self.early_stopping else None,
            "best_validation_score_": max(scores, default=np.nan) if self.early_stopping else None,
        }

    def _left_by(self, result):
        return {**super()._left_by(result), **_left_to_streams(result.past)}

    @property
    def _offset(self):
        return self._stream.offset * self._unit.size


def _left_to_streams(stream):
    """Attributes that `partial_fit` continues from."""
    return {"_stream": stream, "n_samples_seen_": stream.n_rows}
