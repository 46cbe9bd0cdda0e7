"""Factors along a path of ranks and penalties, each from those before it.

What is asked of a path is not the last digit of every fit, but which of them predicts hidden
entries best. So a step costs few sweeps, often one: new components are found by themselves, from
what the others leave, and then all are improved together while hidden entries gain by it.
"""

from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sklearn_mf.fitting.solver import default_init, solver_of
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.constants import with_offset
from sklearn_mf.objective.objective import Objective
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.solvers import ALS, BaseSolver, Spectral
from sklearn_mf.starts.start import start
from sklearn_mf.starts.widened import widened
from sklearn_mf.utils._threads import in_threads, is_in_vain, one_blas_thread
from sklearn_mf.utils._warnings import quiet

# A path ends where so many errors in a row are by this share, or by one standard error of the
# least if that is less, above the least.
LATE, RISEN = 3, 0.02
# Hidden entries rest once a sweep takes less than this share from their error.
RESTING = 0.01
# Tolerance of the first fit of a path: digits beyond do not change what predicts best.
COARSE_TOL = 1e-3
# What of the standard deviation of the data may be lost in paths, which are twice as fast in
# single precision.
PRECISION = 1e-5


@dataclass(frozen=True)
class Paths:
    """Fits at all points of a grid of ranks and strengths, one sweep after the other.

    Attributes
    ----------
    objective : Objective
        What is minimised, in the unit of the data.
    unit : Unit
        In which paths are followed.
    solver : str or BaseSolver
        Of the first fit of a path.
    init : str
        Its start.
    max_iter : int
        Its iterations at most.
    tol : float
        Its tolerance.
    """

    objective: Objective
    unit: Unit
    solver: str | BaseSolver
    init: str
    max_iter: int
    tol: float

    @classmethod
    def of(cls, estimator, objective: Objective, observations: ObservedMatrix):
        """Those of an estimator, or None where one sweep a step does not tell what its fits would.

        They do of factors that each solves exactly.

        Parameters
        ----------
        estimator : estimator
            Its parameters are valid, and those of MatrixFactorization.
        objective : Objective
            What it minimises.
        observations : ObservedMatrix
            In the unit of the data.

        Returns
        -------
        paths : Paths or None
            To be followed.
        """
        if estimator.early_stopping or estimator.warm_start or not isinstance(estimator.init, str):
            return None
        wanted, problem = estimator.solver, objective.problem(observations, 1)
        solver = solver_of(problem, wanted)
        # Of data without holes "auto" takes singular vectors, which alternation finds too.
        solves = isinstance(solver, ALS) or (wanted == "auto" and isinstance(solver, Spectral))
        if not (solves and problem.is_quadratic):
            return None
        # Rows of few entries weigh biases beside components, see `ALS.unit_of`.
        has_bias = problem.rows.has_bias or problem.columns.has_bias
        unit = Unit.of_size(problem) if has_bias else Unit.of(problem)
        return cls(objective, unit, wanted, estimator.init, estimator.max_iter, estimator.tol)

    def results(self, parts, grid, n_sweeps, seed):
        """Score, fit time and score time of every point of a grid.

        Parameters
        ----------
        parts : tuple of (ObservedMatrix, HiddenGroups)
            What is to be seen, and what is hidden, in the unit.
        grid : tuple of sequences
            Ranks, ascending, and strengths of the penalties, largest first.
        n_sweeps : int
            At every step but the first.
        seed : int
            Of the start, and of new directions.

        Returns
        -------
        scores : ndarray of shape (n_alphas, n_ranks, n_groups)
            Negative mean squared errors, weighted as the entries are; NaN where a path had ended.
        times : ndarray of shape (n_alphas, n_ranks, 2)
            Of each fit, and of each score.
        """
        (visible, hidden), (ranks, strengths), rng = parts, grid, check_random_state(seed)
        loss = self.objective.loss.in_unit(self.unit.size)

        def mean_of(errors):
            return errors @ hidden.weights / hidden.weights.sum()

        def error_of(factors):
            return mean_of(hidden.errors(problem, factors, loss))

        scores = np.full((len(strengths), len(ranks), len(hidden.weights)), np.nan)
        times = np.full((*scores.shape[:2], 2), np.nan)
        # As in solves: BLAS may tell of numbers that are in no result.
        with threads_for(visible), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            first = self._problem(visible, ranks[0], strengths[0])
            offset, corner, leasts = with_offset(first).offset, (None, np.inf), []
            for number, strength in enumerate(strengths):
                (factors, before), errors = corner, []
                for step, rank in enumerate(ranks):
                    began = perf_counter()
                    problem = replace(self._problem(visible, rank, strength), offset=offset)
                    if factors is None:
                        factors = self._solved(problem, rng)
                    else:
                        path = sweeps(problem, *widened(problem, *factors, rng))
                        factors = rested(path, error_of, before, n_sweeps)
                    fitted = perf_counter()
                    of_groups = hidden.errors(problem, factors, loss)
                    if not np.isfinite(of_groups).all():
                        break  # factors have run away, and no larger rank brings them back
                    scores[number, step] = -of_groups * self.unit.size**2
                    times[number, step] = fitted - began, perf_counter() - fitted
                    before = mean_of(of_groups)
                    errors.append(before)
                    if step == 0:
                        corner = factors, before
                    if has_risen(errors, hidden.n_observed) or is_in_vain():
                        break
                leasts.append(min(errors, default=np.inf))
                if has_risen(leasts, hidden.n_observed) or is_in_vain():
                    break
        return scores, times

    def _problem(self, observations: ObservedMatrix, rank, strength):
        """A point of the grid, of observations in the unit."""
        return self.unit.terms(self.objective.at(strength).problem(observations, rank))

    def _solved(self, problem: Problem, random_state):
        """Where a path begins: the factors of a fit."""
        solver = solver_of(problem, self.solver)
        init = default_init(problem, solver) if self.init == "auto" else self.init
        factors = start(problem, init, random_state)
        options = {"max_iter": self.max_iter, "tol": max(self.tol, COARSE_TOL)}
        state = solver.solve(problem, *factors, random_state=random_state, **options)
        if state.interrupted:
            raise KeyboardInterrupt  # no path goes on from half a fit
        return problem.fold_in(state.Ht), state.Ht


