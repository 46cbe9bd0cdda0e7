"""SciPy's L-BFGS, on both factors or on H alone with W eliminated."""

from typing import Literal

import numpy as np
from scipy.optimize import minimize

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, BaseSolver
from sklearn_mf.utils._validation import Integral, Interval, Options

LARGE = 1e30
# Average number of function evaluations allowed per iteration.
EVALUATIONS = 20


@SOLVERS.register
class LBFGS(BaseSolver):
    r"""L-BFGS: a quasi-Newton method, by :func:`scipy.optimize.minimize`.

    The variables are both factors, or H alone with W eliminated (variable projection),

    .. math::

        f(H) = \min_W \mathrm{objective}(W, H), \qquad
        \nabla f(H) = \partial_H\, \mathrm{objective}(W^*(H), H),

    which needs fewer iterations, each of which solves exactly for every row of W.

    The solver supports smooth penalties and non-negative factors. It supports L1 penalties only on
    non-negative factors, where the absolute value is smooth.

    Parameters
    ----------
    memory : int, default=10
        Number of previous steps from which the curvature is estimated.
    projected : bool or "auto", default="auto"
        Whether W is eliminated. With "auto", this is done under the squared loss, where each row of
        W is the solution of one linear system.

    See Also
    --------
    ALS : Solves exactly for each factor in turn.

    References
    ----------
    Liu, D. C. & Nocedal, J. (1989). On the limited memory BFGS method for large scale
    optimization. Mathematical Programming 45. :doi:`10.1007/BF01589116`

    Golub, G. & Pereyra, V. (2003). Separable nonlinear least squares: the variable projection
    method and its applications. Inverse Problems 19(2). :doi:`10.1088/0266-5611/19/2/201`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import LBFGS
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> model = MatrixFactorization(1, alpha_W=0, solver=LBFGS(), tol=1e-10).fit(X)
    >>> print(model.inverse_transform(model.transform(X)).round(2))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "lbfgs"
    window = 5
    _parameter_constraints: dict = {
        "memory": [Interval(Integral, 1, None, closed="left")],
        "projected": ["boolean", Options(str, {"auto"})],
    }

    def __init__(self, memory: int = 10, projected: bool | Literal["auto"] = "auto"):
        self.memory = memory
        self.projected = projected

    @staticmethod
    def obstacle(problem: Problem):
        """Return why this solver does not support the penalties of a problem, or None."""
        for penalty in (problem.rows.penalty, problem.columns.penalty):
            if penalty.is_smooth_where_allowed:
                continue
            if penalty.is_elastic:
                return "supports l1_ratio > 0 only for non-negative factors"
            return f"needs smooth penalties, but {type(penalty).__name__} is not smooth"
        return None

    def check(self, problem: Problem):
        """Raise a ValueError naming the parameter if the solver does not support the problem."""
        super().check(problem)
        obstacle = self.obstacle(problem)
        if obstacle:
            raise ValueError(
                f"solver='lbfgs' {obstacle}. Use l1_ratio=0, positive=True, solver='als' or "
                "solver='gd'."
            )

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: the first step and its curvature depend on the unit."""
        return Unit.of_size(problem)

    def _run(self, problem: Problem, state, record):
        projected = problem.loss.is_squared if self.projected == "auto" else self.projected
        function = (_OfFeatures if projected else _OfBoth)(problem)

        def take_down(point):
            state.W, state.Ht, objective = function.at(point)
            if record(objective):
                raise _Over

        options = {"maxcor": self.memory, "maxiter": state.max_iter, "ftol": 0.0, "gtol": 0.0}
        try:
            minimize(
                function,
                function.point(state.W, state.Ht),
                jac=True,
                method="L-BFGS-B",
                bounds=function.bounds(),
                callback=take_down,
                options={**options, "maxfun": EVALUATIONS * state.max_iter},
            )
        except _Over:
            return
        state.converged = True  # the line search finds no lower objective
        if state.n_iter == 0:
            record(state.objective)


class _Over(Exception):
    """Leave the loop of SciPy, in any of its versions."""


class _Function:
    """The function that SciPy minimizes. It keeps its last evaluation, which ends a step."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.last = None

    def __call__(self, point):
        """Return the objective and its gradient at a point."""
        W, Ht, objective, gradient = self._evaluate(point.astype(self.problem.observations.dtype))
        self.last = point.copy(), (W, Ht, objective)
        # The line search cannot recover from an infinite objective.
        return min(objective, LARGE), np.nan_to_num(gradient).astype(np.float64)

    def at(self, point):
        """Return the factors and the objective at a point."""
        if self.last is None or not np.array_equal(point, self.last[0]):
            self(point)
        return self.last[1]

    def bounds(self):
        """Return the lower bounds of all coefficients, or None if there are none."""
        least = np.concatenate(
            [np.tile(_lower(side), side.observations.shape[0]) for side in self.sides]
        )
        if not np.isfinite(least).any():
            return None
        return [(bound, None) for bound in least]


class _OfBoth(_Function):
    """Both factors as one vector, with the rows of W multiplied by the root of their weight.

    A row with weight two then has the same norm as two copies of it, and the steps are the same.
    """

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.sides = problem, problem.T
        self.roots = np.sqrt(problem.row_weight)[:, None]

    def point(self, W, Ht):
        return self.problem.pack(W * self.roots, Ht).astype(np.float64)

    def _evaluate(self, point):
        W, Ht = self.problem.unpack(point)
        W = np.divide(W, self.roots, out=np.zeros_like(W), where=self.roots > 0)
        objective, W_gradient, Ht_gradient = self.problem.value_and_gradient(W, Ht)
        W_gradient = (W_gradient + _l1_slope(self.problem)) * self.roots
        Ht_gradient = Ht_gradient + _l1_slope(self.problem.T)
        return W, Ht, objective, self.problem.pack(W_gradient, Ht_gradient)


class _OfFeatures(_Function):
    """The factor of the features as one vector, with the factor of the samples eliminated."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.sides = (problem.T,)

    def point(self, W, Ht):
        return Ht.ravel().astype(np.float64)

    def _evaluate(self, point):
        Ht = point.reshape(self.problem.observations.shape[1], -1)
        W = self.problem.fold_in(Ht)
        objective, _, gradient = self.problem.value_and_gradient(W, Ht)
        return W, Ht, objective, (gradient + _l1_slope(self.problem.T)).ravel()


def _lower(problem: Problem):
    least = 0.0 if problem.rows.penalty.positive else -np.inf
    return problem.layout.per_coefficient(least, -np.inf, problem.observations.dtype)


def _l1_slope(problem: Problem):
    """Return the derivative of the L1 penalty at non-negative coefficients."""
    penalty = problem.row_penalty
    return penalty.scale[:, None] * penalty.l1 if penalty.is_elastic else 0
