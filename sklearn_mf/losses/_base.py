"""What all losses share.

A loss is a few vectorised methods. Any solver can use ``value`` and ``gradient``;
``quadratic`` is what alternating least squares needs, and a loss without a global
quadratic bound simply does not have it.
"""

import numpy as np
from sklearn.base import BaseEstimator, clone

from sklearn_mf.utils._registry import Registry

LOSSES = Registry("loss")

# How near to the edge of what the data can be a mean may come before it is linked: there the
# model value is infinite.
EDGE = 1e-6
# Of a Newton step, where the loss is flat.
LEAST_CURVATURE = 1e-6
# In a unit in which data are about one, below the rounding errors of these.
LEAST_CORNER = 2.0**-52


class BaseLoss(BaseEstimator):
    """Base of all losses: elementwise functions of data ``x`` and model values ``m``.

    Subclasses define ``name``, `value` and `gradient`, and ``quadratic(x, m)`` if they
    can: it returns weights w and targets t, so that ``w * (m - t)`` is the gradient and
    ``w/2 * (z - t)**2`` plus a constant lies nowhere below the loss at ``z`` and touches
    it at ``m``.

    A loss whose model values are not on the scale of the data, but log-odds or
    logarithms, defines `mean` and `from_mean` too. A loss that does not take every number
    defines ``check_data(x)``: it gets observed entries, and raises a ValueError that says
    which value it cannot take and what to do.

    See Also
    --------
    sklearn_mf.MatrixFactorization : Takes a loss by name or as an object.
    """

    # One least-squares solve is exact, and Gram matrices may stand for the entries.
    is_squared = False
    # Of all constants, the one that `from_mean` makes of the mean of the data costs least.
    fits_mean = False
    # Data must not be negative; scikit-learn's tag of that name.
    positive_only = False
    # Model values may be any number; otherwise a solver must keep them positive.
    takes_any_model = True
    # A zero costs its model value, so that zeros need not be looked at one by one.
    loss_at_zero_equals_model = False
    # The loss grows no faster than the error, so that a few entries far off may be most of the
    # objective whatever the model.
    is_robust = False
    # Which of several losses an entry has: there is only one.
    kinds = None
    # Of data and a model c times as large the loss is c to this power times as large, that of
    # `in_unit`; None where data have no other units.
    degree = None
    # The name of the parameter that is in the unit of the data: the size of error at which the
    # loss changes its shape.
    corner = None

    @property
    def parts(self):
        """The losses that this one is made of: itself, unless columns have their own."""
        return [self]

    def in_unit(self, unit):
        """The loss of data and a model in a unit, but for the power `degree` of the unit.

        ``loss.value(unit * x, unit * m)`` is ``unit**degree * loss.in_unit(unit).value(x, m)``.

        Parameters
        ----------
        unit : float
            Positive.

        Returns
        -------
        loss : BaseLoss
            Itself, unless it has parameters in the unit of the data. Of data of any size, its
            corner is not too small for single precision.
        """
        if self.corner is None:
            return self
        size = max(float(getattr(self, self.corner)) / unit, LEAST_CORNER)
        return clone(self).set_params(**{self.corner: size})

    @property
    def for_codes(self):
        """What codes are found under: itself, or the same by other steps than its bound."""
        return self

    def at(self, kinds):
        """The loss of entries of these kinds: the same, unless columns have their own."""
        return self

    def at_columns(self, columns):
        """The loss of entries of these columns: the same, unless columns have their own."""
        return self

    def value(self, x, m):
        """Loss of every entry.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        value : ndarray of the same shape
            The loss, not yet weighted.
        """
        raise NotImplementedError

    def gradient(self, x, m):
        """Derivative of the loss with respect to the model value.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        gradient : ndarray of the same shape
            The derivative, not yet weighted.
        """
        raise NotImplementedError

    def curvature(self, x, m):
        """Second derivative with respect to the model value; by differences, unless overridden.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        curvature : ndarray of the same shape
            The second derivative, not yet weighted.
        """
        step = np.sqrt(np.finfo(m.dtype).eps) * (1 + np.abs(m))
        return (self.gradient(x, m + step) - self.gradient(x, m - step)) / (2 * step)

    def parabola(self, x, m):
        """What stands for the loss near m: its quadratic bound, or else Newton's approximation.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        weight, target : ndarray of the same shape
            Its curvature and its minimum.
        """
        if hasattr(self, "quadratic"):
            return self.quadratic(x, m)
        weight = np.maximum(self.curvature(x, m), LEAST_CURVATURE)
        return weight, m - self.gradient(x, m) / weight

    def mean(self, m):
        """Prediction on the scale of the data: the model value itself, unless overridden.

        Parameters
        ----------
        m : ndarray
            Model values.

        Returns
        -------
        mean : ndarray of the same shape
            What to expect of the data there.
        """
        return m

    def from_mean(self, mean):
        """Model value of a mean, the inverse of `mean`; finite at the edge of the data too.

        Parameters
        ----------
        mean : ndarray or float
            Means of data.

        Returns
        -------
        m : ndarray of the same shape, or float
            Model values.
        """
        return mean
