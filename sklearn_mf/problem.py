"""What is to be minimised. A `Problem` does not change while it is solved.

Both factors are tall inside: W (n_rows, k) and Ht (n_columns, k). Where a side has a bias
of its own, that is one more, last column of its factor. Everything is written for rows;
``T`` is the same problem for columns.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from sklearn_mf.losses import BaseLoss
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import BasePenalty

# A fold-in under a loss that is not squared iterates; rows stop one by one.
FOLD_IN_ITERATIONS = 500
MAX_HALVINGS = 30


@dataclass(frozen=True)
class Side:
    """What holds for one side, samples or features.

    Attributes
    ----------
    penalty : BasePenalty
        Of the rows of this side's factor.
    has_bias : bool
        Whether the last column of the factor is a bias.
    bias_share : float
        Share of the penalty that falls on the bias: 1.0, or 0.0 for a free one.
    """

    penalty: BasePenalty
    has_bias: bool = False
    bias_share: float = 1.0


@dataclass(frozen=True)
class Problem:
    """Sum of losses over observed entries, plus the penalties of both factors.

    Attributes
    ----------
    observations : ObservedMatrix
        The data.
    loss : BaseLoss
        Cost of an entry.
    rows, columns : Side
        Penalty and bias of either side.
    n_components : int
        Rank, biases not counted.
    alpha_scaling : float
        Power of a row's number of observed entries that multiplies its penalty.
    offset : float
        Added to every model value.
    """

    observations: ObservedMatrix
    loss: BaseLoss
    rows: Side
    columns: Side
    n_components: int
    alpha_scaling: float = 1.0
    offset: float = 0.0

    @cached_property
    def T(self):
        """The same problem, rows and columns exchanged."""
        transposed = replace(
            self, observations=self.observations.T, rows=self.columns, columns=self.rows
        )
        transposed.__dict__["T"] = self
        return transposed

    @property
    def width(self):
        """Number of columns of the row factor: components, and the bias if there is one."""
        return self.n_components + self.rows.has_bias

    @cached_property
    def _penalty_scale(self):
        """What the observed entries of each row multiply its penalty with."""
        return self.observations.row_totals() ** self.observations.dtype.type(self.alpha_scaling)

    @property
    def row_ridge(self):
        """What the penalty adds to the normal equations of each row."""
        return self._penalty_scale * self._penalty_scale.dtype.type(self.rows.penalty.ridge)

    @cached_property
    def _column_shares(self):
        """Share of the penalty that falls on each column of the row factor."""
        shares = np.ones(self.width, dtype=self.observations.dtype)
        if self.rows.has_bias:
            shares[-1] = self.rows.bias_share
        return shares

    def _design(self, Ht):
        """Regressors of the rows, and the part of the model that the rows cannot change."""
        k = self.n_components
        design = Ht[:, :k]
        if self.rows.has_bias:
            design = np.column_stack([design, np.ones_like(Ht, shape=len(Ht))])
        offsets = np.full_like(Ht, self.offset, shape=len(Ht))
        if self.columns.has_bias:
            offsets += Ht[:, k]
        return np.ascontiguousarray(design), offsets

    def model_factors(self, W, Ht):
        """Two tall arrays whose product is the model, biases and offset included."""
        k = self.n_components
        left, right = [W[:, :k]], [Ht[:, :k]]
        if self.rows.has_bias:
            left.append(W[:, k:])
            right.append(np.ones_like(Ht, shape=(len(Ht), 1)))
        if self.columns.has_bias or self.offset:
            left.append(np.ones_like(W, shape=(len(W), 1)))
            bias = Ht[:, k:] if self.columns.has_bias else np.zeros_like(Ht, shape=(len(Ht), 1))
            right.append(bias + Ht.dtype.type(self.offset))
        if len(left) == 1:
            return W, Ht
        return np.hstack(left), np.hstack(right)

    # The objective --------------------------------------------------------------------

    def value(self, W, Ht):
        """Objective."""
        data = self.observations.total_loss(*self.model_factors(W, Ht), self.loss)
        return data + self._penalty_value(W) + self.T._penalty_value(Ht)

    def value_and_gradient(self, W, Ht):
        """Objective and its derivatives with respect to W, per unit of row weight, and Ht.

        So a row of weight two moves as the same row twice would.
        """
        k = self.n_components
        total, left, right = self.observations.loss_and_gradient(
            *self.model_factors(W, Ht), self.loss
        )
        # The columns beside the components: [c, 1] on the left, [1, b] on the right.
        W_gradient = left[:, : self.width]
        Ht_gradient = right[:, :k]
        if self.columns.has_bias:
            Ht_gradient = np.hstack([Ht_gradient, right[:, -1:]])
        W_gradient = W_gradient + self._penalty_gradient(W)
        Ht_gradient = Ht_gradient + self.T._penalty_gradient(Ht)
        total += self._penalty_value(W) + self.T._penalty_value(Ht)
        return total, W_gradient, Ht_gradient

    def squared_length(self, W, Ht):
        """Squared length of a pair of factors or gradients, rows counted by their weight."""
        per_row = np.einsum("ik,ik->i", W, W)
        return float(per_row @ self._row_weight + np.vdot(Ht, Ht))

    @cached_property
    def _row_weight(self):
        weight, n_rows = self.observations.row_weight, self.observations.shape[0]
        return np.ones(n_rows, dtype=self.observations.dtype) if weight is None else weight

    def _penalty_value(self, W):
        k, penalty = self.n_components, self.rows.penalty
        per_row = penalty.value(W[:, :k])
        if self.rows.has_bias:
            per_row = per_row + self.rows.bias_share * penalty.value(W[:, k:])
        scale = self._row_weight * self._penalty_scale
        return float(np.dot(scale.astype(np.float64), per_row))

    def _penalty_gradient(self, W):
        gradient = self.rows.penalty.gradient(W) * self._column_shares
        return gradient * self._penalty_scale[:, None]

    def row_curvature(self, Ht):
        """Largest second derivative along any row of W, for a loss of curvature one."""
        design, _ = self._design(Ht)
        weight = self.observations.column_weight
        weighted = design if weight is None else design * weight[:, None]
        present = self._row_weight > 0
        return float(np.linalg.norm(weighted.T @ design, 2) + (self.row_ridge * present).max())

    def balanced(self, W, Ht):
        """The same model, each component scaled so that its two penalties are equal.

        No other scaling costs less; a solver that alternates finds it only slowly.
        """
        k = self.n_components
        row_cost = (self._row_weight * self.row_ridge) @ W[:, :k] ** 2
        column_cost = self.T.row_ridge @ Ht[:, :k] ** 2
        scalable = (row_cost > 0) & (column_cost > 0)
        scale = np.divide(row_cost, column_cost, out=np.ones_like(row_cost), where=scalable)
        scale **= 0.25
        W, Ht = W.copy(), Ht.copy()
        W[:, :k] /= scale
        Ht[:, :k] *= scale
        return W, Ht

    # One factor, the other fixed --------------------------------------------------------

    def solve_rows(self, Ht, W):
        """Best W for this Ht under the quadratic bound of the loss at (W, Ht).

        Exact for the squared loss; for the others the objective does not rise.
        """
        return self._improved_rows(Ht, W, _solve)

    def refine_rows(self, Ht, W, reduction):
        """Better W for this Ht: conjugate gradients leave a share of what W lacks."""
        return self._improved_rows(Ht, W, partial(_refine, reduction=reduction))

    def _improved_rows(self, Ht, W, improve):
        design, offsets = self._design(Ht)
        ridge = self.row_ridge
        if self.loss.is_squared:
            return improve(self.observations, design, offsets, ridge, self._column_shares, W)
        solution = np.empty_like(W)
        for rows, block in self.observations.blocks():
            bound = self._bounded(block, design, offsets, W[rows])
            solution[rows] = improve(
                bound, design, offsets, ridge[rows], self._column_shares, W[rows]
            )
        return solution

    def _bounded(self, block, design, offsets, W):
        """The observations of which the squared loss is the bound of this loss at W."""
        model = self._row_model(block, design, offsets, W)
        weights, targets = self.loss.at(block.kinds).parabola(block.values, model)
        return block.reweighted(targets, weights)

    def _row_model(self, block, design, offsets, W):
        left = np.column_stack([W, np.ones_like(W, shape=len(W))])
        return block.model(left, np.column_stack([design, offsets]))

    def fold_in(self, Ht):
        """Best W for this Ht: what a code means, whatever solver found Ht.

        Rows do not influence one another: each starts at zero and stops by itself.
        """
        W = np.zeros_like(Ht, shape=(self.observations.shape[0], self.width))
        if self.loss.is_squared:
            return self.solve_rows(Ht, W)
        design, offsets = self._design(Ht)
        for rows, block in self.observations.blocks():
            W[rows] = self._fold_in_block(block, design, offsets, self.row_ridge[rows])
        return W

    def _fold_in_block(self, block, design, offsets, ridge):
        codes = np.zeros((block.shape[0], self.width), dtype=design.dtype)
        tol = max(1e-8, 10 * np.finfo(codes.dtype).eps)
        moving = np.arange(len(codes))
        for _ in range(FOLD_IN_ITERATIONS):
            part, before = block.take(moving), codes[moving]
            bound = self._bounded(part, design, offsets, before)
            after = bound.solve_rows(design, offsets, ridge[moving], self._column_shares)
            after = self._halved(part, design, offsets, ridge[moving], before, after)
            codes[moving] = after
            change = np.abs(after - before).max(axis=1, initial=0)
            moving = moving[change > tol * np.abs(after).max(axis=1, initial=0)]
            if len(moving) == 0:
                break
        return codes

    def _halved(self, block, design, offsets, ridge, before, after):
        """Shorten the step of the rows whose cost would rise: Newton's may be too long."""
        if hasattr(self.loss, "quadratic"):
            return after

        loss = self.loss.at(block.kinds)

        def cost(W):
            model = self._row_model(block, design, offsets, W)
            penalty = 0.5 * ridge * ((W * W) @ self._column_shares)
            return block.row_sums(loss.value(block.values, model)) + penalty

        limit = cost(before)
        for _ in range(MAX_HALVINGS):
            too_far = ~(cost(after) <= limit)
            if not too_far.any():
                return after
            after[too_far] = (after[too_far] + before[too_far]) / 2
        after[too_far] = before[too_far]
        return after


def _solve(observations, design, offsets, ridge, penalized, start):
    return observations.solve_rows(design, offsets, ridge, penalized)


def _refine(observations, design, offsets, ridge, penalized, start, reduction):
    start = np.ascontiguousarray(start)
    return observations.refine_rows(design, offsets, ridge, penalized, start, reduction)
