"""Multiplicative updates of non-negative factors, under every beta divergence."""

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

# Iterations from one look at the stopping rule to the next, as in scikit-learn.
PATIENCE = 10
# Beyond the last update a coefficient keeps this share of itself: zeros would stay zero.
LEAST_SHARE = 0.1


@dataclass
class Updates(Extrapolation):
    """What is known of the next update, and the errors that say when to stop.

    Attributes
    ----------
    parts : sequence of (W, Ht, GradientParts)
        Derivatives to W at the last factors and those before.
    first_error, last_error : float
        At the start, and when the stopping rule was looked at last.
    """

    parts: tuple = ()
    first_error: float = 0.0
    last_error: float = 0.0


@SOLVERS.register
class MultiplicativeUpdate(ExtrapolatedSolver):
    r"""Multiplicative updates of the rows of W, then of those of H, and so on.

    The derivative to a coefficient is the difference of two parts that are not negative. Their
    ratio, to a power :math:`\gamma`, multiplies the coefficient:

    .. math::

        w_p \leftarrow w_p \left(\frac{\sum_j h_{pj}\, x_j \hat{x}_j^{\beta - 2}}
        {\sum_j h_{pj}\, \hat{x}_j^{\beta - 1} + \lambda_1 + \lambda_2 w_p}\right)^{\gamma(\beta)}

    over the observed entries of the row, with :math:`\gamma = 1/(2 - \beta)` below 1,
    :math:`1/(\beta - 1)` above 2 and 1 in between. This is the algorithm of scikit-learn's
    ``NMF(solver="mu")``, with three differences: entries may be missing; under the squared loss
    a few rounds share the product with X; and updates go beyond where they led, by
    extrapolation. A step after which the objective is higher is taken back and replaced by a
    cautious one.

    It needs non-negative data and factors. A coefficient that is zero stays zero, so that starts
    without zeros are better.

    It stops when ten iterations lower the root of twice the objective by less than `tol` times
    what it was at the start, as in scikit-learn.

    An iteration costs ``O(n_observed * k)``; where what a sparse matrix does not store is zero,
    ``O(n_stored * k)`` at beta 1 and 2.

    Parameters
    ----------
    rounds : "auto" or int, default="auto"
        Under the squared loss, updates of a factor before the other one's turn. "auto": as many
        as the product with X is worth, up to ten. Other losses need the model anew each time,
        and take one.
    extrapolated : bool, default=True
        Whether updates go on beyond where they led. The objective never rises in any case.

    See Also
    --------
    CoordinateDescent : Sooner under the squared loss.

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
    measure = "the share of the first error by which ten iterations lower it"
    # Updates are short: several times their length still leads down.
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
        """See `BaseSolver.check`: data and factors must not be negative."""
        super().check(problem)
        sides = problem.rows, problem.columns
        if not all(side.penalty.positive for side in sides):
            raise ValueError("solver='mu' multiplies what is not negative: it needs positive=True.")
        if not problem.layout.is_plain:
            raise ValueError("solver='mu' knows no biases: use bias=False.")
        problem.observations.refuse_negative("solver='mu'")

    def _sweep(self, problem: Problem, state, Ht, share):
        if problem.loss.is_squared:
            return super()._sweep(problem, state, Ht, share)
        found = self._swept(problem, state, share, problem.loss.exponent)
        if share or found[2] <= state.objective:
            return found
        # Where squares are penalized, or values came below their floor, the plain update may lead
        # too far. One that is cautious leads down; but for rounding error, and then all is done.
        found = self._swept(problem, state, share, problem.loss.cautious_exponent)
        return found if found[2] <= state.objective else (state.W, state.Ht, state.objective, 0.0)

    def _swept(self, problem: Problem, state, share, exponent):
        """One update of each factor from those of the state, which both go on beyond it."""
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
        # The model that the objective needs is that of the next update: no more is computed.
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
        return after  # a sweep under these losses ends there already

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
            return np.inf  # not asked now
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
