"""Online multiplicative updates: batches of rows, with less weight on older batches."""

from dataclasses import dataclass, field, replace

import numpy as np

from sklearn_mf.objective.multiplicative import (
    FLOOR,
    LEAST,
    flush,
    multiplied,
    multiply,
)
from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers._base import BaseSolver, Memory
from sklearn_mf.starts.nonnegative import observed_mean
from sklearn_mf.utils._validation import Integral, Interval, Real


@dataclass(frozen=True)
class RunningSums:
    """Discounted sums over the batches that determine the components.

    Attributes
    ----------
    negative, positive : ndarray of shape (n_features, k)
        Sums over batches of the parts of the derivative with respect to Ht, see `GradientParts`.
        The first is multiplied by Ht to the power of one over the exponent of the updates, so that
        the ratio to that exponent is the new Ht.
    kept : float
        Factor by which these sums are multiplied when a batch is added.
    """

    negative: np.ndarray
    positive: np.ndarray
    kept: float

    @classmethod
    def before(cls, Ht, kept, size, beta):
        """Return the sums before the first batch, which represent the initialization."""
        # As in scikit-learn, the initialization counts as a batch whose parts of the derivative are
        # one. For data of another size, the parts scale like the size to the power of beta - 1/2.
        count = np.full_like(Ht, size ** (beta - 0.5))
        return cls(count * Ht, count, kept)

    def added(self, batch, W, Ht):
        """Add a batch. Features without an observed entry in the batch do not change.

        Parameters
        ----------
        batch : Problem
            The batch as a problem of its own.
        W : ndarray of shape (n_rows, k)
            Factor of the rows of the batch.
        Ht : ndarray of shape (n_features, k)
            Current components.

        Returns
        -------
        sums : RunningSums
            Sums that include the batch.
        Ht : ndarray of shape (n_features, k)
            Components that these sums determine.
        loss : float
            Loss of the batch at the previous components.
        """
        loss, dtype = batch.loss, Ht.dtype.type
        at = batch.T.gradient_parts(Ht, W, with_loss=True)
        divisor = at.positive + batch.T.row_penalty.slope(Ht)
        divisor[divisor == 0] = FLOOR
        base = Ht if loss.exponent == 1 else Ht ** dtype(1 / loss.exponent)
        negative = dtype(self.kept) * self.negative + at.negative * base
        flush(negative, beta=2)
        positive = dtype(self.kept) * self.positive + divisor
        after = negative / positive
        if loss.exponent != 1:
            after **= dtype(loss.exponent)
        if loss.beta <= 1:
            after[after < LEAST] = 0
        unseen = batch.T.observations.row_totals() == 0
        for new, old in ((negative, self.negative), (positive, self.positive), (after, Ht)):
            new[unseen] = old[unseen]
        return replace(self, negative=negative, positive=positive), after, at.loss


@dataclass
class Smoothed:
    """A moving average of the batch costs, and the number of batches since it last decreased.

    Attributes
    ----------
    value : float or None
        The moving average.
    least : float
        Its lowest value so far.
    n_without : int
        Number of batches since the lowest value.
    """

    value: float | None = None
    least: float = field(default=np.inf)
    n_without: int = 0

    def include(self, cost, share):
        """Update the moving average with the cost of a batch, which gets this weight."""
        self.value = cost if self.value is None else (1 - share) * self.value + share * cost
        self.n_without = 0 if self.value < self.least else self.n_without + 1
        self.least = min(self.least, self.value)


@dataclass
class Batches(Memory):
    """The batches of rows, and the running state over them.

    Attributes
    ----------
    sums : RunningSums
        Sums over all batches so far.
    batches : list of (rows, Problem), or None
        Batches in their order; None after the last iteration.
    n_steps : int
        Number of batches processed.
    cost : Smoothed
        Moving average of the cost per row.
    """

    sums: RunningSums
    batches: list | None
    n_steps: int = 0
    cost: Smoothed = field(default_factory=Smoothed)


