"""The base class of all penalties, and the properties that each of them declares."""

from sklearn.base import BaseEstimator

from sklearn_mf.utils._abilities import defines
from sklearn_mf.utils._registry import Registry

PENALTIES = Registry("penalty")


class BasePenalty(BaseEstimator):
    """Base class of all penalties, functions of a tall factor (one row per sample or feature).

    A penalty is the sum of a smooth part, whose derivative is `gradient`, and a nonsmooth part,
    whose proximal operator is `prox`. A subclass defines `value`, which is the sum of both parts,
    and the method of each part that it has; it must have at least one. It also declares `separable`
    and the other properties below that apply. Solvers state which properties they require and
    refuse a penalty without them. No property is assumed without a declaration, and no part of a
    penalty is ignored.

    A penalty that is a sum over entries or rows is multiplied, row by row, by a power of the number
    of observed entries in the row, as ``alpha_scaling`` says. A penalty on a whole factor is
    multiplied by the mean of these numbers.

    Attributes
    ----------
    separable : {"entries", "rows", "factor"}
        The parts of which the penalty is a sum. With "entries", each coefficient has its own
        penalty. With "rows", each row has its own penalty, so that the penalty can be used to
        compute the codes of new samples, one row at a time. With "factor", the penalty compares
        rows with one another.
    positive : bool
        Whether coefficients must be non-negative.
    is_free : bool
        Whether the value is zero wherever it is finite, that is, whether nothing is penalized.
    is_elastic : bool
        Whether the attributes `ridge`, `l1` and `positive` describe the penalty completely, so that
        the kernels can solve for rows.
    is_rotation_invariant : bool
        Whether the value does not change if all rows are rotated, ``V @ Q``. Only then may fitted
        components be rotated so that they explain as much as possible one by one.
    degree : {1, 2} or None
        For a penalty that is a sum over components: if a component is multiplied by c, its value is
        multiplied by ``c**degree``. None if there is no such exponent.
    curvature : float or None
        An upper bound of the second derivatives of the smooth part; None if no bound is known.

    See Also
    --------
    sklearn_mf.conformance.check_penalty : Check a penalty of your own.
    """

    separable = None
    positive = False
    is_free = False
    is_elastic = False
    is_rotation_invariant = False
    degree = None
    curvature = None

    # Properties that follow from the declarations ----------------------------------------------

    @property
    def is_rowwise(self):
        """Whether each row has its own penalty."""
        return self.separable in ("entries", "rows")

    @property
    def is_smooth(self):
        """Whether the penalty is smooth and unconstrained, so that `prox` is never needed."""
        return not defines(self, "prox", BasePenalty)

    @property
    def is_smooth_where_allowed(self):
        """Whether the penalty is smooth, except for a non-negativity constraint."""
        return self.is_smooth

    @property
    def has_gradient(self):
        """Whether the penalty has a smooth part."""
        return defines(self, "gradient", BasePenalty)

    @property
    def has_curvature(self):
        """Whether the second derivatives of the smooth part, if any, have a known bound."""
        return self.curvature is not None or not self.has_gradient

    @property
    def takes_any_step(self):
        """Whether each coefficient may have its own step size."""
        return self.is_smooth or self.separable == "entries"

    # Methods that a penalty defines -------------------------------------------------------------

    def value(self, V):
        """Return the value of the penalty.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        value : ndarray of shape (n_rows,), or float
            One number per row, or a single number if ``separable`` is "factor".
        """
        raise NotImplementedError

    def gradient(self, V):
        """Return the derivative of the smooth part.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        gradient : ndarray of shape (n_rows, k)
            One derivative per coefficient.
        """
        raise NotImplementedError

    def prox(self, V, step):
        """Return the minimizer of ``1/2 |U - V|^2`` plus ``step`` times the nonsmooth part.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.
        step : float or ndarray
            Weight of the penalty, at least 0. With 0, the nearest feasible rows are returned. It is
            an array of the shape of V if ``separable`` is "entries", of shape (n_rows, 1) if it is
            "rows", and a float if it is "factor".

        Returns
        -------
        U : ndarray of shape (n_rows, k)
            The minimizer.
        """
        raise NotImplementedError

    def in_unit(self, unit, of_objective):
        """Return the penalty for rows in another unit, divided by a unit of the objective.

        Parameters
        ----------
        unit : float
            The number by which the rows are divided.
        of_objective : float
            The number by which the value is divided.

        Returns
        -------
        penalty : BasePenalty
            A penalty whose value at V is that of this one at ``unit * V``, divided by
            `of_objective`.
        """
        return PenaltyInUnit(self, unit, of_objective)


class PenaltyInUnit(BasePenalty):
    r"""A penalty p for rows divided by a unit u: :math:`p(u V) / o`.

    Parameters
    ----------
    penalty : BasePenalty
        The penalty p of the original rows.
    unit : float
        The number u by which the rows are divided.
    of_objective : float
        The number o by which the value is divided.
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
        """The bound of the penalty, in the unit."""
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
    """Multiply numbers by a factor without changing their precision."""
    return numbers * (numbers.dtype.type(factor) if hasattr(numbers, "dtype") else factor)
