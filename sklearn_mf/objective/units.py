r"""The unit in which a problem is solved, so that the unit of the data does not matter.

Data in other units, c times as large, have c times as large a model. Solvers would not see it
alike: a floor below which numbers count as zero, the precision of float32 and the range of its
squares know no units. So data whose typical size is far from one are solved in a unit of their
own. With data, and thus the model, divided by s, biases are divided by s, and components and codes
by the root of s. A loss of degree d falls by :math:`s^d`; a penalty that shall fall as much has

.. math::

    \lambda_2' = \lambda_2\, s^{1 - d}, \qquad \lambda_1' = \lambda_1\, s^{1/2 - d}, \qquad
    \lambda_b' = \lambda_b\, s^{2 - d}

for the squares of coefficients, their absolute values, and the squares of biases.

Where the algorithm itself knows no unit, data of ordinary size are taken as they are, and others
divided by a power of four: that, like the division by its root, changes no digit. Losses with
floors, and descents in which biases and components step side by side, get as unit what biases
leave of the data, their root mean square.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.losses import Squared
from sklearn_mf.objective.constants import first_bias, overall_constant
from sklearn_mf.objective.layout import Layout
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix

# Up to this size, and down to its inverse, data are taken as they are, without a copy: numbers have
# room around them, and squares in float32 all their digits.
ORDINARY = 2.0**10
# What is less than this share of the largest value is lost in rounding, and which share of the
# values may be.
LOST, LOST_SHARE = 2.0**-52, 0.1
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Unit:
    """What data are divided by inside.

    Attributes
    ----------
    size : float
        1 where the data are taken as they are.
    degree : float
        The power of it by which the objective is divided.
    """

    size: float = 1.0
    degree: float = 2.0

    @classmethod
    def of(cls, problem: Problem):
        """A unit for algorithms that know none: one for data of ordinary size.

        Parameters
        ----------
        problem : Problem
            What is to be solved.

        Returns
        -------
        unit : Unit
            One, too, where the loss has a scale of its own.
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
        """The deviation of the data from biases: for algorithms that have a unit of their own.

        Parameters
        ----------
        problem : Problem
            What is to be solved.

        Returns
        -------
        unit : Unit
            One, where the loss has a scale of its own.
        """
        degree = problem.loss.degree
        if degree is None:
            return cls()
        _refuse_outliers(problem)
        return cls._checked(_deviation(problem) or 1.0, degree)

    @classmethod
    def _checked(cls, size, degree):
        """A unit by which the objective can be divided."""
        unit = cls(size, degree)
        if unit.of_objective < TINY:
            raise _too_small()
        # Attributes of the fitted model are squares, whatever the loss.
        if max(unit.of_objective, size * size) == np.inf:
            raise ValueError("X is too large: its squares overflow. Scale X.")
        return unit

    @property
    def root(self):
        """What factors are divided by."""
        return float(np.sqrt(self.size))

    @property
    def of_objective(self):
        """What the objective is divided by; infinite where its size is beyond all numbers."""
        with np.errstate(over="ignore"):
            return float(np.float64(self.size) ** self.degree)

    def observations(self, observations: ObservedMatrix):
        """The data in this unit."""
        return observations if self.size == 1 else observations.times(1 / self.size)

    def problem(self, problem: Problem):
        """The problem in this unit, data included."""
        if self.size == 1:
            return problem
        return self.terms(replace(problem, observations=self.observations(problem.observations)))

    def terms(self, problem: Problem):
        """A problem whose data are in this unit already, the rest of it too."""
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
        """A tall factor, biases beyond its components, in this unit."""
        return self._times(factor, n_components, 1 / self.root)

    def outside(self, factor, n_components):
        """A tall factor of this unit in the unit of the data."""
        return self._times(factor, n_components, self.root)

    def to_codes(self, W, Ht, n_components):
        """Factors whose components will have no unit outside; W may be None."""
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
    """`ObservedMatrix.typical_size`, of data whose inverse is a number."""
    smallest = float(1 / np.finfo(observations.dtype).max)
    if observations.total_squares < TINY:
        largest = max((np.abs(x).max(initial=0) for x in observations.each_value()), default=0)
        if 0 < largest < 2 * smallest:
            raise _too_small()
    return observations.typical_size


def _refuse_outliers(problem: Problem):
    """Refuse data beside whose largest value many others, and the loss's corner, are nothing."""
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
            f"X is too large: beside its largest value, {largest:g}, {n_small} others of its "
            f"{n_values} values are lost in rounding. Scale X or clip it; if that value marks what "
            "is missing, set it to NaN or name it in missing_values."
        )


def _too_small():
    return ValueError("X is too small: its squares underflow. Scale X.")


def _deviation(problem: Problem):
    """Root mean square of what biases at their start leave of the data; of those, without any."""
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
    # Less is rounding error, of data that biases explain.
    return size * float(np.sqrt(max(mean_square, np.finfo(samples.dtype).eps)))
