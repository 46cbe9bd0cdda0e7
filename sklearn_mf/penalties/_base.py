"""What all penalties share, and what each of them has to declare."""

from sklearn.base import BaseEstimator

from sklearn_mf.utils._abilities import defines
from sklearn_mf.utils._registry import Registry

PENALTIES = Registry("penalty")


class BasePenalty(BaseEstimator):
    """Base of all penalties: functions of a tall factor, with a row for each sample or feature.

    A penalty is the sum of a smooth part, whose derivative is `gradient`, and of one that is not
    smooth, whose proximal operator is `prox`. A subclass defines `value`, which is that of both
    parts, and the method of each part that it has; it must have at least one of them. It
    declares `separable`, and whatever else holds of it. Solvers say which of these abilities
    they need, and refuse a penalty without them: none is taken for granted, and nothing that
    a penalty defines is left out.

    The penalty of a sum over entries or over rows is multiplied, row by row, with a power of the
    number of entries that the row has, as ``alpha_scaling`` says. That of a whole factor is
    multiplied with the mean of these numbers.

    Attributes
    ----------
    separable : {"entries", "rows", "factor"}
        What the penalty is a sum over. "entries": each coefficient costs by itself. "rows": each
        row does, so that codes can have it, which depend on their own row alone. "factor": rows
        are compared with one another.
    positive : bool
        Whether coefficients may not be negative.
    is_free : bool
        Whether the value is zero wherever it is finite.
    is_elastic : bool
        Whether the attributes `ridge`, `l1` and `positive` are all there is to it, so that
        kernels can solve rows under it.
    is_rotation_invariant : bool
        Whether the value stays as it is if all rows are rotated, ``V @ Q``. Only then may the
        components that a solver has found be turned to explain as much as possible one by one.
    degree : {1, 2} or None
        Where the penalty is a sum over components: the power of a number c that its value
        is multiplied with if a component is multiplied with c. None: there is no such power.
    curvature : float or None
        An upper bound of the second derivatives of the smooth part; None where nobody knows one.

    See Also
    --------
    sklearn_mf.conformance.check_penalty : Tries what a penalty of one's own must satisfy.
    """

    separable = None
    positive = False
    is_free = False
    is_elastic = False
    is_rotation_invariant = False
    degree = None
    curvature = None

    # What follows from the declarations ------------------------------------------------------

    @property
    def is_rowwise(self):
        """Whether rows cost by themselves."""
        return self.separable in ("entries", "rows")

    @property
    def is_smooth(self):
        """Whether the gradient tells everything, so that no step needs `prox`."""
        return not defines(self, "prox", BasePenalty)

    @property
    def is_smooth_where_allowed(self):
        """Whether the gradient tells everything but that coefficients may not be negative."""
        return self.is_smooth

    @property
    def has_gradient(self):
        """Whether there is a smooth part."""
        return defines(self, "gradient", BasePenalty)

    @property
    def has_curvature(self):
        """Whether second derivatives of the smooth part, if there is one, have a known bound."""
        return self.curvature is not None or not self.has_gradient

    @property
    def takes_any_step(self):
        """Whether steps may be of another length for every coefficient."""
        return self.is_smooth or self.separable == "entries"

    # What a penalty defines -------------------------------------------------------------------

    def value(self, V):
        """Value of the penalty.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        value : ndarray of shape (n_rows,), or float
            One number a row; where ``separable`` is "factor" one for all of them.
        """
        raise NotImplementedError

    def gradient(self, V):
        """Derivative of the smooth part.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        gradient : ndarray of shape (n_rows, k)
            One derivative a coefficient.
        """
        raise NotImplementedError

    def prox(self, V, step):
        """Minimum of ``1/2 |U - V|^2`` plus ``step`` times the part that is not smooth.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.
        step : float or ndarray
            How much the penalty counts, at least 0; at 0 the nearest rows that are allowed are
            asked for. An array of the shape of V where ``separable`` is "entries", of shape
            (n_rows, 1) where it is "rows", and a float where it is "factor".

        Returns
        -------
        U : ndarray of shape (n_rows, k)
            The rows that the penalty prefers, nearby.
        """
        raise NotImplementedError

    def in_unit(self, unit, of_objective):
        """The penalty of rows in a unit, in one of the objective.

        Parameters
        ----------
        unit : float
            What rows are divided by.
        of_objective : float
            What the penalty is to be divided by.

        Returns
        -------
        penalty : BasePenalty
            Its value at V is that of this one at ``unit * V``, divided.
        """
        return PenaltyInUnit(self, unit, of_objective)


class PenaltyInUnit(BasePenalty):
    r"""A penalty p of rows that are divided by a unit u: :math:`p(u V) / o`.

    Parameters
    ----------
    penalty : BasePenalty
        The penalty p of rows as they are.
    unit : float
        What rows are divided by, u.
    of_objective : float
        What the penalty is divided by, o.
    """

    def __init__(self, penalty, unit, of_objective):
        self.penalty = penalty
        self.unit = unit
        self.of_objective = of_objective

    separable = property(lambda self: self.penalty.separable)
    positive = property(lambda self: self.penalty.positive)
    is_free = property(lambda self: self.penalty.is_free)
    degree = property(lambda self: self.penalty.degree)
    is_rotation_invariant = property(lambda self: self.penalty.is_rotation_invariant)
    is_smooth = property(lambda self: self.penalty.is_smooth)
    is_smooth_where_allowed = property(lambda self: self.penalty.is_smooth_where_allowed)
    has_gradient = property(lambda self: self.penalty.has_gradient)

    @property
    def curvature(self):
        """That of the penalty, in the unit."""
        known = self.penalty.curvature
        return None if known is None else known * self.unit**2 / self.of_objective

    def value(self, V):
        """See `BasePenalty.value`."""
        return self.penalty.value(_times(V, self.unit)) / self.of_objective

    def gradient(self, V):
        """See `BasePenalty.gradient`."""
        return _times(self.penalty.gradient(_times(V, self.unit)), self.unit / self.of_objective)

    def prox(self, V, step):
        """See `BasePenalty.prox`."""
        step = _times(step, self.unit**2 / self.of_objective)
        return _times(self.penalty.prox(_times(V, self.unit), step), 1 / self.unit)


def _times(numbers, factor):
    """Numbers times a factor, in their own precision."""
    return numbers * (numbers.dtype.type(factor) if hasattr(numbers, "dtype") else factor)
