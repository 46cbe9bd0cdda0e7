"""Over-relaxed sweeps, with an adaptive step, of solvers that improve the factors in turn."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers._base import BaseSolver, Memory

# The numbers of Ang & Gillis (2019): by how much a sweep is first over-relaxed, how
# that and its limit grow while the objective falls, and by what it is divided where it rose.
FIRST_SHARE, GROWTH, GROWTH_OF_LIMIT, CUT = 0.5, 1.05, 1.01, 1.5

# Sweeps after which components without penalties are looked at: they drift slowly, if at all.
SELDOM = 10

# Rounds that repay the product with X which they share: their cost is that of a square of the
# rank for each row, the product's that of the row's entries (Gillis & Glineur 2012).
MOST_ROUNDS, ROUNDS_PER_ENTRY = 10, 2


@dataclass
class Extrapolation(Memory):
    """The state of over-relaxed sweeps.

    Attributes
    ----------
    ahead : ndarray of shape (n_features, k)
        Where the next sweep starts.
    limit : float
        What `share` may grow to.
    share : float
        Of a sweep's own step by which it goes beyond it.
    last_share : float
        The last one that did not lead astray.
    violation : float or None
        How far the factors were from rest in the first sweep.
    """

    ahead: np.ndarray
    limit: float
    share: float = FIRST_SHARE
    last_share: float = FIRST_SHARE
    violation: float | None = None


class ExtrapolatedSolver(BaseSolver):
    """Base of solvers that improve the rows of W, then those of H, from where they are heading.

    A solver adds ``_improve(problem, fixed, rows, state)``, which returns better rows for the
    fixed factor, as something with ``rows`` and ``violation``, and ``_value(problem, improved,
    fixed)``, the objective there. Both serve either side, by ``problem.T``.

    Each factor moves beyond its improved rows by a share of the step from where it was improved:
    over-relaxation, under which the objective falls by itself if shares are below one and rows
    are the best (Wen, Yin & Zhang 2012, :doi:`10.1007/s12532-012-0044-1`). Where it rises after
    all, the sweep is thrown away and another one starts from the last factors, which the solver
    must not make worse. After a sweep each component is scaled so that its penalties are least,
    which alternation would find only slowly.
    """

    extrapolated = True
    memory_class = Extrapolation
    measure = "the projected gradients beside those of the first iteration"
    # Beyond the improved factors by this share of the step at most.
    most_share = 1.0

    def uses_kernels(self, problem: Problem):
        """See `BaseSolver.uses_kernels`: rows descend between the products."""
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
        """Where rows are that go on as they went."""
        if not share:
            return after
        beyond = after - before
        beyond *= after.dtype.type(share)
        beyond += after
        return problem.feasible(beyond)

    def _ahead(self, problem: Problem, after, before, share):
        """Where the next sweep starts."""
        return self._beyond(problem, after, before, share)

    def _rest(self, problem: Problem, state, objective, violation):
        """How far from rest the solver is, where it began at one."""
        return violation

    def _improve(self, problem: Problem, fixed, rows, state):
        raise NotImplementedError

    def _value(self, problem: Problem, improved, fixed):
        raise NotImplementedError

    @staticmethod
    def _worthwhile_rounds(problem: Problem):
        """How many rounds over the rows of a side are worth one product with X."""
        samples = problem.observations
        if not samples.complete:  # Gram matrices of their own are worth many rounds
            return MOST_ROUNDS
        worth = ROUNDS_PER_ENTRY * samples.stored_per_row / problem.width
        return min(1 + round(worth), MOST_ROUNDS)
