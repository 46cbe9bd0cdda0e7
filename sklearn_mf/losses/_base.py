"""The base class of all losses.

A loss is defined by a few vectorized methods. Every solver can use ``value`` and ``gradient``.
Alternating least squares also needs ``quadratic``, which a loss without a global quadratic upper
bound does not define.
"""

import numpy as np
from sklearn.base import BaseEstimator, clone

from sklearn_mf.utils._registry import Registry

LOSSES = Registry("loss")

# Distance that means keep from the edge of their range before the link function is applied: at the
# edge, the model value is infinite.
EDGE = 1e-6
# Smallest curvature of a Newton step, for regions where the loss is flat.
LEAST_CURVATURE = 1e-6
# Smallest corner, in a unit in which the data are about one: rounding errors of the data.
LEAST_CORNER = 2.0**-52


class BaseLoss(BaseEstimator):
    """Base class of all losses, elementwise functions of data ``x`` and model values ``m``.

    Subclasses define ``name``, `value` and `gradient` and, if possible, ``quadratic(x, m)``. It
    returns weights w and targets t of a quadratic upper bound that touches the loss at ``m``: ``w *
    (m - t)`` is the gradient, and ``w/2 * (z - t)**2`` plus a constant is nowhere below the loss at
    ``z``.

    A loss whose model values are on another scale than the data, for example log-odds or
    logarithms, also defines `mean` and `from_mean`. A loss that does not accept all numbers defines
    ``check_data(x)``. It is called with the observed entries and raises a ValueError that names an
    invalid value and a remedy.

    See Also
    --------
    sklearn_mf.MatrixFactorization : Accepts a loss by name or as an object.
    """

    # Whether one least-squares solve is exact, so that Gram matrices can replace the entries.
    is_squared = False
    # Whether the best constant for some data is `from_mean` of their mean.
    fits_mean = False
    # Whether data must be non-negative, as in scikit-learn's tag of this name.
    positive_only = False
    # Whether model values may be any number. Otherwise a solver must keep them positive.
    takes_any_model = True
    # Whether the loss of a zero equals its model value, so that zeros need no loop over them.
    loss_at_zero_equals_model = False
    # Whether the loss grows at most linearly with the error, so that a few outliers may be most of
    # the objective for any model.
    is_robust = False
    # Index of the loss of each entry, if there are several losses.
    kinds = None
    # Exponent d with which the loss scales: if data and model are multiplied by c, the loss of
    # `in_unit` is multiplied by c**d. None if the data have no other units.
    degree = None
    # Name of the parameter in the unit of the data: the residual at which the loss changes its
    # shape.
    corner = None

    @property
    def parts(self):
        """The losses of which this one consists: itself, unless columns have different losses."""
        return [self]

    def in_unit(self, unit):
        """Return the loss of data and model in another unit, up to a power of the unit.

        The power is `degree`: ``loss.value(unit * x, unit * m)`` equals ``unit**degree *
        loss.in_unit(unit).value(x, m)``.

        Parameters
        ----------
        unit : float
            Positive unit of the data.

        Returns
        -------
        loss : BaseLoss
            The same loss, unless it has parameters in the unit of the data. For data of any size,
            its corner is large enough for single precision.
        """
        if self.corner is None:
            return self
        size = max(float(getattr(self, self.corner)) / unit, LEAST_CORNER)
        return clone(self).set_params(**{self.corner: size})

    @property
    def for_codes(self):
        """Return the loss used to compute codes: possibly with other steps than its bound."""
        return self

    def at(self, kinds):
        """Return the loss of entries with these loss indices: itself, if there is only one."""
        return self

    def at_columns(self, columns):
        """Return the loss of entries in these columns: itself, if there is only one."""
        return self

    def value(self, x, m):
        """Return the loss of every entry.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        value : ndarray of the same shape
            The loss, without weights.
        """
        raise NotImplementedError

    def gradient(self, x, m):
        """Return the derivative of the loss with respect to the model value.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        gradient : ndarray of the same shape
            The derivative, without weights.
        """
        raise NotImplementedError

    def curvature(self, x, m):
        """Return the second derivative with respect to the model value.

        It is computed by finite differences, unless a subclass overrides this method.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        curvature : ndarray of the same shape
            The second derivative, without weights.
        """
        step = np.sqrt(np.finfo(m.dtype).eps) * (1 + np.abs(m))
        return (self.gradient(x, m + step) - self.gradient(x, m - step)) / (2 * step)

    def parabola(self, x, m):
        """Return the parabola that replaces the loss near m.

        This is the quadratic upper bound if there is one, otherwise Newton's approximation.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        weight, target : ndarray of the same shape
            Curvature and minimizer of the parabola.
        """
        if hasattr(self, "quadratic"):
            return self.quadratic(x, m)
        weight = np.maximum(self.curvature(x, m), LEAST_CURVATURE)
        return weight, m - self.gradient(x, m) / weight

    def mean(self, m):
        """Return the prediction on the scale of the data: the model value, unless overridden.

        Parameters
        ----------
        m : ndarray
            Model values.

        Returns
        -------
        mean : ndarray of the same shape
            Expected value of the data.
        """
        return m

    def from_mean(self, mean):
        """Return the model value of a mean: the inverse of `mean`, but finite everywhere.

        Parameters
        ----------
        mean : ndarray or float
            Means of data, possibly at the edge of their range.

        Returns
        -------
        m : ndarray of the same shape, or float
            Model values.
        """
        return mean