class MiniBatchUpdate(BaseSolver):
    """The online multiplicative updates of scikit-learn's ``MiniBatchNMF``, with missing values.

    An iteration is a pass over the data, batch by batch and in order. Each batch first gets
    improved rows of W. They determine two sums for each coefficient of H, which are added to the
    sums of the previous batches, discounted by their age. This solver serves `MiniBatchNMF` only
    and cannot be selected by a name.

    Parameters
    ----------
    batch_size : int
        Number of rows in a batch.
    forget_factor : float
        Weight of a batch after a pass over as many rows as the data have.
    fresh_restarts : bool
        Whether the rows of W are solved anew in every batch, instead of being updated once.
    fresh_restarts_max_iter : int
        Maximum number of updates of the rows of W with fresh restarts.
    max_no_improvement : int or None
        Number of consecutive batches without a lower average cost after which the solver stops.
    tol : float
        The solver stops when the change of H, relative to its norm, is at most this number. With
        fresh restarts, the same holds for W within a batch.
    """

    requires_loss = ("split",)
    requires_penalty = ("is_elastic",)
    window = np.inf  # the stopping rule is in `_is_over`
    measure = "the change of H by a batch, relative to its norm,"

    _parameter_constraints: dict = {
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "forget_factor": [Interval(Real, 0, 1, closed="both")],
        "fresh_restarts": ["boolean"],
        "fresh_restarts_max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_no_improvement": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        batch_size,
        forget_factor,
        fresh_restarts,
        fresh_restarts_max_iter,
        max_no_improvement,
        tol,
    ):
        self.name = "minibatch"  # on the instance only: messages need it, but it is not registered
        self.batch_size = batch_size
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.max_no_improvement = max_no_improvement
        self.tol = tol

    def sums_before(self, problem: Problem, Ht):
        """Return the sums before the first batch of some data."""
        n_rows = problem.observations.shape[0]
        kept = self.forget_factor ** (min(self.batch_size, n_rows) / n_rows)
        size = problem.observations.typical_size or 1.0
        return RunningSums.before(Ht, kept, size, problem.loss.beta)

    def update(self, batch, W, Ht, sums):
        """Update the factors and the sums with a batch.

        Parameters
        ----------
        batch : Problem
            The rows of the batch as a problem.
        W : ndarray of shape (n_rows, k) or None
            Current factor of these rows, if it is known.
        Ht : ndarray of shape (n_features, k)
            Current components.
        sums : RunningSums
            Sums over the previous batches.

        Returns
        -------
        W : ndarray of shape (n_rows, k)
            Improved factor of the rows.
        Ht : ndarray of shape (n_features, k)
            Updated components.
        sums : RunningSums
            Sums that include the batch.
        objective : float
            Objective of the batch, at the improved rows and the previous components.
        """
        improve = _row_update(batch, Ht)
        fresh = W is None or self.fresh_restarts
        W = self._solved(batch, improve) if fresh else improve(W)
        sums, after, loss = sums.added(batch, W, Ht)
        return W, after, sums, loss + batch.penalty(W, Ht)

    def _solved(self, batch, improve):
        """Update the rows many times, starting from a constant."""
        samples, k = batch.observations, batch.n_components
        start = np.sqrt(observed_mean(samples) / k)
        W = np.full((samples.shape[0], k), start, dtype=samples.dtype)
        for _ in range(self.fresh_restarts_max_iter):
            before, W = W, improve(W)
            change = _norm(W - before, batch.row_weight)
            if self.tol > 0 and change <= self.tol * _norm(W, batch.row_weight):
                break
        return W

    def uses_kernels(self, problem: Problem):
        """See `BaseSolver.uses_kernels`: small batches are handled by Python threads."""
        return True

    def _scale(self, problem: Problem, W, Ht):
        return 0.0, np.inf, np.inf  # exact values would need another pass over the data

    def _run(self, problem: Problem, state, record):
        try:
            super()._run(problem, state, record)
        finally:
            if state.memory is not None:
                state.memory.batches = None  # these are copies of the data

    def _step(self, problem: Problem, state):
        if state.memory is None:
            sums = self.sums_before(problem, state.Ht)
            batches = list(_batches(problem, self.batch_size))
            state.memory = Batches(sums, batches)
        memory = state.memory
        # After an interruption, all parts of the state must belong to the end of the same pass.
        W, Ht, sums, n_steps = state.W.copy(), state.Ht, memory.sums, memory.n_steps
        total = weight = 0.0
        for rows, batch in memory.batches:
            before = Ht
            W[rows], Ht, sums, objective = self.update(batch, W[rows], Ht, sums)
            n_steps += 1
            total, n_rows = total + objective, batch.row_weight.sum(dtype=np.float64)
            weight += n_rows
            if n_steps == 1:
                continue  # this cost still belongs to the initialization
            share = min(n_rows / (problem.row_weight.sum(dtype=np.float64) + 1), 1)
            memory.cost.include(objective / n_rows, share)
            if self._is_over(memory, before, Ht):
                state.converged = True
                break
        state.W, state.Ht = W, Ht
        memory.sums, memory.n_steps = sums, n_steps
        return float(total / weight * problem.row_weight.sum(dtype=np.float64))

    def _is_over(self, memory, before, Ht):
        if self.tol > 0:
            change, size = np.linalg.norm(Ht - before), np.linalg.norm(Ht)
            if change <= self.tol * size:
                return True
            memory.to_fall = change / size if size else np.inf
        n_without = memory.cost.n_without
        return self.max_no_improvement is not None and n_without >= self.max_no_improvement


def _batches(problem: Problem, size):
    """Yield batches of rows in their order, without batches that have no observed entry."""
    samples = problem.observations
    for first in range(0, samples.shape[0], size):
        rows = slice(first, min(first + size, samples.shape[0]))
        batch = replace(problem, observations=samples.subset(rows))
        if batch.T.observations.row_totals().any():
            yield rows, batch


def _row_update(batch, Ht):
    """Return one update of the rows of a batch as a function; constants are computed once."""
    loss, penalty, samples = batch.loss, batch.row_penalty, batch.observations
    if loss.is_squared and samples.complete:
        systems = samples.systems(Ht, np.zeros_like(Ht, shape=len(Ht)), penalty)
        return lambda W: multiply(systems, W, 1).rows

    def improve(W):
        W = multiplied(batch.gradient_parts(W, Ht), penalty, W, loss.exponent)
        flush(W, loss.beta)
        return W

    return improve


def _norm(W, row_weight):
    return np.sqrt(np.einsum("ik,ik->i", W, W) @ row_weight)
