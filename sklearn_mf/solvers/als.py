"""Alternating least squares."""

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, TINY, BaseSolver, Memory
from sklearn_mf.utils._validation import Integral, Interval, StrOptions

# Rank from which conjugate gradients are faster than exact solutions at the same tolerance.
CG_RANK = 100
# Relative residual at which conjugate gradients stop: in the first sweeps, where weak directions
# would otherwise be lost for good, and the smallest and largest value later.
FIRST_REDUCTION, LEAST_REDUCTION, LARGEST_REDUCTION = 0.01, 0.001, 0.03
# Regularization of the Anderson acceleration, relative to the squared steps: nearly parallel steps
# would otherwise give noise.
PARALLEL = 1e-10
# Number of coefficients of a step that are processed together.
CHUNK = 1 << 14


@dataclass
class Sweeps(Memory):
    """The initial points and the results of the last sweeps.

    Attributes
    ----------
    points, images : list of ndarray of shape (n_features, k)
        Factors of the features before and after each sweep.
    """

    points: list = field(default_factory=list)
    images: list = field(default_factory=list)


@SOLVERS.register
class ALS(BaseSolver):
    """Alternating least squares: solve exactly for one factor while the other is fixed.

    With H fixed, the rows of W are independent ridge regressions on their observed entries, solved
    by Cholesky factorization. Rows without entries and singular systems get the minimum-norm
    solution. For large ranks, a few conjugate gradient steps from the last factors are accurate
    enough and faster. Non-negative factors and factors with an L1 penalty are updated by a few
    rounds of coordinate descent, factors with other penalties by a few steps of accelerated
    proximal gradient descent. Losses other than the squared one are replaced by a quadratic upper
    bound at the current factors.

    Each sweep starts from a point extrapolated from the last sweeps (Anderson acceleration). If the
    objective would increase, the sweep is repeated from the last factors, so the objective never
    increases.

    A sweep costs ``O(n_observed * k**2 + (n_samples + n_features) * k**3)``, or ``O(n_observed *
    k)`` for each step of conjugate gradients.

    Parameters
    ----------
    inner : {"auto", "cholesky", "cg", "blocks", "cd"}, default="auto"
        How a row is solved while the other factor is fixed. "cholesky" solves it exactly. "cg" uses
        conjugate gradients until the relative residual equals the relative decrease of the
        objective in the last sweep (between 0.1 and 3 %). "blocks" solves for blocks of its
        coefficients in turn. "cd" uses coordinate descent, the only choice for non-negative factors
        and ``l1_ratio > 0``. "auto" is "cd" where it is required, otherwise "cg" from 100
        components on and "cholesky" below. The codes returned by ``transform`` are exact in any
        case.
    block_size : int, default=64
        Number of components in a block, for ``inner="blocks"``.
    memory : int, default=3
        Number of earlier sweeps used by the Anderson acceleration. With 0, plain alternation is
        used.

    See Also
    --------
    Spectral : Exact solution for complete data.
    GradientDescent : For losses without a quadratic upper bound.

    References
    ----------
    Zhou, Y., Wilkinson, D., Schreiber, R. & Pan, R. (2008). Large-scale parallel
    collaborative filtering for the Netflix prize. AAIM 2008.
    :doi:`10.1007/978-3-540-68880-8_32`

    Walker, H. F. & Ni, P. (2011). Anderson acceleration for fixed-point iterations. SIAM
    Journal on Numerical Analysis 49(4). :doi:`10.1137/10078356X`

    Takacs, G., Pilaszy, I. & Tikk, D. (2011). Applications of the conjugate gradient method
    for implicit feedback collaborative filtering. RecSys 2011. :doi:`10.1145/2043932.2043987`

    Rendle, S., Krichene, W., Zhang, L. & Koren, Y. (2021). iALS++: Speeding up matrix factorization
    with subspace optimization. :doi:`10.48550/arXiv.2110.14044`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import ALS
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> model = MatrixFactorization(1, alpha_W=0, solver=ALS()).fit(X)
    >>> print(model.inverse_transform(model.transform(X)).round(2))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "als"
    requires_loss = ("quadratic",)
    requires_penalty = ("has_curvature",)

    _parameter_constraints: dict = {
        "inner": [StrOptions({"auto", "cholesky", "cg", "blocks", "cd"})],
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "memory": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, inner: str = "auto", block_size: int = 64, memory: int = 3):
        self.inner = inner
        self.block_size = block_size
        self.memory = memory

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        super().check(problem)
        if self.inner != "auto" and not problem.is_elastic:
            raise ValueError(
                f"ALS(inner={self.inner!r}) supports only squared and L1 penalties, Ridge or "
                "ElasticNet. Use inner='auto'."
            )
        if self.inner in ("cholesky", "cg", "blocks") and not problem.is_smooth:
            raise ValueError(
                f"ALS(inner={self.inner!r}) needs positive=False and l1_ratio=0. "
                "Use inner='auto' or inner='cd'."
            )

    def uses_kernels(self, problem: Problem):
        """See `BaseSolver.uses_kernels`: some rows need coordinate descent or proximal steps."""
        return self.inner == "cd" or not problem.is_smooth

    def _step(self, problem: Problem, state):
        if state.memory is None:
            state.memory = Sweeps()
        points, images = state.memory.points, state.memory.images
        Ht = state.Ht
        if images:
            Ht = problem.T.feasible(_extrapolated(points, images, _metric(problem, state.W)))
        W_next, Ht_next = self._sweep(problem, state, Ht)
        objective = problem.value(W_next, Ht_next)
        if Ht is not state.Ht and not objective <= state.objective:
            # The extrapolation increased the objective: forget it and sweep from the current
            # factors.
            points.clear()
            images.clear()
            Ht = state.Ht
            W_next, Ht_next = self._sweep(problem, state, Ht)
            objective = problem.value(W_next, Ht_next)
        # The minimum-norm solution of rows with weak directions may cost more than the previous
        # factors.
        if not objective <= state.objective * (1 + np.finfo(Ht.dtype).eps):
            return state.objective
        points.append(Ht)
        images.append(Ht_next)
        del points[: -self.memory - 1], images[: -self.memory - 1]
        state.W, state.Ht = W_next, Ht_next
        return objective

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: some row solutions compare biases with components."""
        iterates = (
            self._takes_cg(problem) or self.inner in ("blocks", "cd") or not problem.is_quadratic
        )
        # Without penalties, rows with few entries get the minimum-norm solution.
        may_lack = problem.rows.has_bias or not problem.observations.complete
        sides = problem.rows, problem.columns
        is_free = may_lack and any(side.penalty.is_free for side in sides)
        weighs = problem.layout.has_bias and (iterates or is_free)
        return Unit.of_size(problem) if weighs else Unit.of(problem)

    def _takes_cg(self, problem: Problem):
        wanted = self.inner == "cg" or (self.inner == "auto" and problem.n_components >= CG_RANK)
        return wanted and problem.is_quadratic

    def codes(self, problem: Problem, state):
        """Return W for the current components: ``state.W`` belongs to the previous ones."""
        return self._improve(problem, state)(problem, state.Ht, state.W)

    def _sweep(self, problem: Problem, state, Ht):
        improve = self._improve(problem, state)
        W = improve(problem, Ht, state.W)
        return problem.balanced(W, improve(problem.T, W, Ht))

    def _improve(self, problem: Problem, state):
        """Return the method of the problem that improves the rows of one factor."""
        if self.inner == "cd":
            return Problem.descend_rows
        if self.inner == "blocks":
            return partial(Problem.descend_blocks, size=self.block_size)
        if self._takes_cg(problem):
            return partial(Problem.refine_rows, reduction=_reduction(state))
        return Problem.solve_rows


