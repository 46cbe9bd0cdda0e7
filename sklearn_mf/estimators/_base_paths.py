"""Ranks and penalties judged by hidden entries, along paths."""

from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.estimators._base import threads_for
from sklearn_mf.fitting.early_stopping import hold_out
from sklearn_mf.fitting.paths import (
    PRECISION,
    Hidden,
    follow,
    has_risen,
    n_enough,
    of_every_rank,
    rested,
    simplest_of_the_best,
    sweeps,
    widened,
)
from sklearn_mf.objective.constants import column_means
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import DenseObservations, ObservedMatrix, ZeroFilledObservations
from sklearn_mf.solvers import ALS, Spectral
from sklearn_mf.starts.start import start
from sklearn_mf.utils._hiding import HIDDEN_COLUMNS
from sklearn_mf.utils._threads import is_in_vain

# Tolerance of the first fit of a path: digits beyond do not change what predicts best.
ROUGH = 1e-3
# What ``n_components="auto"``, and None where entries are missing, try at most, and on which hidden
# entries; sweeps at a rank.
MOST_COMPONENTS, N_HOLD_OUTS, HIDDEN_SHARE, N_SWEEPS = 50, 5, 0.2, 100
# Under ``alpha_W="auto"`` strengths are tried beside ranks, shares of the deviation, and which of
# them is the first.
FOR_RANKS, FIRST = (0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 0.0), 0.12


class Strength(NamedTuple):
    """How strong penalties are: those of components, and those of biases, which have no unit.

    With the share of the first that falls on absolute values, or None for what `l1_ratio` says.
    """

    components: float
    biases: float
    l1_ratio: float | None = None


