"""A problem whose rows lie in blocks, of which a sweep shall read every one but once."""

from dataclasses import fields, replace

from sklearn_mf.objective.fold_in import fold_in
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import BlockedObservations


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


def sweeping(problem: Problem):
    """The problem, as one whose sweeps read data in blocks but once."""
    if not isinstance(problem.observations, BlockedObservations):
        return problem
    return SweepingProblem(*(getattr(problem, field.name) for field in fields(problem)))
