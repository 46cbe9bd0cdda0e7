"""The loop that all solvers share: stopping, the curve, the guard against divergence."""

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

# An objective this many times its start is beyond repair, though not yet infinite.
DIVERGED = 1e8
# At the end, more than the objective without any component is no result either.
WORSE_THAN_NOTHING = 1.001
# How often the cost of the data is rounded in sums of it and in the solutions of linear systems.
ROUNDING = 100
TINY = float(np.finfo(np.float64).tiny)
EPSILON = float(np.finfo(np.float64).eps)


@dataclass
class Memory:
    """Base of what a solver carries from one step to the next.

    Attributes
    ----------
    to_fall : float or None
        What was last compared with ``tol``, of solvers that compare it themselves.
    """

    to_fall: float | None = field(default=None, kw_only=True)

    def __copy__(self):
        """Another memory of the same things."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other


@dataclass
class State:
    """Where a solver is. It changes from iteration to iteration, and records itself.

    Attributes
    ----------
    W : ndarray of shape (n_samples, k)
        The samples' factor, their bias last where they have one.
    Ht : ndarray of shape (n_features, k)
        The features' factor, likewise.
    objective : float
        At these factors.
    loss : float or None
        Its part without penalties, at the fold-in, where the solver knows it.
    spectrum : Spectrum or None
        What the components explain, from a solver whose factors have the canonical form already.
    history : list of float
        The objective after every iteration.
    seconds : list of float
        Time since the start, after every iteration.
    violation : float or None
        How far the solver is from rest, beside where it was at the start, if it can tell.
    validation_scores : list of float
        The score of hidden entries after every iteration, where some are hidden.
    converged : bool
        Whether the stopping rule was met.
    stopped : bool
        Whether a monitor asked to end.
    interrupted : bool
        Whether the user pressed Ctrl-C; the factors are those of the last iteration.
    random_state : RandomState or None
        Where solvers that draw get their numbers from.
    max_iter : int or None
        Iterations at most, for solvers that plan ahead.
    memory : Memory or None
        What a solver carries from one step to the next, of a class of its own; None before the
        first step. A copy of it is kept with the factors, for the case of an interruption.
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
        """Iterations done."""
        return len(self.history)