class PathsMixin:
    """For estimators of a `Problem` that alternation serves; mixed into MatrixFactorization."""

    def _can_follow_paths(self, observations: ObservedMatrix, loss):
        """Whether one sweep a step tells what fits would: of factors that each solves exactly."""
        if self.early_stopping or self.warm_start or not isinstance(self.init, str):
            return False
        problem = self._problem(observations, loss, 1)
        solver = self._check_solver(problem)
        # Of data without holes "auto" takes singular vectors, which alternation finds too.
        solves = isinstance(solver, ALS) or (self.solver == "auto" and isinstance(solver, Spectral))
        return solves and problem.is_smooth

    def _unit_of_paths(self, observations: ObservedMatrix, loss):
        """The unit in which paths are followed."""
        problem = self._problem(observations, loss, 1)
        # Rows of few entries weigh biases beside components, see `ALS.unit_of`.
        has_bias = problem.rows.has_bias or problem.columns.has_bias
        return Unit.of_size(problem) if has_bias else Unit.of(problem)

    def _path_results(self, parts, terms, grid, n_sweeps, seed):
        """Score, fit time and score time of every point of a grid.

        Parameters
        ----------
        parts : tuple of (ObservedMatrix, Hidden)
            What is to be seen, and what is hidden, in a unit.
        terms : tuple of (BaseLoss, Unit)
            The loss of the data, resolved, and the unit.
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
        (visible, hidden), (loss, unit) = parts, terms
        ranks, alphas = grid
        rng = check_random_state(seed)

        def problem_of(rank, alpha):
            problem = unit.terms(self._problem(visible, loss, rank, alpha))
            return replace(problem, offset=offset)

        def solve(problem: Problem):
            solver = self._check_solver(problem)
            init = solver.init if problem.loss.is_squared else "random"
            factors = start(problem, init if self.init == "auto" else self.init, rng)
            options = {"max_iter": self.max_iter, "tol": max(self.tol, ROUGH), "random_state": rng}
            state = solver.solve(problem, *factors, **options)
            if state.interrupted:
                raise KeyboardInterrupt  # no path goes on from half a fit
            return problem.fold_in(state.Ht), state.Ht

        def mean_of(errors):
            return errors @ hidden.weights / hidden.weights.sum()

        def error_of(factors):
            return mean_of(hidden.errors(problem, factors, loss_in_unit))

        loss_in_unit = loss.in_unit(unit.size)
        scores = np.full((len(alphas), len(ranks), len(hidden.weights)), np.nan)
        times, offset = np.full((*scores.shape[:2], 2), np.nan), 0.0
        # As in solves: BLAS may tell of numbers that are in no result.
        with threads_for(visible), np.errstate(over="ignore", invalid="ignore"):
            problem, _ = self._prepared(problem_of(ranks[0], alphas[0]), ALS(), rng)
            offset, corner, leasts = problem.offset, (None, np.inf), []
            for number, alpha in enumerate(alphas):
                (factors, before), errors = corner, []
                for step, rank in enumerate(ranks):
                    began = perf_counter()
                    problem = problem_of(rank, alpha)
                    if factors is None:
                        factors = solve(problem)
                    else:
                        path = sweeps(problem, *widened(problem, *factors, rng))
                        factors = rested(path, error_of, before, n_sweeps)
                    fitted = perf_counter()
                    of_groups = hidden.errors(problem, factors, loss_in_unit)
                    scores[number, step] = -of_groups * unit.size**2
                    times[number, step] = fitted - began, perf_counter() - fitted
                    before = mean_of(of_groups)
                    errors.append(before)
                    if step == 0:
                        corner = factors, before
                    if has_risen(errors, hidden.n_observed) or is_in_vain():
                        break
                leasts.append(min(errors))
                if has_risen(leasts, hidden.n_observed) or is_in_vain():
                    break
        return scores, times

    def _rank_of_hidden_entries(self, observations: ObservedMatrix, loss):
        """The rank that ``n_components="auto"`` means."""
        self._check_paths("n_components", observations, loss, "RankSearchCV, or an int")
        ranks = np.arange(1, min(*observations.shape, MOST_COMPONENTS) + 1)
        if len(ranks) == 1:
            return 1
        strengths, first = self._strengths_for_ranks(observations, loss)
        least = (PRECISION * self._unit_of_shares(observations, loss).size) ** 2
        unit = self._unit_of_paths(observations, loss)
        observations = unit.observations(observations)
        seeds = self._hold_outs(observations)
        n_groups = -(-N_HOLD_OUTS // len(seeds))
        work = observations.n_observed * int(ranks[-1]) ** 2

        def results_of(ranks, strengths, folds):
            def along_path(seed):
                parts = _parts(observations, seed, ("n_components='auto'", "an int"), n_groups)
                grid = ranks, strengths
                scores, _ = self._path_results(parts, (loss, unit), grid, N_SWEEPS, seed)
                return np.moveaxis(scores, -1, 0)

            return np.concatenate(follow(along_path, seeds[folds], work))[..., None]

        results = of_every_rank(ranks, strengths, results_of, first, len(seeds), least)
        index = simplest_of_the_best(results[..., 0].T, least)
        return int(ranks[index])

    def _strengths_for_ranks(self, observations: ObservedMatrix, loss):
        """Which strengths to try where the rank is chosen, and the index of the first."""
        if self.alpha_W != "auto":
            return [self._strength], 0
        unit = self._unit_of_shares(observations, loss)
        strengths = [outside(share, unit, self.l1_ratio) for share in FOR_RANKS]
        return strengths, FOR_RANKS.index(FIRST)

    def _hold_outs(self, observations: ObservedMatrix):
        """Seeds of as many hold-outs as are enough."""
        n_hidden = HIDDEN_SHARE * observations.n_observed
        if isinstance(observations, ZeroFilledObservations):  # of rows, in which some are hidden
            n_hidden *= HIDDEN_COLUMNS
        n_hold_outs = min(n_enough(n_hidden), N_HOLD_OUTS)
        return check_random_state(self.random_state).randint(2**31 - 1, size=n_hold_outs)

    def _unit_of_shares(self, observations: ObservedMatrix, loss):
        """The deviation of the data: strengths that are shares of it make the same model in any."""
        return Unit.of_size(self._problem(observations, loss, 1))

    def _check_paths(self, parameter, observations: ObservedMatrix, loss, remedy):
        """Refuse "auto" for a parameter where no path tells what fits would."""
        solves = self.solver == "auto" or self.solver == "als" or isinstance(self.solver, ALS)
        if solves and self._can_follow_paths(_of_entries(observations), loss):
            return
        raise ValueError(
            f"{parameter}='auto' needs what alternating least squares solves exactly: "
            "solver='auto' or 'als', a loss with a quadratic bound, positive=False, "
            f"l1_ratio=0, a named init, and no early_stopping or warm_start. Use {remedy}."
        )

    def _rank_of_variance(self, observations: ObservedMatrix, loss):
        """The rank that a share of the variance means."""
        dense = isinstance(observations, DenseObservations)
        if not (dense and observations.complete and loss.is_squared) or self._has_sample_bias:
            raise ValueError(
                f"n_components={self.n_components} is a share of the variance of dense, not sparse "
                "and complete X without entry weights, under the squared loss and without sample "
                "bias. Use n_components='auto', or RankSearchCV."
            )
        X = observations.values
        if self.bias == "features":
            X = X - column_means(observations)
        if observations.row_weight is not None:
            X = X * np.sqrt(observations.row_weight)[:, None]
        squares = np.linalg.svd(X, compute_uv=False).astype(np.float64) ** 2
        shares = np.cumsum(squares) / max(squares.sum(), np.finfo(np.float64).tiny)
        enough = self.n_components - max(X.shape) * np.finfo(X.dtype).eps  # sums are rounded
        return min(int(np.searchsorted(shares, enough)) + 1, len(shares))


def _parts(observations: ObservedMatrix, seed, names, n_groups=1):
    """What is visible, and what is hidden."""
    held_out = hold_out(observations, HIDDEN_SHARE, seed, names)
    return _of_entries(held_out.visible), Hidden(held_out, n_groups)


def _of_entries(observations: ObservedMatrix):
    """Observations entry by entry, unless that would store zeros."""
    is_sparse = isinstance(observations, ZeroFilledObservations)
    return observations if is_sparse else observations.stored()


def outside(share, unit, l1_ratio):
    """The strength that is a share in some unit, in the unit of the data."""
    if unit.size == 1:
        return Strength(share, share)
    l1 = share * l1_ratio * unit.size ** (unit.degree - 0.5)
    ridge = share * (1 - l1_ratio) * unit.size ** (unit.degree - 1)
    return Strength(l1 + ridge, share, l1 / (l1 + ridge) if share else l1_ratio)
