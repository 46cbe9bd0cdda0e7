"""Stochastic gradient descent, one observed entry at a time."""

from dataclasses import dataclass, replace
from functools import partial
from math import inf, isqrt
from numbers import Real
from typing import Literal

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ZeroFilledObservations, parabola_of
from sklearn_mf.solvers._base import SOLVERS, BaseSolver, Memory
from sklearn_mf.utils._threads import n_threads
from sklearn_mf.utils._validation import Interval, StrOptions

# Smallest number of groups of rows and of columns, so that each stratum has work for many threads;
# smallest number of entries in a block, so that it is worth a visit; and the size in bytes of the
# factors of a block that stay in the cache.
GROUPS = 16
BLOCK_ENTRIES = 1024
BLOCK_BYTES = 100_000
# Number of floats that the kernel stores next to each row of a factor.
ASIDE = 4
# This solver visits the zeros that a sparse X does not store as entries, and each needs memory.
MOST_FILLED = 10_000_000
AUTOMATIC = {"adagrad": 0.2, "constant": 0.02, "invscaling": 0.1, "adaptive": 0.1}
# "adaptive" stops when the learning rate falls below this fraction of its initial value.
LEAST_RATE = 1e-6
# Growth of the "adaptive" learning rate after an epoch that decreased the objective (the "bold
# driver" of Gemulla et al.).
GROWTH = 1.05


@dataclass
class Schedule(Memory):
    """The blocks of entries, and the current learning rate.

    Attributes
    ----------
    epochs : _Epochs
        The entries, grouped into blocks.
    rate : float
        Current learning rate, before `SGD.schedule` is applied.
    """

    epochs: "_Epochs"
    rate: float