class BaseSolver(BaseEstimator):
    """Base of all solvers. A solver adds ``name`` and a short ``_step``.

    ``_step(problem, state)`` replaces ``state.W`` and ``state.Ht`` by better factors (never
    writing into the old ones, so that an interrupted step loses nothing) and returns the
    objective there.

    A solver whose library has a loop of its own overrides ``_run(problem, state, record)``
    instead. After every iteration it replaces the factors in ``state`` and calls
    ``record(objective)``, which says whether to end. If the library ends by itself, the solver
    sets ``state.converged``.

    Attributes
    ----------
    name : str
        Under which strings find the solver.
    requires_loss : tuple of str
        Methods that the loss must have, or attributes of it that must be true.
    requires_penalty : tuple of str
        The same of the penalties of both factors.
    init : str
        The start that ``init="auto"`` takes under the squared loss.
    window : int
        Iterations over which the decrease is judged: more for solvers of many short steps.
    measure : str
        What is judged, in words.
    allows_missing : bool
        Whether the data may have holes.
    draws : bool
        Whether entries, or rows, are visited in random order, for which all must be in memory.
    needs_start : bool
        Whether the factors that are handed in matter.
    """

    requires_loss = ("gradient", "takes_any_model")
    requires_penalty = ()
    allows_missing = True
    draws = False
    needs_start = True
    init = "svd"
    window = 1
    measure = "the share by which the objective decreases"

    def solve(
        self, problem: Problem, W, Ht, *, max_iter=200, tol=1e-4, random_state=None, monitors=()
    ):
        """Minimise the objective of a problem.

        Parameters
        ----------
        problem : Problem
            What to minimise.
        W : ndarray of shape (n_samples, k)
            Where to start.
        Ht : ndarray of shape (n_features, k)
            Where to start.
        max_iter : int, default=200
            Iterations at most.
        tol : float, default=1e-4
            Stop when the objective falls by less than this share of it. 0: never.
        random_state : int, RandomState instance or None, default=None
            Source of random numbers, for solvers that draw.
        monitors : sequence of Monitor, default=()
            Told of every iteration, in this order; any of them may end the solve.

        Returns
        -------
        state : State
            The factors and how they came about. Codes are not this W, but the fold-in at the
            final H.

        Raises
        ------
        ValueError
            If the solver cannot serve the problem, or diverges.
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
            close = "" if to_fall is None else f", it was {to_fall:.2g} at last"
            warn(
                f"solver={self.name!r} did not converge in max_iter={max_iter} iterations: "
                f"{self.measure} did not fall to tol={tol:g}{close}. Increase max_iter, or tol.",
                ConvergenceWarning,
            )
        return state

    @property
    def advice(self):
        """What to change if the solver diverges."""
        rate = getattr(self, "learning_rate", "auto")
        if rate == "auto":
            return "Scale X, or raise alpha_W and alpha_H."
        return f"Lower learning_rate (now {rate}), or use learning_rate='auto'."

    def check(self, problem: Problem):
        """Raise a ValueError that names the parameter, if the problem is not for this solver."""
        if not hasattr(self, "name"):
            raise ValueError(
                f"solver={self!r} has no name: set `name`, a string, in its class, see BaseSolver."
            )
        if type(self)._step is BaseSolver._step and type(self)._run is BaseSolver._run:
            raise ValueError(
                f"solver={self!r} does nothing: define _step(problem, state), see BaseSolver."
            )
        missing = _missing_of_loss(type(self), problem)
        if missing:
            culprits = [p for p in problem.loss.parts if not has_ability(p, missing, BaseLoss)]
            if culprits:
                what = f"a loss with {missing!r}, which {type(culprits[0]).__name__} has not"
            else:
                what = "one loss for all columns, not a list or dict of losses"
            raise ValueError(f"solver={self.name!r} needs {what}. {_others(problem)}")
        lacking = _missing_of_penalties(type(self), problem)
        if lacking:
            side, need = lacking
            raise ValueError(
                f"solver={self.name!r} needs penalties with {need!r}, which "
                f"{type(_unwrapped(side.penalty)).__name__} has not. {_others(problem)}"
            )
        _check_penalties(problem)
        if self.draws and isinstance(problem.observations, BlockedObservations):
            raise ValueError(
                f"solver={self.name!r} visits X in random order, and X lies in blocks of rows. Use "
                "solver='als' or solver='lbfgs'."
            )

    def unit_of(self, problem: Problem):
        """The unit in which the data are to be solved.

        Parameters
        ----------
        problem : Problem
            What is to be minimised.

        Returns
        -------
        unit : Unit
            One, where a parameter of the solver has a unit of its own.
        """
        return Unit.of(problem)

    def uses_kernels(self, problem: Problem):
        """Whether kernels, or threads of Python, take turns with products on complete data too.

        BLAS is held to one thread for all of the fit then, as its threads spin after their work.

        Parameters
        ----------
        problem : Problem
            What is to be minimised.

        Returns
        -------
        uses_kernels : bool
            Whether they do.
        """
        return False

    def codes(self, problem: Problem, state):
        """W for the components of a state: its own, in solvers that move both at once."""
        return state.W

    def _run(self, problem: Problem, state, record):
        """All iterations; ``record`` is to be told the objective after each."""
        while not record(self._step(problem, state)):
            pass

    def _step(self, problem: Problem, state):
        raise NotImplementedError

    def _scale(self, problem: Problem, W, Ht):
        """Objective at the start, what is beyond repair beside it, and its rounding error."""
        if not self.needs_start:
            return np.inf, np.inf, np.inf
        first = problem.value(W, Ht)
        if not problem.loss.takes_any_model:
            # There is no model without components, and at a start near zero any cost is possible.
            return first, first, EPSILON * min(first, _cost_of_mean(problem))
        scale = max(first, problem.value(np.zeros_like(W), Ht)) if W.any() else first
        # Where biases explain everything, what is left is rounding error of the data.
        scale = max(scale, _rounding_error(problem, W, Ht))
        return first, scale, EPSILON * scale


@dataclass(frozen=True)
class Limits:
    """When a solve is over, and who looks on.

    Attributes
    ----------
    max_iter : int
        Iterations at most.
    tol : float
        Share of the objective by which it must fall to go on. 0: it need not.
    floor : float
        Below it neither gradients nor the objective say anything any more.
    began : float
        Reading of the clock at the start.
    monitors : tuple of Monitor
        Told of every iteration.
    unexplained : float
        The objective without any component, where most of it may be a few entries that no model
        explains: then `tol` is a share of how far it has fallen, if that is less. Else inf.
    """

    max_iter: int
    tol: float
    floor: float
    began: float
    monitors: tuple = ()
    unexplained: float = np.inf

    def least(self, objective):
        """By which the objective must fall to go on, over `tol`."""
        return max(min(objective, self.unexplained - objective), self.floor)


class _Record:
    """What a solver calls after every iteration: it keeps the books and says when to end.

    Solvers of a few numbers spend most of their time here, so it does without arrays.
    """

    def __init__(self, solver, state, scale, limits):
        self.solver, self.state, self.scale, self.limits = solver, state, scale, limits
        self.shapes = state.W.shape, state.Ht.shape
        self.first = state.objective
        self.kept = state.W, state.Ht, copy(state.memory)
        self.n_kept = 0
        self.to_fall = None  # what was last compared with tol

    def __call__(self, objective):
        """Take down the objective at the factors of the state; whether the solve is over."""
        state, limits = self.state, self.limits
        shapes = getattr(state.W, "shape", None), getattr(state.Ht, "shape", None)
        if shapes != self.shapes:
            raise ValueError(
                f"{type(self.solver).__name__} made factors of shapes {shapes[0]} and "
                f"{shapes[1]} of some of {self.shapes[0]} and {self.shapes[1]}."
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
        """Announce an iteration."""
        for monitor in self.limits.monitors:
            monitor.begin(self.state)

    def undo_half_a_step(self):
        """Take back factors that an interrupted step may have moved already."""
        state = self.state
        del state.history[len(state.seconds) :]
        if state.n_iter == self.n_kept:
            state.W, state.Ht, state.memory = self.kept
            state.loss = None

    def guard(self, limit=DIVERGED):
        """Raise a ValueError where no solver should be."""
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
            f"objective is {state.objective:.3g}, without any component it is "
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
            return False  # it rises: that is no rest
        return before - history[-1] <= self.limits.tol * self.limits.least(history[-1])


def _missing_of_loss(kind, problem: Problem):
    """The first ability that a class of solvers needs and the loss has not, or None."""
    lacks = (need for need in kind.requires_loss if not has_ability(problem.loss, need, BaseLoss))
    return next(lacks, None)


def _missing_of_penalties(kind, problem: Problem):
    """The first side whose penalty has not what a class of solvers needs, and that, or None."""
    for side in (problem.rows, problem.columns):
        for need in kind.requires_penalty:
            if not has_ability(side.penalty, need, BasePenalty):
                return side, need
    return None


def _others(problem: Problem):
    """Which registered solvers have what they need."""
    others = sorted(
        name
        for name, kind in SOLVERS.items()
        if not (_missing_of_loss(kind, problem) or _missing_of_penalties(kind, problem))
    )
    return f"Use one of solver={others}." if others else "No registered solver serves both."


def _check_penalties(problem: Problem):
    """Refuse penalties that no solver can take into account as they are meant."""
    if not (problem.is_elastic or problem.loss.takes_any_model):
        raise ValueError(
            f"{type(problem.loss).__name__} needs model values that are not negative, which is "
            "known to be served under ridge penalties and absolute values only."
        )
    for one in (problem, problem.T):
        penalty, weights = one.rows.penalty, one.observations.row_weight
        if not penalty.is_rowwise and weights is not None:
            raise ValueError(
                f"{type(_unwrapped(penalty)).__name__} compares rows with one another, and rows "
                "that have weights cannot be compared. Use no sample_weight."
            )


def _unwrapped(penalty):
    """The penalty that the user knows, whatever unit it is in."""
    return getattr(penalty, "penalty", penalty)


def _cost_of_mean(problem: Problem):
    """Of a model that is the mean of the data everywhere."""
    samples, mean = problem.observations, overall_constant(problem)
    ones, means = (np.ones((n, 1), dtype=samples.dtype) for n in samples.shape)
    return samples.total_loss(ones, samples.dtype.type(mean) * means, problem.loss)


def _rounding_error(problem: Problem, W, Ht):
    """Of the objective: a share of what the data cost if the model is zero."""
    if problem.loss.is_squared:
        cost = 0.5 * problem.observations.total_squares  # known already
    else:
        nothing = np.zeros_like(W, shape=(len(W), 1)), np.zeros_like(Ht, shape=(len(Ht), 1))
        cost = problem.observations.total_loss(*nothing, problem.loss)
    return ROUNDING * float(np.finfo(Ht.dtype).eps) * cost if isfinite(cost) else 0.0


def _is_finite(factor):
    # A sum of squares costs one call; where it overflows, the numbers themselves decide.
    return isfinite(np.vdot(factor, factor)) or isfinite(factor.sum())
