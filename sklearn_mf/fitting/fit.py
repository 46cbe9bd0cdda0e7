"""A run of a solver, from a problem to a model: `fit` returns a `FitResult`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.fitting.early_stopping import EarlyStopping, HiddenScore
from sklearn_mf.fitting.hidden import hold_out
from sklearn_mf.fitting.stream import Past
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.objective.canonical_form import canonical, is_unpenalized, spectrum_of
from sklearn_mf.objective.constants import column_means, overall_constant, with_offset
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import observe
from sklearn_mf.solvers import BaseSolver, State


@dataclass(frozen=True)
class Run:
    """The settings of a run of a solver.

    Attributes
    ----------
    solver : BaseSolver
        A solver that supports the problem.
    start : callable
        A function of the problem (in a unit), the unit and a RandomState. It returns W and Ht.
    watch : callable
        A function of the unit, and of a function that converts a state to a `FitResult`. It returns
        monitors.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Tolerance of the stopping rule.
    random_state : int, RandomState instance or None
        Source of random numbers.
    early_stopping : tuple of (float, int), or None
        Fraction of the entries to hide, and number of iterations to wait for an improvement.
    judge : callable
        A function of the solver, the visible problem and the held-out data. It returns a score, a
        function of the state; higher is better.
    """

    solver: BaseSolver
    start: Callable
    watch: Callable
    max_iter: int
    tol: float
    random_state: object = None
    early_stopping: tuple | None = None
    judge: Callable = HiddenScore


@dataclass(frozen=True)
class FitResult:
    """The result of a solver, with factors in canonical form.

    Attributes
    ----------
    posed : Problem
        The problem, in the unit of the data.
    problem : Problem
        The same problem, in the unit in which it was solved.
    unit : Unit
        The unit of the problem and of all following attributes.
    solver : BaseSolver
        The solver.
    state : State
        The final state of the solver.
    monitors : tuple of Monitor
        The monitors of the run.
    W : ndarray of shape (n_samples, k), or None
        The codes that `transform` returns, if they were needed.
    error : float or None
        Half the squared error of the model on the scale of the data; see `total_error`.
    mean_code : ndarray of shape (k,), or None
        Mean code of the samples with observed entries, in the unit of the data. None if the biases
        alone give the expected values.
    """

    posed: Problem
    problem: Problem
    unit: Unit
    solver: BaseSolver
    state: State
    monitors: tuple = ()
    W: np.ndarray | None = None
    error: float | None = None
    mean_code: np.ndarray | None = None

    @cached_property
    def model(self):
        """Return components and biases in the unit of the data."""
        problem = self.problem
        found = FactorModel.found(problem, self.state.Ht, self.unit)
        found = replace(found, loss=self.posed.loss)
        # Penalties that compare features determine the components of features without entries, too.
        is_free = ~problem.layout.components(self.state.Ht).any(axis=1)
        unseen = is_free & (problem.T.observations.row_totals() == 0)
        if not unseen.any() or problem.rows.has_bias:  # sample biases are relative to a mean
            return found
        # A feature without observed entries is predicted by the mean of all data.
        mean = overall_constant(replace(problem, offset=0.0)) * self.unit.size
        bias = np.where(unseen, mean, found.feature_bias)
        return replace(found, feature_bias=bias.astype(found.feature_bias.dtype))

    @property
    def known_codes(self):
        """Return the codes of the solver, or those of `transform`; None if neither are known."""
        return self.W if self.state.W is None else self.state.W

    @property
    def codes(self):
        """Return the codes of `transform`, whatever W the solver has computed."""
        return self._codes_at(*self.model.fixed(self.problem)) if self.W is None else self.W

    @property
    def past(self):
        """Return the sums with which a stream can continue this fit."""
        problem, state = self.problem, self.state
        if self.known_codes is None and is_unpenalized(problem):
            return Past.of_spectrum(problem, state.Ht, state.spectrum.squares)
        return Past.of(problem, state.Ht, self.known_codes)

    @property
    def reconstruction_err(self):
        """Return the root of twice the error, in the unit of the data."""
        loss = self.posed.loss
        # The error is squared for any loss, except for those without a model without components.
        size = self.unit.size ** (2 if loss.takes_any_model else self.unit.degree)
        # For a perfect fit, the error is a rounding error of either sign.
        return float(np.sqrt(2 * max(self.error * size, 0.0)))

    def completed(self):
        """Return the result with its error, and the codes that this needs."""
        W, error = None, self.state.loss
        if error is None:
            problem, Ht = self.model.fixed(self.problem)
            W = self._codes_at(problem, Ht)
            with np.errstate(over="ignore", invalid="ignore"):
                error = total_error(problem, W, Ht)
        known = W if self.state.W is None else self.state.W
        return replace(self, W=W, error=error, mean_code=self._mean_code(known))

    def _codes_at(self, problem: Problem, Ht):
        with threads_for(problem.observations), np.errstate(over="ignore", invalid="ignore"):
            return self.model.solve(problem, Ht)

    def _mean_code(self, W):
        problem = self.problem
        if problem.layout.has_bias:
            return None
        if W is None:  # for complete data under the squared loss, it is the code of their mean
            mean = observe(column_means(problem.observations)[None])
            code = replace(problem, observations=mean).fold_in(self.state.Ht)[0]
        else:
            weight = problem.row_weight * ~problem.observations.empty_rows()
            code = (weight @ W / weight.sum()).astype(W.dtype)
        return self.unit.outside(code[None], problem.n_components)[0]


def fit(problem: Problem, run: Run):
    """Minimize the objective.

    Parameters
    ----------
    problem : Problem
        The problem, in the unit of the data.
    run : Run
        The settings of the run.

    Returns
    -------
    result : FitResult
        The result. If the user pressed Ctrl-C, it has the factors of the last iteration.

    Raises
    ------
    KeyboardInterrupt
        If the user pressed Ctrl-C before the first iteration was complete.
    ValueError
        If the solver diverges, or numbers overflow.
    """
    solver, unit = run.solver, run.solver.unit_of(problem)
    posed, problem = problem, unit.problem(problem)
    everything, random_state = problem.observations, check_random_state(run.random_state)
    problem, judges = _judged(problem, run, random_state)
    whole = problem if not judges else replace(problem, observations=everything)

    def result_at(state, monitors=()):
        formed = in_form(whole, state, unit)
        return FitResult(posed, whole, unit, solver, formed, monitors)

    with threads_for(problem.observations, solver.uses_kernels(problem)):
        W, Ht = run.start(problem, unit, random_state)
        monitors = (*judges, *run.watch(result_at, unit))
        state = solver.solve(
            problem,
            W,
            Ht,
            max_iter=run.max_iter,
            tol=0 if judges else run.tol,
            random_state=random_state,
            monitors=monitors,
        )
        problem.check_factors(state.W, state.Ht, type(solver).__name__)
        if state.interrupted and not state.history:
            raise KeyboardInterrupt
        return result_at(state, monitors).completed()


def _judged(problem: Problem, run: Run, random_state):
    """Return the visible problem, and the monitor that scores hidden entries."""
    if run.early_stopping is None:
        with threads_for(problem.observations):
            return with_offset(problem), ()
    share, n_iter_no_change = run.early_stopping
    names = "early_stopping=True", "early_stopping=False"
    held_out = hold_out(problem.observations, share, random_state, names)
    problem = replace(problem, observations=held_out.visible)
    with threads_for(problem.observations):
        problem = with_offset(problem)
    score = run.judge(run.solver, problem, held_out)
    return problem, (EarlyStopping(score, run.tol, n_iter_no_change),)


def in_form(problem: Problem, state, unit):
    """Return the final state with its factors in canonical form, if they may be rotated.

    Its W are then the codes, or None if they are not known.
    """
    if not problem.is_turnable:
        return replace(state, W=None)
    if state.spectrum is None:
        # Some solvers leave W to the fold-in, and do not see held-out rows.
        is_known = len(state.W) == problem.observations.shape[0] and state.W.any()
        with np.errstate(over="ignore", invalid="ignore"):
            W, Ht = canonical(problem, state.W if is_known else None, state.Ht)
            error = total_error(problem, W, Ht)
            spectrum = spectrum_of(problem, W, Ht, error)
    else:
        W, Ht, error, spectrum = None, state.Ht, state.loss, state.spectrum
    if is_unpenalized(problem):  # components have norm one, and therefore no unit
        W, Ht = unit.to_codes(W, Ht, problem.n_components)
    return replace(state, W=W, Ht=Ht, loss=error, spectrum=spectrum)


def total_error(problem: Problem, W, Ht):
    """Return half the squared error on the scale of the data, or the loss if it has no such."""
    loss = problem.loss
    if not loss.is_squared and loss.takes_any_model:
        loss = SquaredErrorOfMean(loss)
    return problem.observations.total_loss(*problem.model_factors(W, Ht), loss)
