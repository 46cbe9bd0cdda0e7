"""Adam: gradient descent with a separate step size for every coefficient."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, BaseSolver, Memory
from sklearn_mf.utils._validation import Integral, Interval, Real, StrOptions

# With learning_rate="auto": the first step relative to the size of the initial factor.
FIRST_STEP = 0.1
# "adaptive" returns to the best factors when the objective exceeds this multiple of the lowest
# value, or when it has not decreased for this number of iterations. With batches the number is
# smaller, because the objective fluctuates.
TOO_HIGH, PATIENCE, PATIENCE_WITH_BATCHES = 2.0, 10, 5
# In the first steps there is no average of larger gradients, and rounding errors divided by their
# own size would give full steps. Gradients below this multiple of the machine precision, relative
# to the largest one, are therefore set to zero.
FIRST_STEPS, ROUNDING = 20, 1000


@dataclass
class Averages(Memory):
    """Moving averages of the gradients, and the state of the schedule.

    Attributes
    ----------
    factors : ndarray
        Both factors as one vector, at the start of the next step.
    sums : tuple of two ndarrays
        Discounted sums of the gradients and of their squares.
    rate : float
        Current step size.
    lowest : float
        Lowest objective so far.
    gradient : ndarray or None
        Gradient at these factors, if it is known.
    steps, epochs : int
        Number of steps, and of passes over all batches, since the sums were reset.
    waited : int
        Number of iterations since the lowest objective.
    """

    factors: np.ndarray
    sums: tuple
    rate: float
    lowest: float
    gradient: np.ndarray | None = None
    steps: int = 0
    epochs: int = 0
    waited: int = 0

    @classmethod
    def at(cls, factors, rate, lowest):
        """Return the state before the first gradient."""
        return cls(factors, (np.zeros_like(factors), np.zeros_like(factors)), rate, lowest)


@SOLVERS.register
class Adam(BaseSolver):
    r"""Adam: gradient descent with steps scaled by moving averages of squared gradients.

    With g the gradient of both factors and :math:`\eta_t` the learning rate, the updates are

    .. math::

        m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2, \quad
        \theta \leftarrow \theta - \eta_t\,
        \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    where the objective is a sum over entries, not a mean. L1 penalties and non-negative factors are
    handled after every step by their proximal operators (proximal gradient).

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Step size, in the unit of the factors. With "auto", it is a tenth of the root mean square of
        the initial H.
    schedule : {"adaptive", "constant", "cosine"}, default="adaptive"
        How the step size changes. "adaptive" returns to the best factors so far and halves the
        learning rate when the objective is twice the lowest value, or has not decreased for ten
        iterations (five with batches). The result is the best of all iterations. "constant" keeps
        the step size. "cosine" decreases it to zero at ``max_iter``, along a cosine.
    beta_1 : float, default=0.9
        Decay rate of the moving average of the gradients, in [0, 1).
    beta_2 : float, default=0.999
        Decay rate of the moving average of the squared gradients, in [0, 1).
    epsilon : float, default=1e-8
        Constant added to the root of the average squared gradient.
    weight_decay : float, default=0.0
        Fraction of every coefficient, multiplied by the learning rate, that is subtracted at each
        step, separately from the gradient (AdamW). This changes the minimum; the penalties do not
        need it.
    batch_size : int or None, default=None
        Number of rows, or of entries, in a mini-batch. None uses all of them. An iteration is one
        pass over all batches.
    batches : {"rows", "entries"}, default="rows"
        Whether a batch consists of rows or of entries of X. The batches are drawn once and visited
        in a new order in every iteration.

    See Also
    --------
    GradientDescent : Uses one step size for all coefficients.
    SGD : Uses one entry at a time.

    References
    ----------
    Kingma, D. P. & Ba, J. (2015). Adam: a method for stochastic optimization. ICLR 2015.
    :doi:`10.48550/arXiv.1412.6980`

    Loshchilov, I. & Hutter, F. (2019). Decoupled weight decay regularization. ICLR 2019.
    :doi:`10.48550/arXiv.1711.05101`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import Adam
    >>> X = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])
    >>> solver = Adam(learning_rate=0.01)
    >>> model = MatrixFactorization(2, solver=solver, init="random", max_iter=5000, tol=0)
    >>> bool(model.set_params(random_state=0).fit(X).reconstruction_err_ < 1e-5)
    True
    """

    name = "adam"
    draws = True
    requires_penalty = ("takes_any_step",)
    # The learning rate may be halved a few times before this counts as convergence.
    window = 3 * PATIENCE
    _parameter_constraints: dict = {
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions({"adaptive", "constant", "cosine"})],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "batches": [StrOptions({"rows", "entries"})],
    }

    def __init__(
        self,
        learning_rate: float | Literal["auto"] = "auto",
        schedule: str = "adaptive",
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        batch_size: int | None = None,
        batches: Literal["rows", "entries"] = "rows",
    ):
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.batches = batches

    def check(self, problem: Problem):
        """See `BaseSolver.check`: a penalty that compares rows needs all of them in a batch."""
        super().check(problem)
        deals_rows = self.batch_size is not None and self.batches == "rows"
        if deals_rows and not problem.rows.penalty.is_rowwise:
            raise ValueError(
                f"Adam(batches='rows') uses some of the rows in each step, but "
                f"{type(problem.rows.penalty).__name__} compares all rows. Use batch_size=None or "
                "batches='entries'."
            )

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: a learning rate has the unit of the factors."""
        return Unit() if self.learning_rate != "auto" else Unit.of_size(problem)

    def _step(self, problem: Problem, state):
        if state.memory is None:
            factors, rate = problem.pack(state.W, state.Ht), self._first_rate(state.Ht)
            state.memory = Averages.at(factors, rate, state.objective)
        memory, rate = state.memory, state.memory.rate
        if self.schedule == "cosine":
            rate *= 0.5 * float(1 + np.cos(np.pi * state.n_iter / state.max_iter))
        if self.batch_size is None:
            objective = self._whole_step(problem, memory, rate)
        else:
            objective = self._epoch(problem, state, rate)
        if self.schedule == "adaptive":
            return self._best(problem, state, objective)
        state.W, state.Ht = problem.unpack(memory.factors)
        return objective

    def _first_rate(self, Ht):
        if self.learning_rate != "auto":
            return self.learning_rate
        return FIRST_STEP * float(np.sqrt(np.mean(np.square(Ht)))) or FIRST_STEP

    def _whole_step(self, problem: Problem, memory, rate):
        if memory.gradient is None:
            _, *gradient = problem.value_and_gradient(*problem.unpack(memory.factors))
            memory.gradient = problem.pack(*gradient)
        memory.steps += 1
        lengths = self._lengths(memory.sums, memory.gradient, memory.steps, rate)
        factors = self._decayed(memory.factors, rate) - lengths * memory.sums[0]
        if not problem.is_smooth:
            factors = problem.pack(
                *problem.prox(*problem.unpack(factors), *problem.unpack(lengths))
            )
        objective, *gradient = problem.value_and_gradient(*problem.unpack(factors))
        memory.factors, memory.gradient = factors, problem.pack(*gradient)
        return objective

    def _epoch(self, problem: Problem, state, rate):
        memory = state.memory
        factors = memory.factors.copy()
        W, Ht = problem.unpack(factors)
        sums = [problem.unpack(total) for total in memory.sums]
        # A row of W occurs in one batch per epoch if batches are rows, and possibly in all of them
        # otherwise.
        memory.epochs += 1
        batches = problem.batches(self.batches, self.batch_size, state.random_state)
        for rows, part in batches:
            memory.steps += 1
            old = W[rows], Ht
            _, *gradients = part.value_and_gradient(*old)
            n_steps = memory.epochs if self.batches == "rows" else memory.steps, memory.steps
            new, lengths = [], []
            for side, index in enumerate((rows, slice(None))):
                own = [total[side][index] for total in sums]
                length = self._lengths(own, gradients[side], n_steps[side], rate)
                new.append(self._decayed(old[side], rate) - length * own[0])
                lengths.append(length)
                for total, changed in zip(sums, own, strict=True):
                    total[side][index] = changed
            W[rows], Ht[:] = part.prox(*new, *lengths)
        memory.factors = factors
        return problem.value(W, Ht)

    def _lengths(self, sums, gradient, n_steps, rate):
        """Add a gradient to the discounted sums and return the step size of each coefficient.

        A step is this step size times the first sum. The averages of Kingma & Ba are the discounted
        sums times ``1 - beta``; with bias correction, times ``(1 - beta) / (1 - beta**n_steps)``.
        """
        first, second = sums
        if n_steps <= FIRST_STEPS:
            size = np.abs(gradient)
            gradient[size < ROUNDING * np.finfo(size.dtype).eps * size.max(initial=0)] = 0
        first *= self.beta_1
        first += gradient
        second *= self.beta_2
        second += gradient * gradient
        mean = (1 - self.beta_1) / (1 - self.beta_1**n_steps)
        root = ((1 - self.beta_2) / (1 - self.beta_2**n_steps)) ** 0.5
        lengths = np.sqrt(second)
        lengths += self.epsilon / root
        return np.divide(rate * mean / root, lengths, out=lengths)

    def _decayed(self, factors, rate):
        return factors * (1 - rate * self.weight_decay) if self.weight_decay else factors

    def _best(self, problem: Problem, state, objective):
        """Keep the best factors, and restart from them with a smaller step if progress stalls."""
        memory = state.memory
        if objective <= memory.lowest:
            memory.lowest, memory.waited = objective, 0
            state.W, state.Ht = problem.unpack(memory.factors)
            return objective
        memory.waited += 1
        patience = PATIENCE if self.batch_size is None else PATIENCE_WITH_BATCHES
        best = problem.pack(state.W, state.Ht)
        if not objective <= TOO_HIGH * memory.lowest:
            state.memory = Averages.at(best, memory.rate / 2, memory.lowest)
        elif memory.waited == patience:
            memory.factors, memory.gradient, memory.waited = best, None, 0
            memory.rate /= 2
            memory.sums[0][:] = 0
        return memory.lowest
