"""A problem whose rows lie in blocks, of which a sweep shall read every one but once."""

from dataclasses import fields, replace

import numpy as np

from sklearn_mf.objective.fold_in import fold_in
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import BlockedObservations

# Power of the precision that the loss may be beside the squares of the data: below it is read off
# the residuals.
LEAST_DIGITS = 0.4


class SweepingProblem(Problem):
    """The same problem, which answers the second and third question of a sweep from the first.

    A sweep solves the rows of W, then those of H, and asks for the value there. Once a block's
    rows are solved, it adds the normal equations of the columns for these rows; the rows of H
    solve the sums, which also know the squared error there.
    """

    def regression(self, Ht):
        """The rows of W as regressions; those of blocks foresee what columns will ask."""
        regression = super().regression(Ht)
        if not isinstance(self.observations, BlockedObservations):
            return regression
        ahead = self.observations.foreseeing(self.layout.T.design)
        return replace(regression, observations=ahead)

    def fold_in(self, Ht):
        """Best W for this Ht, after which nobody asks for columns."""
        return fold_in(super().regression(Ht))

    def balanced(self, W, Ht):
        """See `Problem.balanced`; the loss, which stays what it was, is remembered."""
        loss, balanced = self._loss_of_sums(W, Ht), super().balanced(W, Ht)
        self._memory["loss"] = *balanced, loss
        return balanced

    def value(self, W, Ht):
        """See `Problem.value`; where the sums of the last sweep know the loss, nothing is read."""
        loss = None
        if self.loss.is_squared and self._memory is not None:
            *factors, known = self._memory.get("loss", (None, None, None))
            if factors[0] is W and factors[1] is Ht:
                loss = known
            elif not W.any():
                loss = self._loss_of_constants(Ht)
        return super().value(W, Ht) if loss is None else loss + self.penalty(W, Ht)

    @property
    def _memory(self):
        return getattr(self.observations, "memory", None)

    def _loss_of_sums(self, W, Ht):
        """Half the squared error as the columns' normal equations know it, if they do."""
        if self._memory is None or not self.loss.is_squared:
            return None
        design, offsets = self.layout.T.design(W)
        sums = self.T.observations.known_sums(design, offsets)
        if sums is None:
            return None
        facts, offsets = self.observations.facts, offsets.astype(np.float64)
        about = 0.5 * facts.row_totals * offsets - facts.row_sums
        if self.observations.row_weight is not None:
            about *= self.observations.row_weight
        loss = 0.5 * facts.squares + float(about @ offsets) + sums.value(Ht)
        # A difference of large numbers has few digits.
        enough = float(np.finfo(Ht.dtype).eps) ** LEAST_DIGITS * facts.squares
        return loss if loss > enough else None

    def _loss_of_constants(self, Ht):
        """The same of a model without rows: a constant for each column."""
        facts, layout = self.observations.facts, self.layout
        constants = np.full(len(Ht), layout.offset, dtype=np.float64)
        if layout.column_bias:
            constants += layout.T.split(Ht)[1][:, 0]
        about = 0.5 * facts.column_totals * constants - facts.column_sums
        return 0.5 * facts.squares + float(about @ constants)


def sweeping(problem: Problem):
    """The problem, as one whose sweeps read data in blocks but once."""
    if not isinstance(problem.observations, BlockedObservations):
        return problem
    return SweepingProblem(*(getattr(problem, field.name) for field in fields(problem)))
