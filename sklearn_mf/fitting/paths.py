"""Factors along paths of ranks and penalties, each fitted from the previous ones.

A path need not give the last digits of every fit, but the model that predicts hidden entries best.
Therefore a step makes few sweeps, often one: new components are computed separately from the
residuals of the others, and then all components are improved together while the error of the hidden
entries decreases.
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
from sklearn_mf.utils._threads import in_threads, is_cancelled, one_blas_thread
from sklearn_mf.utils._warnings import quiet

# A path ends after LATE consecutive errors that exceed the smallest one by the fraction RISEN, or
# by one standard error of the smallest one if that is less.
LATE, RISEN = 3, 0.02
# The sweeps at a rank end when one of them decreases the hidden error by less than this fraction.
RESTING = 0.01
# Tolerance of the first fit of a path: more digits do not change which model is best.
COARSE_TOL = 1e-3
# Paths use single precision, which is twice as fast, if its rounding errors are at most this
# fraction of the standard deviation of the data.
PRECISION = 1e-5


@dataclass(frozen=True)
class Paths:
    """Fits at all points of a grid of ranks and strengths, by warm-started sweeps.

    Attributes
    ----------
    objective : Objective
        The objective, in the unit of the data.
    unit : Unit
        The unit in which the paths are computed.
    solver : str or BaseSolver
        The solver of the first fit of a path.
    init : str
        The initialization of the first fit.
    max_iter : int
        Its maximum number of iterations.
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
        """Return the paths of an estimator, or None if warm-started sweeps cannot replace its fits.

        They can if each factor is solved exactly while the other is fixed.

        Parameters
        ----------
        estimator : estimator
            An estimator with valid parameters, those of MatrixFactorization.
        objective : Objective
            The objective of the estimator.
        observations : ObservedMatrix
            The data, in their own unit.

        Returns
        -------
        paths : Paths or None
            The paths.
        """
        if estimator.early_stopping or estimator.warm_start or not isinstance(estimator.init, str):
            return None
        wanted, problem = estimator.solver, objective.problem(observations, 1)
        solver = solver_of(problem, wanted)
        # For complete data, "auto" uses the SVD, whose result alternating least squares finds as
        # well.
        solves = isinstance(solver, ALS) or (wanted == "auto" and isinstance(solver, Spectral))
        if not (solves and problem.is_quadratic):
            return None
        # Rows with few entries compare biases with components; see `ALS.unit_of`.
        has_bias = problem.rows.has_bias or problem.columns.has_bias
        unit = Unit.of_size(problem) if has_bias else Unit.of(problem)
        return cls(objective, unit, wanted, estimator.init, estimator.max_iter, estimator.tol)

    def results(self, parts, grid, n_sweeps, seed):
        """Return score, fit time and score time of every point of a grid.

        Parameters
        ----------
        parts : tuple of (ObservedMatrix, HiddenGroups)
            The visible and the hidden entries, in the unit.
        grid : tuple of sequences
            Ranks in ascending order, and strengths of the penalties in descending order.
        n_sweeps : int
            Maximum number of sweeps in every step but the first.
        seed : int
            Seed of the initialization and of new directions.

        Returns
        -------
        scores : ndarray of shape (n_alphas, n_ranks, n_groups)
            Negative mean squared errors, weighted like the entries; NaN after the end of a path.
        times : ndarray of shape (n_alphas, n_ranks, 2)
            Times of each fit and of each score.
        """
        (visible, hidden), (ranks, strengths), rng = parts, grid, check_random_state(seed)
        loss = self.objective.loss.in_unit(self.unit.size)

        def mean_of(errors):
            return errors @ hidden.weights / hidden.weights.sum()

        def error_of(factors):
            return mean_of(hidden.errors(problem, factors, loss))

        scores = np.full((len(strengths), len(ranks), len(hidden.weights)), np.nan)
        times = np.full((*scores.shape[:2], 2), np.nan)
        # As in solves, BLAS may raise floating-point flags that do not concern the results.
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
                        break  # the factors have diverged, and larger ranks diverge as well
                    scores[number, step] = -of_groups * self.unit.size**2
                    times[number, step] = fitted - began, perf_counter() - fitted
                    before = mean_of(of_groups)
                    errors.append(before)
                    if step == 0:
                        corner = factors, before
                    if has_risen(errors, hidden.n_observed) or is_cancelled():
                        break
                leasts.append(min(errors, default=np.inf))
                if has_risen(leasts, hidden.n_observed) or is_cancelled():
                    break
        return scores, times

    def _problem(self, observations: ObservedMatrix, rank, strength):
        """Return the problem of a point of the grid, for observations in the unit."""
        return self.unit.terms(self.objective.at(strength).problem(observations, rank))

    def _solved(self, problem: Problem, random_state):
        """Return the factors of the first fit of a path."""
        solver = solver_of(problem, self.solver)
        init = default_init(problem, solver) if self.init == "auto" else self.init
        factors = start(problem, init, random_state)
        options = {"max_iter": self.max_iter, "tol": max(self.tol, COARSE_TOL)}
        state = solver.solve(problem, *factors, random_state=random_state, **options)
        if state.interrupted:
            raise KeyboardInterrupt  # a path cannot continue an incomplete fit
        return problem.fold_in(state.Ht), state.Ht


def sweeps(problem: Problem, W, Ht):
    """Yield the factors after each of an unlimited number of sweeps.

    Parameters
    ----------
    problem : Problem
        The problem to be solved.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Initial factors.

    Yields
    ------
    W, Ht : ndarray
        The factors, with the best W for this Ht.
    """
    while True:
        W, Ht = problem.balanced(W, problem.T.solve_rows(W, Ht))
        W = problem.solve_rows(Ht, W)
        yield W, Ht


def rested(sweeps, error_of, before, most):
    """Make sweeps until the error of the hidden entries no longer decreases.

    If a step ended earlier, the rest of its decrease would be attributed to the next rank, which
    would seem to be needed.

    Parameters
    ----------
    sweeps : iterable of tuple of two ndarrays
        Pairs of factors; see `sweeps`.
    error_of : callable
        A function of the factors that returns the mean squared error of the hidden entries.
    before : float
        Error of the previous step.
    most : int
        Maximum number of sweeps.

    Returns
    -------
    factors : tuple of two ndarrays
        The last factors.
    """
    for factors in islice(sweeps, most):
        error = error_of(factors)
        if not error < (1 - RESTING) * before:
            break
        before = error
    return factors


def follow(judge, tasks, work):
    """Run the paths of some tasks, in threads that share the cores.

    Parameters
    ----------
    judge : callable
        A function of one task.
    tasks : sequence
        Arguments for the function.
    work : float
        Number of multiplications in the largest step of a path: small work uses fewer threads.

    Returns
    -------
    results : list
        The results, in the order of the tasks.
    """

    def quietly(task):
        with quiet(ConvergenceWarning):  # only the final fit may warn
            return judge(task)

    with one_blas_thread():
        return in_threads(quietly, tasks, work)


def has_risen(errors, n_hidden):
    """Return whether the last errors of a path are too large for the path to recover.

    Parameters
    ----------
    errors : ndarray of shape (n_steps,)
        Mean squared errors of hidden entries.
    n_hidden : int
        Number of hidden entries, for the standard error of the mean of normally distributed errors.

    Returns
    -------
    risen : bool
        Whether to end the path.
    """
    rise = min(RISEN, np.sqrt(2 / n_hidden))
    return len(errors) > LATE and min(errors[-LATE:]) > (1 + rise) * min(errors)
