"""SciPy's L-BFGS, on both factors or on one with the other solved out."""

from typing import Literal

import numpy as np
from scipy.optimize import minimize

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, BaseSolver
from sklearn_mf.utils._validation import Integral, Interval, Options

LARGE = 1e30
# Evaluations that an iteration may take, on average.
EVALUATIONS = 20


@SOLVERS.register
class LBFGS(BaseSolver):
    r"""L-BFGS: curvature learned from the last steps, by :func:`scipy.optimize.minimize`.

    It works on both factors, or on H alone with W solved out (variable projection),

    .. math::

        f(H) = \min_W \mathrm{objective}(W, H), \qquad
        \nabla f(H) = \partial_H\, \mathrm{objective}(W^*(H), H),

    which needs fewer iterations, each with an exact solution for every row of W.

    Serves smooth penalties, and positive factors. Of L1 penalties only those of positive
    factors, where absolute values are smooth.

    Parameters
    ----------
    memory : int, default=10
        Steps that tell the curvature.
    projected : bool or "auto", default="auto"
        Whether W is solved out. "auto": under the squared loss, where a row is one linear
        system.

    See Also
    --------
    ALS : Solves each factor in turn.

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
        """Why this solver cannot serve the penalties of a problem; None if it can."""
        for penalty in (problem.rows.penalty, problem.columns.penalty):
            if penalty.is_smooth_where_allowed:
                continue
            if penalty.is_elastic:
                return "serves l1_ratio > 0 only where factors are positive"
            return f"needs smooth penalties, and {type(penalty).__name__} is not"
        return None

    def check(self, problem: Problem):
        """Raise a ValueError that names the parameter, if the problem is not for this solver."""
        super().check(problem)
        obstacle = self.obstacle(problem)
        if obstacle:
            raise ValueError(
                f"solver='lbfgs' {obstacle}. Use l1_ratio=0, positive=True, solver='als' or "
                "solver='gd'."
            )

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: the first step, and its curvature, have one."""
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
        state.converged = True  # no step leads lower any more
        if state.n_iter == 0:
            record(state.objective)


class _Over(Exception):
    """Leaves the loop of the library, whatever its release."""


class _Function:
    """What SciPy minimises. The last evaluation is kept: it is the one a step ends with."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.last = None

    def __call__(self, point):
        """Objective and gradient at a point."""
        W, Ht, objective, gradient = self._evaluate(point.astype(self.problem.observations.dtype))
        self.last = point.copy(), (W, Ht, objective)
        # An infinite objective would leave the line search without a way back.
        return min(objective, LARGE), np.nan_to_num(gradient).astype(np.float64)

    def at(self, point):
        """Factors and objective at a point."""
        if self.last is None or not np.array_equal(point, self.last[0]):
            self(point)
        return self.last[1]

    def bounds(self):
        """The least values of all coefficients, None if there are none."""
        least = np.concatenate(
            [np.tile(_lower(side), side.observations.shape[0]) for side in self.sides]
        )
        if not np.isfinite(least).any():
            return None
        return [(bound, None) for bound in least]


class _OfBoth(_Function):
    """The factors as one vector, rows of W times the root of their weight.

    So a row of weight two has the length of the same row twice, and steps are the same.
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
    """The features' factor as one vector, the samples' solved out."""

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
    """Derivative of the absolute values of positive coefficients."""
    penalty = problem.row_penalty
    return penalty.scale[:, None] * penalty.l1 if penalty.is_elastic else 0
