"""Base of the solvers that alternate between the factors with over-relaxed sweeps."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers._base import BaseSolver, Memory

# Parameters of Ang & Gillis (2019): the first extrapolation step, the growth of the step and of its
# limit while the objective decreases, and the divisor of the step after an increase.
FIRST_SHARE, GROWTH, GROWTH_OF_LIMIT, CUT = 0.5, 1.05, 1.01, 1.5

# Number of sweeps between two rescalings of unpenalized components, which drift slowly or not at
# all.
SELDOM = 10

# The number of rounds that share one product with X. A round costs the square of the rank for each
# row, the product costs the number of entries of the row (Gillis & Glineur 2012).
MOST_ROUNDS, ROUNDS_PER_ENTRY = 10, 2


@dataclass
class Extrapolation(Memory):
    """State of the adaptive extrapolation of sweeps.

    Attributes
    ----------
    ahead : ndarray of shape (n_features, k)
        Factor of the features at which the next sweep starts.
    limit : float
        Upper limit of `share`.
    share : float
        Extrapolation step, as a fraction of the step of a sweep.
    last_share : float
        The last value of `share` that decreased the objective.
    violation : float or None
        Distance of the factors from a stationary point in the first sweep.
    """

    ahead: np.ndarray
    limit: float
    share: float = FIRST_SHARE
    last_share: float = FIRST_SHARE
    violation: float | None = None


class ExtrapolatedSolver(BaseSolver):
    """Base of solvers that alternately improve the rows of W and of H, with extrapolation.

    A subclass defines ``_improve(problem, fixed, rows, state)``, which returns improved rows for
    the fixed factor as an object with ``rows`` and ``violation``, and ``_value(problem, improved,
    fixed)``, which returns the objective there. Both work for either factor: for H, they are called
    with ``problem.T``.

    Each factor moves beyond its improved rows by a fraction of the last step. This is
    over-relaxation: the objective decreases monotonically if the fraction is below one and the rows
    are exact minimizers (Wen, Yin & Zhang 2012, :doi:`10.1007/s12532-012-0044-1`). If the objective
    nevertheless increases, the sweep is discarded and repeated without extrapolation from the last
    factors, which must not increase the objective. After each sweep the components are rescaled so
    that their penalties are smallest, because alternation alone would find this scale only slowly.
    """

    extrapolated = True
    memory_class = Extrapolation
    measure = "the projected gradient relative to that of the first iteration"
    # Maximum extrapolation beyond the improved factors, as a fraction of the step.
    most_share = 1.0

    def uses_kernels(self, problem: Problem):
        """See `BaseSolver.uses_kernels`: coordinate descent alternates with products."""
        return True

    def _step(self, problem: Problem, state):
        if state.memory is None:
            state.memory = self.memory_class(ahead=state.Ht, limit=self.most_share)
        memory = state.memory
        share = memory.share if self.extrapolated else 0.0
        W, Ht, objective, violation = self._sweep(problem, state, memory.ahead, share)
        if share and not objective <= state.objective:
            memory.share, memory.limit = share / CUT, memory.last_share
            W, Ht, objective, violation = self._sweep(problem, state, state.Ht, 0.0)
            memory.ahead = Ht
        else:
            memory.last_share = share
            share = memory.share = min(memory.limit, GROWTH * share)
            memory.limit = min(self.most_share, GROWTH_OF_LIMIT * memory.limit)
            memory.ahead = self._ahead(problem.T, Ht, memory.ahead, share)
        if memory.violation is None:
            memory.violation = violation
        first = memory.violation
        state.violation = self._rest(problem, state, objective, violation / first if first else 0.0)
        state.W, state.Ht = W, Ht
        return objective

    def _sweep(self, problem: Problem, state, Ht, share):
        rows = self._improve(problem, Ht, state.W, state)
        W = self._beyond(problem, rows.rows, state.W, share)
        columns = self._improve(problem.T, W, Ht, state)
        violation = float(rows.violation @ problem.row_weight + columns.violation.sum())
        Ht, objective = columns.rows, self._value(problem.T, columns, W)
        free = problem.rows.penalty.is_free and problem.columns.penalty.is_free
        if self.extrapolated and not (free and state.n_iter % SELDOM):
            penalty = problem.penalty(W, Ht)
            W, Ht = problem.balanced(W, Ht)
            objective += problem.penalty(W, Ht) - penalty
        return W, Ht, objective, violation

    def _beyond(self, problem: Problem, after, before, share):
        """Extrapolate rows along their last step."""
        if not share:
            return after
        beyond = after - before
        beyond *= after.dtype.type(share)
        beyond += after
        return problem.feasible(beyond)

    def _ahead(self, problem: Problem, after, before, share):
        """Return the point at which the next sweep starts."""
        return self._beyond(problem, after, before, share)

    def _rest(self, problem: Problem, state, objective, violation):
        """Return the distance from a stationary point, relative to the one at the start."""
        return violation

    def _improve(self, problem: Problem, fixed, rows, state):
        raise NotImplementedError

    def _value(self, problem: Problem, improved, fixed):
        raise NotImplementedError

    @staticmethod
    def _worthwhile_rounds(problem: Problem):
        """Return how many rounds over the rows of a factor are worth one product with X."""
        samples = problem.observations
        if not samples.complete:  # each row has its own Gram matrix, which costs many rounds
            return MOST_ROUNDS
        worth = ROUNDS_PER_ENTRY * samples.stored_per_row / problem.width
        return min(1 + round(worth), MOST_ROUNDS)
