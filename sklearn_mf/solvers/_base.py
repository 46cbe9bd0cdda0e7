"""The iteration loop shared by all solvers: stopping rule, loss curve and divergence check."""

from copy import copy
from dataclasses import dataclass, field
from math import isfinite
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.canonical_form import Spectrum
from sklearn_mf.objective.constants import overall_constant
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import BlockedObservations
from sklearn_mf.penalties import BasePenalty
from sklearn_mf.utils._abilities import has_ability
from sklearn_mf.utils._registry import Registry
from sklearn_mf.utils._warnings import warn

SOLVERS = Registry("solver")

# An objective this many times larger than the initial one cannot recover, even while it is finite.
DIVERGED = 1e8
# A final objective larger than that of the model without components is not a valid result either.
WORSE_THAN_NOTHING = 1.001
# Bound on the rounding errors that accumulate in sums of the data cost and in solutions of linear
# systems, in units of the machine precision.
ROUNDING = 100
TINY = float(np.finfo(np.float64).tiny)
EPSILON = float(np.finfo(np.float64).eps)


@dataclass
class Memory:
    """Base class of the data that a solver carries from one step to the next.

    Attributes
    ----------
    to_fall : float or None
        The quantity last compared with ``tol``, for solvers with their own stopping rule.
    """

    to_fall: float | None = field(default=None, kw_only=True)

    def __copy__(self):
        """Return a shallow copy."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other


@dataclass
class State:
    """The current factors of a solver, together with the record of its iterations.

    Attributes
    ----------
    W : ndarray of shape (n_samples, k)
        Factor of the samples. If there is a sample bias, it is the last column.
    Ht : ndarray of shape (n_features, k)
        Factor of the features. If there is a feature bias, it is the last column.
    objective : float
        Value of the objective at the current factors.
    loss : float or None
        Loss without penalties, at the factors that the fold-in computes, if the solver knows it.
    spectrum : Spectrum or None
        Spectrum of the components, from solvers whose factors already have the canonical form.
    history : list of float
        Value of the objective after each iteration.
    seconds : list of float
        Seconds since the start of the solve, after each iteration.
    violation : float or None
        Distance from a stationary point relative to the distance at the start, if the solver can
        measure it.
    validation_scores : list of float
        Score of the hidden validation entries after each iteration, if entries were hidden.
    converged : bool
        Whether the stopping rule was met.
    stopped : bool
        Whether a monitor requested the end of the solve.
    interrupted : bool
        Whether the user pressed Ctrl-C. The factors are then those of the last complete iteration.
    random_state : RandomState or None
        Source of random numbers for stochastic solvers.
    max_iter : int or None
        Maximum number of iterations, for solvers whose steps depend on it.
    memory : Memory or None
        Data that the solver carries from one step to the next. Each solver defines its own class.
        None before the first step. A copy is kept together with the factors, so that an
        interruption can restore both.
    """

    W: np.ndarray
    Ht: np.ndarray
    objective: float
    loss: float | None = None
    spectrum: Spectrum | None = None
    violation: float | None = None
    history: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    converged: bool = False
    stopped: bool = False
    interrupted: bool = False
    random_state: np.random.RandomState | None = None
    max_iter: int | None = None
    memory: Memory | None = None

    @property
    def n_iter(self):
        """Number of completed iterations."""
        return len(self.history)


class BaseSolver(BaseEstimator):
    """Base class of all solvers. A subclass defines ``name`` and ``_step``.

    ``_step(problem, state)`` replaces ``state.W`` and ``state.Ht`` by improved factors and returns
    the objective at them. It must not write into the old arrays: then an interrupted step loses
    nothing. At the start only ``state.Ht`` is initialized, while ``state.W`` may be zero, so a
    solver that improves one factor at a time must improve W first.

    A solver that wraps a library with its own loop overrides ``_run(problem, state, record)``
    instead. After every iteration it replaces the factors in ``state`` and calls
    ``record(objective)``, which returns True when the solve must end. If the library stops by
    itself, the solver sets ``state.converged``.

    Attributes
    ----------
    name : str
        The string that selects the solver.
    requires_loss : tuple of str
        Methods that the loss must define, or attributes of the loss that must be true.
    requires_penalty : tuple of str
        Methods or attributes that the penalties of both factors must have.
    init : str
        The initialization that ``init="auto"`` selects under the squared loss.
    window : int
        Number of iterations over which the decrease is measured. Solvers that make many small steps
        need more.
    measure : str
        Description of the quantity that is compared with ``tol``, for messages.
    allows_missing : bool
        Whether the data may contain missing values.
    draws : bool
        Whether entries or rows are visited in random order, so that all of them must be in memory.
    needs_start : bool
        Whether the result depends on the initial factors.
    """

    requires_loss = ("gradient", "takes_any_model")
    requires_penalty = ()
    allows_missing = True
    draws = False
    needs_start = True
    init = "svd"
    window = 1
    measure = "the relative decrease of the objective"

    def solve(
        self, problem: Problem, W, Ht, *, max_iter=200, tol=1e-4, random_state=None, monitors=()
    ):
        """Minimize the objective of a problem.

        Parameters
        ----------
        problem : Problem
            The problem to minimize.
        W : ndarray of shape (n_samples, k)
            Initial factor of the samples.
        Ht : ndarray of shape (n_features, k)
            Initial factor of the features.
        max_iter : int, default=200
            Maximum number of iterations.
        tol : float, default=1e-4
            Tolerance of the stopping rule: the solver stops when an iteration decreases the
            objective by less than this fraction. With 0, it never stops early.
        random_state : int, RandomState instance or None, default=None
            Source of random numbers, for stochastic solvers.
        monitors : sequence of Monitor, default=()
            Objects that are called after every iteration, in this order. Each of them may end the
            solve.

        Returns
        -------
        state : State
            The final factors and the record of the iterations. The transformed data (codes) are not
            this W: they are computed by the fold-in at the final H.

        Raises
        ------
        ValueError
            If the solver does not support the problem, or diverges.
        """
        self.check(problem)
        began = perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):
            first, scale, floor = self._scale(problem, W, Ht)
            rng = check_random_state(random_state)
            state = State(W, Ht, first, random_state=rng, max_iter=max_iter)
            unexplained = scale if problem.loss.is_robust else np.inf
            limits = Limits(max_iter, tol, floor, began, tuple(monitors), unexplained)
            record = _Record(self, state, scale, limits)
            if self.needs_start:
                record.guard()
            try:
                record.begin()
                self._run(problem, state, record)
            except KeyboardInterrupt:
                state.interrupted = True
                record.undo_half_a_step()
            for monitor in monitors:
                monitor.close(state)
            if not state.interrupted:
                record.guard(WORSE_THAN_NOTHING)
        if tol > 0 and not (state.converged or state.stopped or state.interrupted):
            known = getattr(state.memory, "to_fall", None)
            to_fall = record.to_fall if known is None else known
            close = "" if to_fall is None else f" (the last value was {to_fall:.2g})"
            warn(
                f"solver={self.name!r} did not converge in max_iter={max_iter} iterations: "
                f"{self.measure} did not fall below tol={tol:g}{close}. Increase max_iter or tol.",
                ConvergenceWarning,
            )
        return state

    @property
    def advice(self):
        """Advice for the user when the solver diverges."""
        rate = getattr(self, "learning_rate", "auto")
        if rate == "auto":
            return "Scale X, or increase alpha_W and alpha_H."
        return f"Lower learning_rate (now {rate}), or use learning_rate='auto'."

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        if not hasattr(self, "name"):
            raise ValueError(
                f"solver={self!r} has no name: define the class attribute `name`, a string. "
                "See BaseSolver."
            )
        if type(self)._step is BaseSolver._step and type(self)._run is BaseSolver._run:
            raise ValueError(
                f"solver={self!r} defines neither _step nor _run: define _step(problem, state). "
                "See BaseSolver."
            )
        missing = _missing_of_loss(type(self), problem)
        if missing:
            culprits = [p for p in problem.loss.parts if not has_ability(p, missing, BaseLoss)]
            if culprits:
                what = f"a loss with {missing!r}, which {type(culprits[0]).__name__} does not have"
            else:
                what = "the same loss for all columns, not a list or dict of losses"
            raise ValueError(f"solver={self.name!r} needs {what}. {_others(problem)}")
        lacking = _missing_of_penalties(type(self), problem)
        if lacking:
            side, need = lacking
            raise ValueError(
                f"solver={self.name!r} needs penalties with {need!r}, which "
                f"{type(_unwrapped(side.penalty)).__name__} does not have. {_others(problem)}"
            )
        _check_penalties(problem)
        if self.draws and isinstance(problem.observations, BlockedObservations):
            raise ValueError(
                f"solver={self.name!r} visits X in random order, but X consists of blocks of rows. "
                "Use solver='als' or solver='lbfgs'."
            )

    def unit_of(self, problem: Problem):
        """Return the unit in which the data are scaled before solving.

        Parameters
        ----------
        problem : Problem
            The problem to minimize.

        Returns
        -------
        unit : Unit
            The unit of the data. It is 1 if a parameter of the solver has a unit of its own.
        """
        return Unit.of(problem)

    def uses_kernels(self, problem: Problem):
        """Return whether kernels or Python threads alternate with BLAS products on complete data.

        If so, BLAS is limited to one thread during the whole fit, because its threads keep spinning
        after a product and would slow the others down.

        Parameters
        ----------
        problem : Problem
            The problem to minimize.

        Returns
        -------
        uses_kernels : bool
            Whether kernels or Python threads alternate with BLAS products.
        """
        return False

    def codes(self, problem: Problem, state):
        """Return W for the components of a state: ``state.W`` if both factors change together."""
        return state.W

    def _run(self, problem: Problem, state, record):
        """Run all iterations and call ``record`` with the objective after each of them."""
        while not record(self._step(problem, state)):
            pass

    def _step(self, problem: Problem, state):
        raise NotImplementedError

    def _scale(self, problem: Problem, W, Ht):
        """Return the initial objective, the reference for divergence, and its rounding error."""
        if not self.needs_start:
            return np.inf, np.inf, np.inf
        first = problem.value(W, Ht)
        if not problem.loss.takes_any_model:
            # There is no model without components to compare with, and near an initialization of
            # zero the objective may take any value.
            return first, first, EPSILON * min(first, _cost_of_mean(problem))
        scale = max(first, problem.value(np.zeros_like(W), Ht)) if W.any() else first
        # If the biases explain everything, the residuals are only rounding errors of the data.
        scale = max(scale, _rounding_error(problem, W, Ht))
        return first, scale, EPSILON * scale


@dataclass(frozen=True)
class Limits:
    """Stopping criteria of a solve, and its observers.

    Attributes
    ----------
    max_iter : int
        Maximum number of iterations.
    tol : float
        Fraction by which the objective must decrease for the solve to go on. With 0, it need not.
    floor : float
        Below this value, gradients and objective consist of rounding error.
    began : float
        Clock reading at the start.
    monitors : tuple of Monitor
        Objects that are called after every iteration.
    unexplained : float
        The objective without any component, for losses whose objective may consist mainly of a few
        entries that no model explains: `tol` is then relative to its decrease, if that is smaller.
        Otherwise inf.
    """

    max_iter: int
    tol: float
    floor: float
    began: float
    monitors: tuple = ()
    unexplained: float = np.inf

    def least(self, objective):
        """Return the quantity of which the fraction `tol` must be exceeded by the decrease."""
        return max(min(objective, self.unexplained - objective), self.floor)


class _Record:
    """The callback after every iteration: it records the objective and decides when to end.

    Small problems spend most of their time here, so it avoids NumPy arrays.
    """

    def __init__(self, solver, state, scale, limits):
        self.solver, self.state, self.scale, self.limits = solver, state, scale, limits
        self.shapes = state.W.shape, state.Ht.shape
        self.first = state.objective
        self.kept = state.W, state.Ht, copy(state.memory)
        self.n_kept = 0
        self.to_fall = None  # the quantity last compared with tol

    def __call__(self, objective):
        """Record the objective at the current factors and return whether the solve is over."""
        state, limits = self.state, self.limits
        shapes = getattr(state.W, "shape", None), getattr(state.Ht, "shape", None)
        if shapes != self.shapes:
            raise ValueError(
                f"{type(self.solver).__name__} returned factors of shapes {shapes[0]} and "
                f"{shapes[1]}, but {self.shapes[0]} and {self.shapes[1]} are expected."
            )
        if objective is None:
            raise ValueError(f"{type(self.solver).__name__}._step must return the objective.")
        state.objective = objective
        self.guard()
        state.history.append(objective)
        state.seconds.append(perf_counter() - limits.began)
        n_iter = len(state.history)
        state.converged = state.converged or (limits.tol > 0 and self._has_stalled(n_iter))
        for monitor in limits.monitors:
            state.stopped |= bool(monitor.end(state))
        over = state.converged or state.stopped or n_iter >= limits.max_iter
        if not over:
            self.begin()
        self.kept = state.W, state.Ht, copy(state.memory)
        self.n_kept = n_iter
        return over

    def begin(self):
        """Notify the monitors that an iteration begins."""
        for monitor in self.limits.monitors:
            monitor.begin(self.state)

    def undo_half_a_step(self):
        """Restore the last complete factors if an interrupted step has changed only some."""
        state = self.state
        del state.history[len(state.seconds) :]
        if state.n_iter == self.n_kept:
            state.W, state.Ht, state.memory = self.kept
            state.loss = None

    def guard(self, limit=DIVERGED):
        """Raise a ValueError if the objective has diverged beyond a limit."""
        state = self.state
        if (
            isfinite(state.objective)
            and state.objective <= limit * max(self.scale, TINY)
            and _is_finite(state.W)
            and _is_finite(state.Ht)
        ):
            return
        raise ValueError(
            f"solver={self.solver.name!r} diverged in iteration {state.n_iter + 1}: the "
            f"objective is {state.objective:.3g}, while without any component it is "
            f"{self.scale:.3g}. {self.solver.advice}"
        )

    def _has_stalled(self, n_iter):
        window, history = self.solver.window, self.state.history
        floor = self.limits.floor
        if self.state.violation is not None:
            if isfinite(self.state.violation):
                self.to_fall = self.state.violation
            return self.state.violation <= self.limits.tol or history[-1] <= floor
        before = self.first if n_iter <= window else history[-1 - window]
        if isfinite(before):
            self.to_fall = (before - history[-1]) / max(self.limits.least(history[-1]), TINY)
        if n_iter < window:
            return False
        if history[-1] > (1 + self.limits.tol) * max(self.first, floor):
            return False  # an increasing objective is not convergence
        return before - history[-1] <= self.limits.tol * self.limits.least(history[-1])


def _missing_of_loss(kind, problem: Problem):
    """Return the first ability that a solver class requires and the loss lacks, or None."""
    lacks = (need for need in kind.requires_loss if not has_ability(problem.loss, need, BaseLoss))
    return next(lacks, None)


def _missing_of_penalties(kind, problem: Problem):
    """Return the first side whose penalty lacks a required ability, and the ability, or None."""
    for side in (problem.rows, problem.columns):
        for need in kind.requires_penalty:
            if not has_ability(side.penalty, need, BasePenalty):
                return side, need
    return None


def _others(problem: Problem):
    """Name the registered solvers that support the problem."""
    others = sorted(
        name
        for name, kind in SOLVERS.items()
        if not (_missing_of_loss(kind, problem) or _missing_of_penalties(kind, problem))
    )
    return f"Use one of solver={others}." if others else "No registered solver supports both."


def _check_penalties(problem: Problem):
    """Refuse penalties that no solver can handle correctly."""
    if not (problem.is_elastic or problem.loss.takes_any_model):
        raise ValueError(
            f"{type(problem.loss).__name__} needs non-negative model values, which are supported "
            "only with ridge and L1 penalties: use alpha_W, alpha_H and l1_ratio."
        )
    for one in (problem, problem.T):
        penalty, weights = one.rows.penalty, one.observations.row_weight
        if not penalty.is_rowwise and weights is not None:
            raise ValueError(
                f"{type(_unwrapped(penalty)).__name__} compares rows with one another, which is "
                "not possible if rows have weights. Do not pass sample_weight."
            )


def _unwrapped(penalty):
    """Return the penalty as the user passed it, without the conversion of units."""
    return getattr(penalty, "penalty", penalty)


def _cost_of_mean(problem: Problem):
    """Return the cost of the model that equals the mean of the data everywhere."""
    samples, mean = problem.observations, overall_constant(problem)
    ones, means = (np.ones((n, 1), dtype=samples.dtype) for n in samples.shape)
    return samples.total_loss(ones, samples.dtype.type(mean) * means, problem.loss)


def _rounding_error(problem: Problem, W, Ht):
    """Bound the rounding error of the objective by a fraction of the cost of a zero model."""
    if problem.loss.is_squared:
        cost = 0.5 * problem.observations.total_squares  # already computed
    else:
        nothing = np.zeros_like(W, shape=(len(W), 1)), np.zeros_like(Ht, shape=(len(Ht), 1))
        cost = problem.observations.total_loss(*nothing, problem.loss)
    return ROUNDING * float(np.finfo(Ht.dtype).eps) * cost if isfinite(cost) else 0.0


def _is_finite(factor):
    # One sum of squares is cheap. If it overflows, the plain sum decides.
    return isfinite(np.vdot(factor, factor)) or isfinite(factor.sum())