def _reduction(state):
    """Return the relative residual at which conjugate gradients stop, as decided by progress.

    The rows need few steps while the objective decreases much, and more when progress stalls.
    """
    if state.n_iter < 2:
        return FIRST_REDUCTION
    before, after = state.history[-2:]
    return float(np.clip((before - after) / max(after, TINY), LEAST_REDUCTION, LARGEST_REDUCTION))


def _metric(problem: Problem, W):
    """Return the metric of changes of Ht: by how much they change the model.

    Components are multiplied by codes. Biases are not, and have a different unit.
    """
    codes = problem.layout.components(W)
    weight = problem.row_weight * (problem.observations.row_totals() > 0)
    squares = np.einsum("ik,ik->i", codes, codes, dtype=np.float64)
    size = np.sqrt(squares @ weight / (codes.shape[1] * weight.sum(dtype=np.float64)))
    return problem.T.layout.per_coefficient(size, 1.0, W.dtype)


def _extrapolated(points, images, metric):
    """Return the point to which an iteration with these points and images is heading.

    Among the affine combinations of the steps, the shortest one is found. The same combination of
    the images is the next point (Anderson 1965; Walker & Ni 2011, :doi:`10.1137/10078356X`).
    """
    last = images[-1]
    if len(images) == 1:
        return last
    # The changes are divided by the size of the factors, because their squares might underflow.
    size = float(np.abs(last * metric).max(initial=0))
    if not size > TINY:
        return last
    metric = np.broadcast_to(metric / size, last.shape)
    gram, pull = np.zeros((len(images) - 1, len(images) - 1)), np.zeros(len(images) - 1)
    rows = max(1, CHUNK // last.shape[1])
    parts = [slice(start, start + rows) for start in range(0, len(last), rows)]
    for part in parts:  # chunks that stay in the cache
        steps = np.array(
            [
                (image[part] - point[part]) * metric[part]
                for point, image in zip(points, images, strict=True)
            ],
            dtype=np.float64,
        ).reshape(len(images), -1)
        changes = np.diff(steps, axis=0)
        gram += changes @ changes.T
        pull += changes @ steps[-1]
    if not np.trace(gram) > 0:
        return last
    gram += PARALLEL * np.trace(gram) * np.eye(len(gram))
    shares = np.linalg.solve(gram, pull).astype(last.dtype)
    target = np.empty_like(last)
    for part in parts:
        moves = (after[part] - before[part] for before, after in pairwise(images))
        target[part] = last[part] - sum(map(np.multiply, shares, moves))
    return target
