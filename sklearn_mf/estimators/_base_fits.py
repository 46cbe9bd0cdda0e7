"""How estimators are fitted by a solver: from data to attributes, the same for all of them."""

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.estimators._base import (
    BaseFactorization,
    threads_for,
    warn_of_empty_columns,
    warn_of_empty_rows,
)
from sklearn_mf.estimators._base_traps import (
    warn_of_short_rows,
    warn_of_traps,
    warn_of_weights_as_y,
)
from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.objective.canonical_form import canonical, is_unpenalized, spectrum_of
from sklearn_mf.objective.constants import column_means, overall_constant
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix, observe
from sklearn_mf.utils._all_at_once import Interrupted
from sklearn_mf.utils._callbacks import FitTasks, has_callbacks
from sklearn_mf.utils._monitors import Printer
from sklearn_mf.utils._validation import check_X, warn_of_unused_mark


class SolvedFactorization(BaseFactorization):
    """Base of estimators that a solver fits.

    A subclass has the parameters ``max_iter``, ``tol``, ``random_state`` and ``verbose``. It says
    in ``_resolve_loss``, ``_check_n_components``, ``_problem`` and ``_check_solver`` what is to
    be solved and by whom, and in ``_start`` from where.
    """

    def _fit(self, X, y, sample_weight, entry_weight):
        """Fit; return a function that returns the codes."""
        table, given = X, {"X": X, "y": y}
        X = check_X(self, X, reset=True)
        warn_of_unused_mark(self, X)
        loss = self._resolve_loss(table, X)
        observations = self._observe(X, loss, entry_weight, sample_weight)
        _check_observed(observations, self._has_sample_bias)
        problem = self._posed(observations, loss)
        n_components, chosen = problem.n_components, self._chosen(problem)
        solver = self._check_solver(problem)
        warn_of_weights_as_y(y, sample_weight)
        warn_of_traps(self, X, loss, entry_weight is not None)
        unit = solver.unit_of(problem)
        if not np.isfinite(unit.of_objective):
            raise ValueError("X is too large: its squares overflow. Scale X.")
        problem = unit.problem(problem)
        observations = problem.observations
        random_state = check_random_state(self.random_state)
        problem, judges = self._prepared(problem, solver, random_state)
        whole = problem
        if problem.observations is not observations:
            whole = replace(problem, observations=observations)

        def attributes(formed):
            fitted = self._fitted_attributes(whole, solver, formed, unit)
            return {**fitted, **chosen, "loss_": loss, "_unit": unit}

        def attributes_at(state):
            return attributes(_in_form(whole, state, unit))

        with threads_for(problem.observations, solver.uses_kernels(problem)):
            W, Ht = self._start(X, problem, solver, random_state, unit)
            monitors = [*judges, *self._monitors(solver, given, attributes_at, unit)]
            state = solver.solve(
                problem,
                W,
                Ht,
                max_iter=self.max_iter,
                tol=0 if judges else self.tol,
                random_state=random_state,
                monitors=monitors,
            )
            problem.check_factors(state.W, state.Ht, type(solver).__name__)
            if state.interrupted and not state.history:
                raise KeyboardInterrupt  # before there was anything to keep
            formed = _in_form(whole, state, unit)
            fitted = attributes(formed)
            vars(self).update(fitted)
            found = fitted["components_"], fitted["feature_bias_"], self._has_sample_bias, loss
            model = FactorModel(*found, unit)
            fixed = model.fixed(whole)
            W, error = None, formed.loss
            if error is None:
                W = _codes_at(model, *fixed)
                error = _total_error(*fixed, W)
            codes_of_fit = W if formed.W is None else formed.W
            self._mean_code = _mean_code(whole, codes_of_fit, formed.Ht, unit)
            self._finish(whole, formed.Ht, codes_of_fit)
        # Squared errors whatever the loss, unless that has no model without components.
        error *= unit.size ** (2 if loss.takes_any_model else unit.degree)
        # Of a perfect fit rounding error is left, of either sign.
        self.reconstruction_err_ = float(np.sqrt(2 * max(error, 0.0)))
        if state.interrupted:
            raise Interrupted
        warn_of_empty_rows(observations, self._mean_code)
        warn_of_short_rows(self, observations)
        for monitor in monitors:
            monitor.finish()

        def codes():
            """What `transform` would say, whatever W the solver had."""
            found = _codes_at(model, *fixed) if W is None else W
            found = unit.outside(found, n_components)
            return self._whitened(self._expected_where_empty(found, observations))

        return codes

    def _posed(self, observations: ObservedMatrix, loss):
        """The problem, with what its parameters leave to the data."""
        n_components = self._check_n_components(observations.shape)
        return self._problem(observations, loss, n_components)

    def _chosen(self, problem: Problem):
        """What `fit` has chosen of the problem and is to keep."""
        return {}

    def _prepared(self, problem: Problem, solver, random_state):
        """What the solver is to see of the problem, and who judges by the rest when to stop."""
        return problem, []

    def _finish(self, problem: Problem, Ht, W):
        """Keep what a later fit needs; W is None where nobody knows it."""

    def _monitors(self, solver, given, attributes, unit):
        """Who watches the solver."""
        monitors = []
        if has_callbacks(self):
            monitors.append(FitTasks(self, given, self.max_iter, attributes))
        if self.verbose:
            monitors.append(Printer(solver.name, self.verbose, unit.of_objective))
        return monitors

    def _fitted_attributes(self, problem: Problem, solver, state, unit):
        """What `fit` sets, at the factors of a state."""
        return {
            **_with_means(model_attributes(problem, state.Ht, unit), problem, unit),
            "n_iter_": max(1, state.n_iter),
            "loss_curve_": [unit.of_objective * value for value in state.history],
            "loss_curve_seconds_": list(state.seconds),
            "solver_": solver,
        }


