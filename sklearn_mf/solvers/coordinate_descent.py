"""Coordinate descent, alternating between the factors (HALS with acceleration)."""

from math import sqrt
from typing import Literal

from numpy import finfo

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, TINY
from sklearn_mf.solvers._base_extrapolated import ExtrapolatedSolver
from sklearn_mf.utils._validation import Integral, Interval, StrOptions

# The first sweep makes one round only: exact solutions for a poor initialization would set
# components to zero that are needed later.
SINGLE_ROUNDS = 1
# Factor by which a component that the other factor does not use shrinks per sweep: it is not set to
# zero, because it may still be needed.
FADING = 0.5
# A row ends its rounds when no coefficient moves by more than this fraction of the largest one.
# Extrapolation helps most when the rows are nearly optimal.
LEAST_MOVE = 1e-4


@SOLVERS.register
class CoordinateDescent(ExtrapolatedSolver):
    r"""Coordinate descent, alternating between the rows of W and the rows of H.

    With H fixed, the objective of a row of W is a quadratic form. Its Gram matrix and moments are
    computed once. Then the coefficients of the row are minimized one after the other, with the
    others fixed:

    .. math::

        w_p \leftarrow \max\left(0,\; w_p - \frac{\partial_p}{G_{pp} + \alpha}\right)

    for non-negative factors with a ridge penalty; an L1 penalty adds a threshold. This is the
    algorithm of scikit-learn's ``NMF(solver="cd")``, also known as HALS, with three differences:
    entries may be missing; several rounds share one product with X, the most expensive operation;
    and each factor is extrapolated beyond its solution (over-relaxation). The solver also supports
    factors of either sign, but is designed for non-negative ones and for ``l1_ratio > 0``.

    As in scikit-learn, it stops when the sum of the absolute projected gradients is less than `tol`
    times that of the first sweep. With extrapolation a few sweeps may have small gradients by
    accident, so the relative decrease of the objective must also be at most `tol`.

    A sweep costs ``O(n_stored * k)`` if all rows are observed in the same columns, otherwise
    ``O(n_observed * k**2)``.

    Parameters
    ----------
    rounds : "auto" or int, default="auto"
        Maximum number of rounds over the coefficients of a row before the other factor is updated.
        With "auto", there are as many rounds as one product with X is worth, at most ten, and a
        single one in the first sweep.
    extrapolated : bool, default=True
        Whether each factor is extrapolated beyond the result of coordinate descent. The objective
        never increases in either case.
    shuffle : bool, default=False
        Whether the coefficients are visited in a new random order in every half sweep.

    See Also
    --------
    MultiplicativeUpdate : For other losses of non-negative data.
    ALS : Solves for whole rows at a time.

    References
    ----------
    Cichocki, A. & Phan, A.-H. (2009). Fast local algorithms for large scale nonnegative matrix
    and tensor factorizations. IEICE Transactions E92-A(3). :doi:`10.1587/transfun.E92.A.708`

    Gillis, N. & Glineur, F. (2012). Accelerated multiplicative updates and hierarchical ALS
    algorithms for nonnegative matrix factorization. Neural Computation 24(4).
    :doi:`10.1162/NECO_a_00256`

    Wen, Z., Yin, W. & Zhang, Y. (2012). Solving a low-rank factorization model for matrix
    completion by a nonlinear successive over-relaxation algorithm. Mathematical Programming
    Computation 4(4). :doi:`10.1007/s12532-012-0044-1`

    Ang, A. M. S. & Gillis, N. (2019). Accelerating nonnegative matrix factorization algorithms
    using extrapolation. Neural Computation 31(2). :doi:`10.1162/neco_a_01157`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import CoordinateDescent
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> solver = CoordinateDescent()
    >>> model = MatrixFactorization(1, positive=True, alpha_W=0, solver=solver).fit(X)
    >>> print(model.inverse_transform(model.transform(X)).round(2))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "cd"
    requires_loss = ("is_squared",)
    requires_penalty = ("is_elastic",)

    _parameter_constraints: dict = {
        "rounds": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "extrapolated": ["boolean"],
        "shuffle": ["boolean"],
    }

    def __init__(
        self,
        rounds: int | Literal["auto"] = "auto",
        extrapolated: bool = True,
        shuffle: bool = False,
    ):
        self.rounds = rounds
        self.extrapolated = extrapolated
        self.shuffle = shuffle

    def unit_of(self, problem: Problem):
        """See `BaseSolver.unit_of`: the stopping rule compares biases with components."""
        has_bias = problem.rows.has_bias or problem.columns.has_bias
        return Unit.of_size(problem) if has_bias else Unit.of(problem)

    def _improve(self, problem: Problem, fixed, rows, state):
        order = slice(None)
        if self.shuffle:
            order = state.random_state.permutation(problem.width)
        rounds = self._rounds(problem, state)
        descent = problem.descend(fixed, rows, (LEAST_MOVE, rounds), order)
        if self.extrapolated:
            components = problem.layout.components
            unused = ~components(fixed)[problem.T.row_weight > 0].any(axis=0)
            components(descent.rows)[:, unused] = FADING * components(rows)[:, unused]
        return descent

    def _value(self, problem: Problem, improved, fixed):
        return problem.value_after(improved, fixed)

    def _rest(self, problem: Problem, state, objective, violation):
        decrease = state.objective - objective
        if decrease <= finfo(state.W.dtype).eps * objective:
            return 0.0  # the initialization may be the minimum up to rounding error
        if not self.extrapolated:
            return violation
        # An objective that tends to zero may keep decreasing by the same fraction; the gradients
        # decrease like its root.
        nothing = 0.5 * problem.observations.total_squares
        share = max(objective, 0) / max(nothing, TINY)
        return max(violation, min(decrease / max(objective, TINY), sqrt(share)))

    def _rounds(self, problem: Problem, state):
        if self.rounds != "auto":
            return self.rounds
        if state.n_iter < SINGLE_ROUNDS:
            return 1
        return self._worthwhile_rounds(problem)