def sweeps(problem: Problem, W, Ht):
    """Factors after each of any number of sweeps.

    Parameters
    ----------
    problem : Problem
        To be solved.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Where to start.

    Yields
    ------
    W, Ht : ndarray
        W the best for this Ht.
    """
    while True:
        W, Ht = problem.balanced(W, problem.T.solve_rows(W, Ht))
        W = problem.solve_rows(Ht, W)
        yield W, Ht


def rested(sweeps, error_of, before, most):
    """Follow sweeps until the error of hidden entries rests.

    A step of a path that ended sooner would leave to the next rank what is its own to gain, and
    that rank would seem to be needed.

    Parameters
    ----------
    sweeps : iterable of tuple of two ndarrays
        Factors, see `sweeps`.
    error_of : callable
        Mean squared error of hidden entries; gets the factors.
    before : float
        The error of the step before.
    most : int
        Number of sweeps.

    Returns
    -------
    factors : tuple of two ndarrays
        The last.
    """
    for factors in islice(sweeps, most):
        error = error_of(factors)
        if not error < (1 - RESTING) * before:
            break
        before = error
    return factors


def follow(judge, tasks, work):
    """What is found along the paths of some tasks, whose threads fill each other's gaps.

    Parameters
    ----------
    judge : callable
        Of one task.
    tasks : sequence
        What it is called with.
    work : float
        Multiplications in the largest step of a path: little is not worth another thread.

    Returns
    -------
    results : list
        In the order of the tasks.
    """

    def quietly(task):
        with quiet(ConvergenceWarning):  # whether the last fit converges, that will say
            return judge(task)

    with one_blas_thread():
        return in_threads(quietly, tasks, work)


def has_risen(errors, n_hidden):
    """Whether the last errors of a path are so far above its least that the rest is no use.

    Parameters
    ----------
    errors : ndarray of shape (n_steps,)
        Mean squares, of hidden entries.
    n_hidden : int
        Number of hidden entries: it tells the standard error of such a mean of normal errors.

    Returns
    -------
    risen : bool
        Whether to end the path.
    """
    rise = min(RISEN, np.sqrt(2 / n_hidden))
    return len(errors) > LATE and min(errors[-LATE:]) > (1 + rise) * min(errors)