@SOLVERS.register
class SGD(BaseSolver):
    r"""Stochastic gradient descent: one step for every observed entry.

    An iteration is an epoch: it visits every observed entry once, in random order, and decreases
    the entry's contribution to the objective, first through the row of W, then through the column
    of H:

    .. math::

        w_i \leftarrow w_i + \eta_i\, r\, h_j,\qquad h_j \leftarrow h_j + \eta_j\, r\, w_i,
        \qquad r = e_{ij}\, (x_{ij} - \hat{x}_{ij})

    Penalties are handled by their proximal operators. The steps are implicit, that is, divided by
    :math:`1 + \eta_i e_{ij} \|h_j\|^2` for W and accordingly for H, so no step overshoots, whatever
    the learning rate. Losses other than the squared one are replaced by a quadratic upper bound at
    the factors at the start of the epoch.

    Rows and columns are divided into groups. Blocks of entries that share no group are processed in
    parallel, and the result is the same for any number of threads.

    An epoch costs ``O(n_observed * k)``.

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Step size, relative to data with standard deviation one around the biases, so that a good
        value does not depend on the unit of X. With "auto", it is 0.2 for "adagrad", 0.1 for
        "invscaling" and "adaptive", and 0.02 for "constant".
    schedule : {"adagrad", "constant", "invscaling", "adaptive"}, default="adagrad"
        How the steps become shorter. With "adagrad", `learning_rate` is divided for every row and
        column by the root of one plus the sum of the mean squares of its own gradients. "constant"
        keeps the step size. "invscaling" divides it by ``t ** power_t`` in epoch t. "adaptive"
        halves it whenever an epoch would increase the objective, repeats the epoch from the factors
        before it, and increases the step size by 5 % after any other epoch.
    power_t : float, default=0.5
        Exponent of the "invscaling" schedule.

    See Also
    --------
    ALS : Needs no learning rate; fewer iterations, each of which costs more.
    GradientDescent : Uses all entries in every step.

    Notes
    -----
    The order in which entries are visited depends on the number of rows. A sample with weight two
    therefore has the same objective as two copies of the sample, but the results differ in the last
    digits. With the other solvers they are equal.

    References
    ----------
    Gemulla, R., Nijkamp, E., Haas, P. J. & Sismanis, Y. (2011). Large-scale matrix
    factorization with distributed stochastic gradient descent. KDD 2011.
    :doi:`10.1145/2020408.2020426`

    Chin, W.-S., Zhuang, Y., Juan, Y.-C. & Lin, C.-J. (2015). A learning-rate schedule for
    stochastic gradient methods to matrix factorization. PAKDD 2015.
    :doi:`10.1007/978-3-319-18038-0_35`

    Toulis, P. & Airoldi, E. M. (2017). Asymptotic and finite-sample properties of estimators
    based on stochastic gradients. Annals of Statistics 45(4). :doi:`10.1214/16-AOS1506`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import SGD
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> model = MatrixFactorization(1, alpha_W=0, solver=SGD(), random_state=0, max_iter=1000)
    >>> print(model.inverse_transform(model.fit_transform(X)).round(1))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "sgd"
    draws = True
    requires_loss = ("quadratic",)
    requires_penalty = ("is_elastic",)
    # Short steps do not correct singular vectors that fit the noise of few entries.
    init = "random"
    window = 5
    _parameter_constraints: dict = {
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions(set(AUTOMATIC))],
        "power_t": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        learning_rate: float | Literal["auto"] = "auto",
        schedule: str = "adagrad",
        power_t: float = 0.5,
    ):
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.power_t = power_t

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        super().check(problem)
        observations = problem.observations
        if not isinstance(observations, ZeroFilledObservations):
            return
        n_cells = observations.shape[0] * observations.shape[1]
        if n_cells > MOST_FILLED:
            raise ValueError(
                f"solver='sgd' visits every entry, and X has {n_cells} entries, counting the "
                "zeros that it does not store. If these entries are missing, use "
                "unstored='missing'. Otherwise use solver='als'."
            )

    def _step(self, problem: Problem, state):
        if state.memory is None:
            is_auto = self.learning_rate == "auto"
            rate = AUTOMATIC[self.schedule] if is_auto else self.learning_rate
            state.memory = Schedule(_Epochs(problem, state), rate)
        memory = state.memory
        rate = memory.rate
        if self.schedule == "invscaling":
            rate /= (state.n_iter + 1) ** self.power_t
        epoch = partial(memory.epochs.next(state), adapt=float(self.schedule == "adagrad"))
        W, Ht, objective = epoch(rate)
        if self.schedule == "adaptive":
            while not objective <= state.objective:
                if rate < LEAST_RATE * memory.rate:
                    state.converged = True
                    return state.objective
                rate /= 2
                W, Ht, objective = epoch(rate)
            memory.rate = GROWTH * rate
        state.W, state.Ht = W, Ht
        return objective


class _Epochs:
    """The blocks of entries, and the quantities that one fit needs.

    Internally, model values are in units of the standard deviation of the data around the initial
    biases, and the weights on either side have mean one.
    """

    def __init__(self, problem: Problem, state):
        self.problem = problem
        self.stored = stored = problem.observations.stored()
        draw = state.random_state.permutation
        rows = np.repeat(np.arange(stored.shape[0], dtype=np.int32), np.diff(stored.indptr))
        present = np.ones(len(rows), dtype=bool)
        for weight, index in ((stored.row_weight, rows), (stored.column_weight, stored.indices)):
            if weight is not None:
                present &= weight[index] > 0
        order = draw(np.flatnonzero(present))
        rows, columns = rows[order], stored.indices[order].astype(np.int32, copy=False)
        counts = [
            np.bincount(index, minlength=size)
            for index, size in zip((rows, columns), stored.shape, strict=True)
        ]
        width = state.W.itemsize * (state.W.shape[1] + ASIDE)
        self.n_groups = n_groups = _n_groups(len(order), stored.shape, width)
        row_groups, column_groups = (_groups(count, n_groups, draw) for count in counts)
        blocks = row_groups[rows] * n_groups + column_groups[columns]
        # The sort of the smallest integer type is linear in the number of entries.
        by_block = np.argsort(blocks.astype(np.min_scalar_type(n_groups**2)), kind="stable")
        self.order, self.rows, self.columns = order[by_block], rows[by_block], columns[by_block]
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(blocks, minlength=n_groups**2))])
        weights = None if stored.weights is None else stored.weights[self.order]
        self.weights = (
            _multiplied(weights, stored.column_weight, self.columns),
            _multiplied(weights, stored.row_weight, self.rows),
        )
        self.unit, self.mean_weights = 1.0, (1.0, 1.0)
        self._choose_units(state)
        self.squares = [np.ones_like(V, shape=len(V)) for V in (state.W, state.Ht)]
        self.penalties = [
            (
                (side.penalty_scale / np.maximum(count, 1)).astype(stored.dtype),
                self._penalty(side.rows, mean),
            )
            for side, count, mean in zip(
                (problem, problem.T), counts, self.mean_weights, strict=True
            )
        ]
        self.fixed = self._entries(state) if problem.loss.is_squared else None

    def _choose_units(self, state):
        """Choose the units in which the residuals of the initial biases are about one."""
        start = replace(state, W=np.zeros_like(state.W))
        _, _, targets, *weights = self._entries(start)
        left, right = self.problem.model_factors(start.W, start.Ht)
        errors = targets - self.stored.model(left, right)[self.order] + float(self.problem.offset)
        self.mean_weights = tuple(
            1.0 if weight is None else float(weight.mean(dtype=np.float64)) for weight in weights
        )
        square = np.average(errors.astype(np.float64) ** 2, weights=weights[1])
        self.unit = float(np.sqrt(square)) or 1.0

    def _entries(self, state):
        """Return the entries to fit: the data, or the quadratic upper bound of their loss."""
        problem, stored = self.problem, self.stored
        targets, curvature = stored.values, None
        if not problem.loss.is_squared:
            model = stored.model(*problem.model_factors(state.W, state.Ht))
            curvature, targets = parabola_of(problem.loss.at(stored.kinds), targets, model)
        targets = (targets[self.order] - float(problem.offset)) / self.unit
        weights = (_multiplied(weight, curvature, self.order) for weight in self.weights)
        weights = (
            None if weight is None else weight / mean
            for weight, mean in zip(weights, self.mean_weights, strict=True)
        )
        return self.rows, self.columns, targets.astype(stored.dtype, copy=False), *weights

    def _penalty(self, side, mean_weight):
        """Return ridge, L1 penalty, lower bound and ridge of the bias, in the internal units."""
        penalty, unit = side.penalty, self.unit
        return (
            penalty.ridge / (mean_weight * unit),
            penalty.l1 / (mean_weight * unit**1.5),
            0.0 if penalty.positive else -inf,
            side.bias_ridge / mean_weight if side.has_bias else None,
        )

    def next(self, state):
        """Return the next epoch as a function of the step size and the adaptation of the steps."""
        entries = self.fixed or self._entries(state)
        draw, n = state.random_state.permutation, self.n_groups
        rows, columns, shifts = draw(n), draw(n), draw(n)
        # Each stratum pairs every group of rows with a different group of columns.
        strata = n * rows + columns[(np.arange(n) + shifts[:, None]) % n]
        return partial(self._run, state, entries, strata)

    def _run(self, state, entries, strata, rate, adapt):
        sides = [
            (self._scaled(V, 1 / self.unit), squares, *penalty)
            for V, squares, penalty in zip(
                (state.W, state.Ht), self.squares, self.penalties, strict=True
            )
        ]
        threads = n_threads(len(self.rows) * state.W.shape[1])
        *moved, errors = kernels.sgd_epoch(
            entries, (self.starts, strata), *sides, rate, adapt, threads
        )
        self.squares = [squares for _, squares in moved]
        W, Ht = self.problem.balanced(*(self._scaled(V, self.unit) for V, _ in moved))
        if not self.problem.loss.is_squared:
            return W, Ht, self.problem.value(W, Ht)
        loss = 0.5 * float(errors.sum()) * self.unit**2 * self.mean_weights[1]
        return W, Ht, loss + self.problem.penalty(W, Ht)

    def _scaled(self, V, unit):
        """Convert a factor to other units: biases scale linearly, components like the root."""
        return self.problem.layout.scaled(V, float(unit) ** 0.5, float(unit))


def _n_groups(n_entries, shape, width):
    """Return the number of groups: enough for many threads, and blocks that fit the cache."""
    fitting = -(-sum(shape) * width // BLOCK_BYTES)
    return max(1, min(max(GROUPS, fitting), isqrt(n_entries // BLOCK_ENTRIES), *shape))


def _groups(counts, n_groups, draw):
    """Assign every row to a random group, so that the groups have similar numbers of entries."""
    order = draw(len(counts))
    before = np.cumsum(counts[order]) - counts[order]
    groups = np.empty(len(counts), dtype=np.int32)
    groups[order] = before * n_groups // max(1, counts.sum())
    return np.minimum(groups, n_groups - 1)


def _multiplied(weights, others, index):
    """Return the product of weights (None for ones) and other weights at an index."""
    if others is None:
        return weights
    return others[index] if weights is None else weights * others[index]
