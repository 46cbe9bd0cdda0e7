"""Multiplicative updates in batches of rows, of which later ones count more."""

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
    """What the batches so far want of the components.

    Attributes
    ----------
    negative, positive : ndarray of shape (n_features, k)
        Sums over batches of the parts of the derivative to Ht, see `GradientParts`, the first
        times Ht to the power of one over the exponent of the updates: the ratio to that exponent
        is the new Ht.
    kept : float
        What these sums count for when a batch is added.
    """

    negative: np.ndarray
    positive: np.ndarray
    kept: float

    @classmethod
    def before(cls, Ht, kept, size, beta):
        """Before the first batch: the start alone."""
        # It counts as a batch whose parts of the derivative are one, as in scikit-learn, but of
        # data of size one: they go as the size to the power of beta - 1/2.
        count = np.full_like(Ht, size ** (beta - 0.5))
        return cls(count * Ht, count, kept)

    def added(self, batch, W, Ht):
        """Add a batch. Features without an entry in it keep what they have.

        Parameters
        ----------
        batch : Problem
            The batch as a problem of its own.
        W : ndarray of shape (n_rows, k)
            Its rows.
        Ht : ndarray of shape (n_features, k)
            The components so far.

        Returns
        -------
        sums : RunningSums
            With the batch.
        Ht : ndarray of shape (n_features, k)
            The components that they mean.
        loss : float
            Of the batch, at the components so far.
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
    """A moving average of the batches' costs, and for how long it has not fallen.

    Attributes
    ----------
    value : float or None
        The average.
    least : float
        The lowest so far.
    n_without : int
        Batches since then.
    """

    value: float | None = None
    least: float = field(default=np.inf)
    n_without: int = 0

    def include(self, cost, share):
        """Take a batch's cost into the average, with this share of it."""
        self.value = cost if self.value is None else (1 - share) * self.value + share * cost
        self.n_without = 0 if self.value < self.least else self.n_without + 1
        self.least = min(self.least, self.value)


@dataclass
class Batches(Memory):
    """The data in batches, and what those so far have left.

    Attributes
    ----------
    sums : RunningSums
        Of the passes so far.
    batches : list of (rows, Problem), or None
        In their order; None when all is over.
    n_steps : int
        Batches seen.
    cost : Smoothed
        Of a row.
    """

    sums: RunningSums
    batches: list | None
    n_steps: int = 0
    cost: Smoothed = field(default_factory=Smoothed)


class MiniBatchUpdate(BaseSolver):
    """The online multiplicative updates of scikit-learn's ``MiniBatchNMF``, with holes.

    An iteration is a pass over the data, batch by batch in their order. Of a batch come better
    rows of W, and of these two sums for each coefficient of H, which are added to those of the
    batches before, the more faded the older they are. It is no solver for other estimators, and
    has no name in the registry.

    Parameters
    ----------
    batch_size : int
        Rows of a batch.
    forget_factor : float
        What a batch counts for after a pass over as many rows as the data have.
    fresh_restarts : bool
        Whether the rows of W are solved anew in every batch, not updated once.
    fresh_restarts_max_iter : int
        Updates of them at most.
    max_no_improvement : int or None
        Batches without a lower average cost after which it stops.
    tol : float
        Share of the norm of H by which it must change, of W in fresh restarts.
    """

    requires_loss = ("split",)
    requires_penalty = ("is_elastic",)
    window = np.inf  # it says itself when to stop
    measure = "the change of H by a batch, as a share of its norm,"

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
        self.name = "minibatch"  # of the instance alone: messages need it, the registry must not
        self.batch_size = batch_size
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.max_no_improvement = max_no_improvement
        self.tol = tol

    def sums_before(self, problem: Problem, Ht):
        """Sums before the first batch of some data."""
        n_rows = problem.observations.shape[0]
        kept = self.forget_factor ** (min(self.batch_size, n_rows) / n_rows)
        size = problem.observations.typical_size or 1.0
        return RunningSums.before(Ht, kept, size, problem.loss.beta)

    def update(self, batch, W, Ht, sums):
        """Take a batch into account.

        Parameters
        ----------
        batch : Problem
            The batch as a problem of its own.
        W : ndarray of shape (n_rows, k) or None
            Its rows so far, if they are known.
        Ht : ndarray of shape (n_features, k)
            The components so far.
        sums : RunningSums
            Of the batches so far.

        Returns
        -------
        W : ndarray of shape (n_rows, k)
            Better rows.
        Ht : ndarray of shape (n_features, k)
            Other components.
        sums : RunningSums
            With the batch.
        objective : float
            Of the batch, at the new rows and the components so far.
        """
        improve = _row_update(batch, Ht)
        fresh = W is None or self.fresh_restarts
        W = self._solved(batch, improve) if fresh else improve(W)
        sums, after, loss = sums.added(batch, W, Ht)
        return W, after, sums, loss + batch.penalty(W, Ht)

    def _solved(self, batch, improve):
        """Rows updated many times from a constant."""
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
        """See `BaseSolver.uses_kernels`: batches are small, and dealt with in threads of Python."""
        return True

    def _scale(self, problem: Problem, W, Ht):
        return 0.0, np.inf, np.inf  # whose answer would take a look at all data, and is not needed

    def _run(self, problem: Problem, state, record):
        try:
            super()._run(problem, state, record)
        finally:
            if state.memory is not None:
                state.memory.batches = None  # copies of the data

    def _step(self, problem: Problem, state):
        if state.memory is None:
            sums = self.sums_before(problem, state.Ht)
            batches = list(_batches(problem, self.batch_size))
            state.memory = Batches(sums, batches)
        memory = state.memory
        # What an interruption leaves belongs together: the end of the last pass.
        W, Ht, sums, n_steps = state.W.copy(), state.Ht, memory.sums, memory.n_steps
        total = weight = 0.0
        for rows, batch in memory.batches:
            before = Ht
            W[rows], Ht, sums, objective = self.update(batch, W[rows], Ht, sums)
            n_steps += 1
            total, n_rows = total + objective, batch.row_weight.sum(dtype=np.float64)
            weight += n_rows
            if n_steps == 1:
                continue  # the components of this cost were the start
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
    """Parts of the rows, in their order, that have an entry."""
    samples = problem.observations
    for first in range(0, samples.shape[0], size):
        rows = slice(first, min(first + size, samples.shape[0]))
        batch = replace(problem, observations=samples.subset(rows))
        if batch.T.observations.row_totals().any():
            yield rows, batch


def _row_update(batch, Ht):
    """One update of the rows of a batch as a function of them; what is the same is found once."""
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
