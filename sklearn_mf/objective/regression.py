"""The rows of one factor as regressions of the data on the other factor, which is fixed."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sklearn_mf.losses import BaseLoss, Squared
from sklearn_mf.objective.factor_penalty import FactorPenalty
from sklearn_mf.observations import ObservedMatrix, parabola_of, value_of
from sklearn_mf.systems import Descent, RowPenalty, RowSystems, descend_proximally

# Accuracy of proximal gradient descent for optimal rows: largest move of a step relative to the
# largest coefficient, and maximum number of steps.
BEST = (1e-10, 5000)


@dataclass(frozen=True)
class RowRegression:
    """A penalized regression for every row; the rows are independent.

    Attributes
    ----------
    observations : ObservedMatrix
        The data.
    loss : BaseLoss
        Loss of an entry.
    design : ndarray of shape (n_columns, k)
        The regressors.
    offsets : ndarray of shape (n_columns,)
        The part of the model that does not depend on the rows.
    penalty : RowPenalty or FactorPenalty
        Penalty on the rows.
    """

    observations: ObservedMatrix
    loss: BaseLoss
    design: np.ndarray
    offsets: np.ndarray
    penalty: RowPenalty | FactorPenalty

    def of_rows(self, rows):
        """Return the regressions of some rows."""
        observations, penalty = self.observations.take(rows), self.penalty.of_rows(rows)
        return replace(self, observations=observations, penalty=penalty)

    def of(self, observations: ObservedMatrix, rows):
        """Return the regressions of some rows for given observations of them."""
        return replace(self, observations=observations, penalty=self.penalty.of_rows(rows))

    def model(self, W):
        """Return the model values, in the layout of the observed values."""
        left = np.column_stack([W, np.ones_like(W, shape=len(W))])
        return self.observations.model(left, np.column_stack([self.design, self.offsets]))

    def costs(self, W):
        """Return the cost of each row, with loss and penalty."""
        block = self.observations
        loss = value_of(self.loss.at(block.kinds), block.values, self.model(W))
        return block.row_sums(loss) + self.penalty.cost(W)

    def bounded(self, W):
        """Return the regressions with the squared loss that is an upper bound of this loss at W."""
        block = self.observations
        weights, targets = parabola_of(self.loss.at(block.kinds), block.values, self.model(W))
        return replace(self, observations=block.reweighted(targets, weights), loss=Squared())

    # Each of the next methods improves the rows W. Under a loss other than the squared one, they
    # are improved under its upper bound at W, and therefore under the loss itself.

    def solved(self, W):
        """Return the optimal rows with an L2 penalty; they do not depend on W."""
        if self.loss.is_squared:
            return self.observations.solve_rows(*self._numbers)
        return self._by_bounds(W, RowRegression.solved)

    def refined(self, W, reduction):
        """Return rows improved by conjugate gradients up to a relative residual."""
        if self.loss.is_squared:
            start = np.ascontiguousarray(W)
            return self.observations.refine_rows(*self._numbers, start, reduction)
        return self._by_bounds(W, partial(RowRegression.refined, reduction=reduction))

    def solved_in_blocks(self, W, size):
        """Return rows improved by solving for each block of coefficients in turn."""
        if self.loss.is_squared:
            start = np.ascontiguousarray(W)
            return self.observations.descend_blocks(*self._numbers, start, size)
        return self._by_bounds(W, partial(RowRegression.solved_in_blocks, size=size))

    def lowered(self, W, accuracy):
        """Return rows improved by a few rounds of coordinate descent."""
        if self.loss.is_squared:
            return self.descended(W, accuracy).rows
        return self._by_bounds(W, partial(RowRegression.lowered, accuracy=accuracy))

    def stepped(self, W, accuracy):
        """Return rows improved by proximal gradient descent, under any rowwise penalty."""
        if self.loss.is_squared:
            return self.approached(W, accuracy).rows
        return self._by_bounds(W, partial(RowRegression.stepped, accuracy=accuracy))

    def _by_bounds(self, W, improve):
        solution = np.empty_like(W)
        for rows, block in self.observations.blocks():
            solution[rows] = improve(self.of(block, rows).bounded(W[rows]), W[rows])
        return solution

    # Under the squared loss ---------------------------------------------------------------

    def best(self, W):
        """Return the optimal rows under any penalty."""
        if not self.penalty.is_elastic:
            return self.approached(W, BEST).rows
        if self.penalty.is_quadratic:
            return self.solved(W)
        return self.observations.best_rows(*self._numbers, W)

    def descended(self, W, accuracy) -> Descent:
        """Make a few rounds of coordinate descent."""
        return self.observations.descend_rows(*self._numbers, W, accuracy)

    def approached(self, W, accuracy) -> Descent:
        """Make proximal gradient descent under any rowwise penalty."""
        improve = partial(descend_proximally, accuracy=accuracy)
        return self.observations.improve_rows(*self._numbers, W, improve)

    def approached_together(self, W, accuracy) -> Descent:
        """Make proximal gradient descent on all rows, under a penalty that compares them.

        Under a loss other than the squared one, the descent uses its upper bound at W.
        """
        if self.loss.is_squared:
            systems = self.observations.systems(*self._numbers)
        else:
            parts = [
                replace(self, observations=block)
                .bounded(W[rows])
                .observations.systems(*self._numbers[:2])
                for rows, block in self.observations.blocks()
            ]
            systems = replace(RowSystems.stacked(parts), penalty=self.penalty)
        return descend_proximally(systems, W, accuracy)

    @property
    def _numbers(self):
        return self.design, self.offsets, self.penalty
