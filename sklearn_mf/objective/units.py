r"""The unit in which a problem is solved, so that results do not depend on the unit of the data.

If the data are multiplied by c, so is the model. The numerics, however, depend on the unit: the
threshold below which numbers are treated as zero, the precision of float32 and the range of its
squares. Data whose typical size is far from one are therefore divided by a unit s. The model and
the biases are divided by s as well, and components and codes by the root of s. A loss of degree d
is divided by :math:`s^d`. The penalties are divided by the same number if their strengths are

.. math::

    \lambda_2' = \lambda_2\, s^{1 - d}, \qquad \lambda_1' = \lambda_1\, s^{1/2 - d}, \qquad
    \lambda_b' = \lambda_b\, s^{2 - d}

for the L2 penalty on components, their L1 penalty, and the L2 penalty on biases.

If the algorithm itself is independent of units, data of ordinary size are used unchanged. Other
data are divided by a power of four: this division, and that by its root, change no digits. For
losses with thresholds, and for descent methods in which biases and components move together, the
unit is the root mean square of the residuals of the biases.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.losses import Squared
from sklearn_mf.objective.constants import first_bias, overall_constant
from sklearn_mf.objective.layout import Layout
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix

# Data between this size and its inverse are used unchanged and not copied: they are far from
# overflow, and their squares are accurate in float32.
ORDINARY = 2.0**10
# Values below LOST times the largest value are lost in rounding errors; at most the fraction
# LOST_SHARE of the values may be.
LOST, LOST_SHARE = 2.0**-52, 0.1
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Unit:
    """The unit by which the data are divided internally.

    Attributes
    ----------
    size : float
        The unit; 1 if the data are used unchanged.
    degree : float
        Exponent of the unit by which the objective is divided.
    """

    size: float = 1.0
    degree: float = 2.0

    @classmethod
    def of(cls, problem: Problem):
        """Return the unit for algorithms that are independent of units: 1 for ordinary data.

        Parameters
        ----------
        problem : Problem
            The problem to be solved.

        Returns
        -------
        unit : Unit
            The unit; 1 if the loss depends on the unit.
        """
        degree = problem.loss.degree
        if not problem.loss.is_squared:
            return cls.of_size(problem)
        size = _typical_size(problem.observations)
        if size == 0 or 1 / ORDINARY <= size <= ORDINARY:
            return cls(degree=degree)
        return cls._checked(4.0 ** round(np.log2(size) / 2), degree)

    @classmethod
    def of_size(cls, problem: Problem):
        """Return the standard deviation of the data from biases, for algorithms that need it.

        Parameters
        ----------
        problem : Problem
            The problem to be solved.

        Returns
        -------
        unit : Unit
            The unit; 1 if the loss depends on the unit.
        """
        degree = problem.loss.degree
        if degree is None:
            return cls()
        _refuse_outliers(problem)
        return cls._checked(_deviation(problem) or 1.0, degree)

    @classmethod
    def _checked(cls, size, degree):
        """Return a unit by which the objective can be divided."""
        unit = cls(size, degree)
        if unit.of_objective < TINY:
            raise _too_small()
        # Attributes of the fitted model contain squares for any loss.
        if max(unit.of_objective, size * size) == np.inf:
            raise ValueError("X is too large: its squares overflow. Scale X.")
        return unit

    @property
    def root(self):
        """The number by which the factors are divided."""
        return float(np.sqrt(self.size))

    @property
    def of_objective(self):
        """The number by which the objective is divided; infinite if it overflows."""
        with np.errstate(over="ignore"):
            return float(np.float64(self.size) ** self.degree)

    def observations(self, observations: ObservedMatrix):
        """Return the data in this unit."""
        return observations if self.size == 1 else observations.times(1 / self.size)

    def problem(self, problem: Problem):
        """Return the problem, including its data, in this unit."""
        if self.size == 1:
            return problem
        return self.terms(replace(problem, observations=self.observations(problem.observations)))

    def terms(self, problem: Problem):
        """Convert a problem to this unit, except for its data, which are already converted."""
        if self.size == 1:
            return problem
        return replace(
            problem,
            loss=problem.loss.in_unit(self.size),
            rows=self._side(problem.rows),
            columns=self._side(problem.columns),
            offset=problem.offset / self.size,
        )

    def _side(self, side):
        bias_ridge = side.bias_ridge * self.size ** (2 - self.degree)
        penalty = side.penalty.in_unit(self.root, self.of_objective)
        return replace(side, penalty=penalty, bias_ridge=bias_ridge)

    def inside(self, factor, n_components):
        """Convert a tall factor, with biases after its components, to this unit."""
        return self._times(factor, n_components, 1 / self.root)

    def outside(self, factor, n_components):
        """Convert a tall factor from this unit to that of the data."""
        return self._times(factor, n_components, self.root)

    def to_codes(self, W, Ht, n_components):
        """Convert factors so that their components have no unit; W may be None."""
        if self.size == 1:
            return W, Ht
        Ht = np.hstack([Ht[:, :n_components] / self.root, Ht[:, n_components:]])
        if W is not None:
            W = Layout(n_components).scaled(W, self.root, 1)
        return W, Ht

    def _times(self, factor, k, root):
        if self.size == 1:
            return factor
        return Layout(k).scaled(factor, root, root**2)


def _typical_size(observations: ObservedMatrix):
    """Return `ObservedMatrix.typical_size`, for data whose inverse does not overflow."""
    smallest = float(1 / np.finfo(observations.dtype).max)
    if observations.total_squares < TINY:
        largest = max((np.abs(x).max(initial=0) for x in observations.each_value()), default=0)
        if 0 < largest < 2 * smallest:
            raise _too_small()
    return observations.typical_size


def _refuse_outliers(problem: Problem):
    """Refuse data if most values, or the corner of the loss, vanish next to the largest value."""
    parts, values = problem.loss.parts, problem.observations
    corners = [getattr(part, part.corner) for part in parts if part.corner is not None]
    corner = max(corners, default=np.inf)
    if not corner < LOST * np.sqrt(values.total_squares):
        return
    largest = max((np.abs(x).max(initial=0) for x in values.each_value()), default=0)
    small = np.float64(LOST) * np.float64(largest)
    sizes = [(((x != 0) & (np.abs(x) < small)).sum(), (x != 0).sum()) for x in values.each_value()]
    n_small, n_values = np.sum(sizes, axis=0)
    if corner < small and n_small > LOST_SHARE * n_values:
        raise ValueError(
            f"X is too large: compared with its largest value, {largest:g}, {n_small} of its "
            f"{n_values} values are lost in rounding errors. Scale X or clip it. If that value "
            "marks missing entries, replace it by NaN or set missing_values."
        )


def _too_small():
    return ValueError("X is too small: its squares underflow. Scale X.")


def _deviation(problem: Problem):
    """Return the root mean square of the residuals of the initial biases, or of the data."""
    samples = problem.observations
    size = _typical_size(samples)
    if size == 0 or not problem.layout.has_bias:
        return size
    problem = replace(problem, observations=samples.times(1 / size), offset=0.0)
    samples = problem.observations
    if problem.rows.has_bias:
        problem = replace(problem, offset=overall_constant(problem))
    bias = first_bias(problem)[:, None] + samples.dtype.type(problem.offset)
    ones = np.ones((samples.shape[0], 1), dtype=samples.dtype)
    squares = 2 * samples.total_loss(ones, bias, Squared())
    mean_square = squares / samples.T.row_totals().sum(dtype=np.float64)
    # Smaller residuals are rounding errors of data that the biases explain.
    return size * float(np.sqrt(max(mean_square, np.finfo(samples.dtype).eps)))
