"""Coordinate descent on one factor after the other: HALS and its faster descendants."""

from math import sqrt
from typing import Literal

from numpy import finfo

from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.solvers._base import SOLVERS, TINY
from sklearn_mf.solvers._base_extrapolated import ExtrapolatedSolver
from sklearn_mf.utils._validation import Integral, Interval, StrOptions

# The first sweep takes one round: whole solutions at a start that knows little throw components
# away that would be needed.
SINGLE_ROUNDS = 1
# What is left of a component that the other factor does not use, sweep by sweep: it may yet be.
FADING = 0.5
# A row ends its rounds when none of its coefficients moves by more than this share of the largest:
# going beyond rows helps most where they are all but the best.
LEAST_MOVE = 1e-4


@SOLVERS.register
class CoordinateDescent(ExtrapolatedSolver):
    r"""Coordinate descent on the rows of W, then on those of H, and so on.

    With H fixed the objective of a row of W is a quadratic form, whose Gram matrix and moments
    are found once. Then its coefficients go in turn to where the objective is least, the others
    fixed:

    .. math::

        w_p \leftarrow \max\left(0,\; w_p - \frac{\partial_p}{G_{pp} + \alpha}\right)

    for positive factors under a ridge; absolute values threshold it. This is the algorithm of
    scikit-learn's ``NMF(solver="cd")``, also known as HALS, with three differences: entries may
    be missing; a few rounds share the product with X, which costs most; and each factor goes on
    beyond where they led, by over-relaxation. It serves factors of either sign as well, and is
    made for positive ones and for ``l1_ratio > 0``.

    It stops when the sum of the absolute projected gradients is `tol` times that of the first
    sweep, as in scikit-learn; extrapolated sweeps, of which a few may pass where gradients are
    small, only when the objective falls by no more than `tol` of itself, either.

    A sweep costs ``O(n_stored * k)`` where every row counts the same columns, else
    ``O(n_observed * k**2)``.

    Parameters
    ----------
    rounds : "auto" or int, default="auto"
        Rounds over the coefficients of a row before the other factor's turn, at most. "auto": as
        many as the product with X is worth, up to ten; one in the first sweep.
    extrapolated : bool, default=True
        Whether each factor goes on beyond where descent led. The objective never rises in any
        case.
    shuffle : bool, default=False
        Whether the coefficients are visited in another random order in every half sweep.

    See Also
    --------
    MultiplicativeUpdate : For other losses of non-negative data.
    ALS : Solves for whole rows.

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
        """See `BaseSolver.unit_of`: rounds end by moves of biases beside those of components."""
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
            return 0.0  # a start may be the minimum but for rounding error
        if not self.extrapolated:
            return violation
        # Towards zero the objective may fall by the same share for ever; gradients as its root.
        nothing = 0.5 * problem.observations.total_squares
        share = max(objective, 0) / max(nothing, TINY)
        return max(violation, min(decrease / max(objective, TINY), sqrt(share)))

    def _rounds(self, problem: Problem, state):
        if self.rounds != "auto":
            return self.rounds
        if state.n_iter < SINGLE_ROUNDS:
            return 1
        return self._worthwhile_rounds(problem)
