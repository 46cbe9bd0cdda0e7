"""Multiplicative updates of non-negative factors, for all beta divergences."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from sklearn_mf.objective.multiplicative import (
    LEAST,
    flush,
    multiplied,
    multiply,
)
from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers._base import SOLVERS
from sklearn_mf.solvers._base_extrapolated import ExtrapolatedSolver, Extrapolation
from sklearn_mf.utils._validation import Integral, Interval, StrOptions

# Number of iterations between two evaluations of the stopping rule, as in scikit-learn.
PATIENCE = 10
# An extrapolated coefficient keeps at least this fraction of its value: a zero would stay zero.
LEAST_SHARE = 0.1


@dataclass
class Updates(Extrapolation):
    """Derivatives prepared for the next update, and the errors that decide when to stop.

    Attributes
    ----------
    parts : sequence of (W, Ht, GradientParts)
        Derivatives with respect to W at the last factors and at the previous ones.
    first_error, last_error : float
        Error at the start, and at the last evaluation of the stopping rule.
    """

    parts: tuple = ()
    first_error: float = 0.0
    last_error: float = 0.0


@SOLVERS.register
class MultiplicativeUpdate(ExtrapolatedSolver):
    r"""Multiplicative updates, alternating between the rows of W and the rows of H.

    The derivative with respect to a coefficient is the difference of two non-negative parts. Their
    ratio, raised to a power :math:`\gamma`, multiplies the coefficient:

    .. math::

        w_p \leftarrow w_p \left(\frac{\sum_j h_{pj}\, x_j \hat{x}_j^{\beta - 2}}
        {\sum_j h_{pj}\, \hat{x}_j^{\beta - 1} + \lambda_1 + \lambda_2 w_p}\right)^{\gamma(\beta)}

    summed over the observed entries of the row, with :math:`\gamma = 1/(2 - \beta)` for
    :math:`\beta < 1`, :math:`1/(\beta - 1)` for :math:`\beta > 2` and 1 in between. This is the
    algorithm of scikit-learn's ``NMF(solver="mu")``, with three differences: entries may be
    missing; under the squared loss several rounds share one product with X; and the updates are
    extrapolated. A step that increases the objective is undone and replaced by a plain update with
    a cautious exponent.

    The data and the factors must be non-negative. A coefficient that is zero stays zero, so an
    initialization without zeros is better.

    As in scikit-learn, the solver stops when ten iterations decrease the root of twice the
    objective by less than `tol` times its initial value.

    An iteration costs ``O(n_observed * k)``, or ``O(n_stored * k)`` for :math:`\beta` 1 and 2 if
    the unstored entries of a sparse matrix are zeros.

    Parameters
    ----------
    rounds : "auto" or int, default="auto"
        Under the squared loss, number of updates of a factor before the other one is updated. With
        "auto", there are as many as one product with X is worth, at most ten. Other losses need a
        new model after each update, so they always use a single one.
    extrapolated : bool, default=True
        Whether the updates are extrapolated. The objective never increases in either case.

    See Also
    --------
    CoordinateDescent : Faster under the squared loss.

    References
    ----------
    Lee, D. D. & Seung, H. S. (2001). Algorithms for non-negative matrix factorization. Advances
    in Neural Information Processing Systems 13.

    Févotte, C. & Idier, J. (2011). Algorithms for nonnegative matrix factorization with the
    beta-divergence. Neural Computation 23(9). :doi:`10.1162/NECO_a_00168`

    Tan, V. Y. F. & Févotte, C. (2013). Automatic relevance determination in nonnegative matrix
    factorization with the beta-divergence. IEEE Transactions on Pattern Analysis and Machine
    Intelligence 35(7). :doi:`10.1109/TPAMI.2012.240`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import NMF
    >>> from sklearn_mf.solvers import MultiplicativeUpdate
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> model = NMF(1, solver=MultiplicativeUpdate(), beta_loss="kullback-leibler").fit(X)
    >>> print(model.inverse_transform(model.transform(X)).round(2))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "mu"
    measure = "the relative decrease of the error in ten iterations"
    # The updates are short: several times their length still decreases the objective.
    most_share = 4.0
    memory_class = Updates
    requires_loss = ("split",)
    requires_penalty = ("is_elastic",)

    _parameter_constraints: dict = {
        "rounds": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "extrapolated": ["boolean"],
    }

    def __init__(self, rounds: int | Literal["auto"] = "auto", extrapolated: bool = True):
        self.rounds = rounds
        self.extrapolated = extrapolated

    def check(self, problem: Problem):
        """See `BaseSolver.check`: the data and the factors must be non-negative."""
        super().check(problem)
        sides = problem.rows, problem.columns
        if not all(side.penalty.positive for side in sides):
            raise ValueError(
                "solver='mu' multiplies non-negative coefficients, so it needs positive=True."
            )
        if not problem.layout.is_plain:
            raise ValueError("solver='mu' does not support biases: use bias=False.")
        problem.observations.refuse_negative("solver='mu'")

    def _sweep(self, problem: Problem, state, Ht, share):
        if problem.loss.is_squared:
            return super()._sweep(problem, state, Ht, share)
        found = self._swept(problem, state, share, problem.loss.exponent)
        if share or found[2] <= state.objective:
            return found
        # With an L2 penalty, or after a coefficient was raised to its lower bound, the plain update
        # may increase the objective. The cautious update decreases it, except for rounding error:
        # then the solver has converged.
        found = self._swept(problem, state, share, problem.loss.cautious_exponent)
        return found if found[2] <= state.objective else (state.W, state.Ht, state.objective, 0.0)

    def _swept(self, problem: Problem, state, share, exponent):
        """Update each factor once from those of the state and extrapolate both."""
        beta = problem.loss.beta
        at = self._parts_at(problem, state)
        W = multiplied(at, problem.row_penalty, state.W, exponent)
        flush(W, beta)
        W = self._beyond(problem, W, state.W, share)
        at_columns = problem.T.gradient_parts(state.Ht, W)
        Ht = multiplied(at_columns, problem.T.row_penalty, state.Ht, exponent)
        if beta <= 1:
            Ht[Ht < LEAST] = 0
        Ht = self._beyond(problem.T, Ht, state.Ht, share)
        if self.extrapolated:
            W, Ht = problem.balanced(W, Ht)
        # The objective needs the same model as the next update, so both are computed together.
        following = problem.gradient_parts(W, Ht, with_loss=True)
        state.memory.parts = [(state.W, state.Ht, at), (W, Ht, following)]
        return W, Ht, following.loss + problem.penalty(W, Ht), 0.0

    def _parts_at(self, problem: Problem, state):
        for W, Ht, known in state.memory.parts:
            if W is state.W and Ht is state.Ht:
                return known
        return problem.gradient_parts(state.W, state.Ht)

    def _ahead(self, problem: Problem, after, before, share):
        if problem.loss.is_squared:
            return super()._ahead(problem, after, before, share)
        return after  # under these losses a sweep already ends at the extrapolated point

    def _beyond(self, problem: Problem, after, before, share):
        if not share:
            return after
        beyond = after + after.dtype.type(share) * (after - before)
        return np.maximum(beyond, after.dtype.type(LEAST_SHARE) * after, out=beyond)

    def _rest(self, problem: Problem, state, objective, violation):
        memory, n_iter = state.memory, state.n_iter + 1
        if n_iter == 1:
            memory.first_error = memory.last_error = _root(state.objective)
        if n_iter % PATIENCE:
            return np.inf  # the stopping rule is not evaluated in this iteration
        error = _root(objective)
        decrease, memory.last_error = memory.last_error - error, error
        return decrease / memory.first_error if memory.first_error else 0.0

    def _improve(self, problem: Problem, fixed, rows, state):
        samples = problem.observations
        no_offsets = np.zeros_like(fixed, shape=len(fixed))
        improve = partial(multiply, rounds=self._rounds(problem))
        return samples.improve_rows(fixed, no_offsets, problem.row_penalty, rows, improve)

    def _value(self, problem: Problem, improved, fixed):
        return problem.value_after(improved, fixed)

    def _rounds(self, problem: Problem):
        if self.rounds != "auto":
            return self.rounds
        return self._worthwhile_rounds(problem)


def _root(objective):
    return np.sqrt(2 * max(objective, 0.0))