def model_attributes(problem: Problem, Ht, unit):
    """What a features' factor, of a problem in a unit, means for an estimator."""
    model = FactorModel.found(problem, Ht, unit)
    return {
        "components_": model.components,
        "feature_bias_": model.feature_bias,
        "n_components_": model.n_components,
    }


def _with_means(attributes, problem: Problem, unit):
    """Attributes of a model that predicts a mean of all data where a feature has none."""
    unseen = problem.T.observations.row_totals() == 0
    if unseen.any() and not problem.rows.has_bias:  # whose deviations are from that mean
        mean = overall_constant(replace(problem, offset=0.0)) * unit.size
        attributes["feature_bias_"] = np.where(unseen, mean, attributes["feature_bias_"]).astype(
            attributes["feature_bias_"].dtype
        )
    return attributes


def _mean_code(problem: Problem, W, Ht, unit):
    """Mean of the codes of samples that have an entry; None where biases say what to expect."""
    if problem.layout.has_bias:
        return None
    observations = problem.observations
    if W is None:  # of complete data under the squared loss it is the code of their mean
        mean = observe(column_means(observations)[None])
        code = replace(problem, observations=mean).fold_in(Ht)[0]
    else:
        weight = problem.row_weight * (observations.row_totals() > 0)
        code = (weight @ W / weight.sum()).astype(W.dtype)
    return unit.outside(code[None], problem.n_components)[0]


def _in_form(problem: Problem, state, unit):
    """The state at the end of a fit: its factors in their one form, if they may be turned.

    Then W are the codes, and None where nobody knows them.
    """
    if not problem.is_smooth:
        return replace(state, W=None)
    if state.spectrum is None:
        # Solvers may leave codes to the fold-in, and do not see rows that are set aside.
        is_known = len(state.W) == problem.observations.shape[0] and state.W.any()
        with np.errstate(over="ignore", invalid="ignore"):
            W, Ht = canonical(problem, state.W if is_known else None, state.Ht)
            error = _total_error(problem, Ht, W)
            spectrum = spectrum_of(problem, W, Ht, error)
    else:
        W, Ht, error, spectrum = None, state.Ht, state.loss, state.spectrum
    if is_unpenalized(problem):  # components are of length one, and so have no unit
        W, Ht = unit.to_codes(W, Ht, problem.n_components)
    return replace(state, W=W, Ht=Ht, loss=error, spectrum=spectrum)


def _codes_at(model, problem: Problem, Ht):
    with threads_for(problem.observations), np.errstate(over="ignore", invalid="ignore"):
        return model.solve(problem, Ht)


def _total_error(problem: Problem, Ht, W):
    """What `reconstruction_err_` is made of: half the squared error, on the data's scale."""
    loss = problem.loss
    if not loss.is_squared and loss.takes_any_model:
        loss = SquaredErrorOfMean(loss)
    return problem.observations.total_loss(*problem.model_factors(W, Ht), loss)


def check_batch(Ht):
    """Refuse what `partial_fit` found, before the estimator changes."""
    if not np.isfinite(Ht).all():
        raise ValueError(
            "partial_fit diverged: the components after this batch are not finite, so it changes "
            "nothing. Scale X, or raise alpha_W and alpha_H."
        )


def _check_observed(observations: ObservedMatrix, has_sample_bias):
    """Refuse data without any entry; say which features have none."""
    if not observations.T.row_totals().any():
        raise ValueError("X has no observed entry: everything is missing, or has weight 0.")
    mean = "" if has_sample_bias else ", and an overall mean is expected of them"
    warn_of_empty_columns(observations, mean)
