"""What a prediction costs, entry by entry.

A loss is three vectorised methods. Any solver can use ``value`` and ``gradient``;
``quadratic`` is what alternating least squares needs, and a loss without a global
quadratic bound simply does not have it.
"""

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_mf.utils._registry import Registry
from sklearn_mf.utils._validation import Interval, Real

__all__ = ["BaseLoss", "Huber", "Squared"]

LOSSES = Registry("loss")


class BaseLoss(BaseEstimator):
    """Base of all losses: elementwise functions of data ``x`` and prediction ``m``.

    Subclasses define ``name``, `value` and `gradient`, and ``quadratic(x, m)`` if they
    can: it returns weights w and targets t, so that ``w * (m - t)`` is the gradient and
    ``w/2 * (z - t)**2`` plus a constant lies nowhere below the loss at ``z`` and touches
    it at ``m``.

    See Also
    --------
    sklearn_mf.MatrixFactorization : Takes a loss by name or as an object.
    """

    # One least-squares solve is exact, and Gram matrices may stand for the entries.
    is_squared = False

    def value(self, x, m):
        """Loss of every entry.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Predictions.

        Returns
        -------
        value : ndarray of the same shape
            The loss, not yet weighted.
        """
        raise NotImplementedError

    def gradient(self, x, m):
        """Derivative of the loss with respect to the prediction.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Predictions.

        Returns
        -------
        gradient : ndarray of the same shape
            The derivative, not yet weighted.
        """
        raise NotImplementedError

    def curvature(self, x, m):
        """Second derivative with respect to the prediction; by differences, unless overridden.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Predictions.

        Returns
        -------
        curvature : ndarray of the same shape
            The second derivative, not yet weighted.
        """
        step = np.sqrt(np.finfo(m.dtype).eps) * (1 + np.abs(m))
        return (self.gradient(x, m + step) - self.gradient(x, m - step)) / (2 * step)


@LOSSES.register
class Squared(BaseLoss):
    """Squared error, ``1/2 (x - m)^2``.

    See Also
    --------
    Huber : Squared near zero, absolute far away.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Squared
    >>> print(Squared().value(np.array([1.0, 3.0]), np.array([1.0, 1.0])))
    [0. 2.]
    """

    name = "squared"
    is_squared = True

    def value(self, x, m):
        """Half the squared error; see `BaseLoss.value`."""
        residual = m - x
        residual *= residual
        residual *= 0.5
        return residual

    def gradient(self, x, m):
        """The error; see `BaseLoss.gradient`."""
        return m - x

    def quadratic(self, x, m):
        """Weight one, target x: the loss is its own bound.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Predictions.

        Returns
        -------
        weight, target : ndarray of the same shape
            The bound's curvature and its minimum.
        """
        return np.ones_like(m), x


@LOSSES.register
class Huber(BaseLoss):
    """Huber's loss: squared up to ``delta``, then straight, so that outliers stop pulling.

    With ``r = x - m``: ``r^2 / 2`` where ``|r| <= delta``, else
    ``delta * (|r| - delta / 2)``.

    Parameters
    ----------
    delta : float, default=1.0
        Where the loss turns straight, in the units of the data. Must be positive.

    See Also
    --------
    Squared : The limit of a large ``delta``.

    References
    ----------
    Huber, P. J. (1964). Robust estimation of a location parameter. Annals of
    Mathematical Statistics 35(1). :doi:`10.1214/aoms/1177703732`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Huber
    >>> print(Huber(delta=1.0).value(np.array([0.5, 10.0]), np.zeros(2)))
    [0.125 9.5  ]
    """

    name = "huber"
    _parameter_constraints: dict = {"delta": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, delta=1.0):
        self.delta = delta

    def value(self, x, m):
        """Quadratic, then linear; see `BaseLoss.value`."""
        distance = np.abs(x - m)
        inside = np.minimum(distance, self.delta)
        return inside * (distance - 0.5 * inside)

    def gradient(self, x, m):
        """The error, clipped; see `BaseLoss.gradient`."""
        return np.clip(m - x, -self.delta, self.delta)

    def quadratic(self, x, m):
        """Iterated reweighting: far entries count less.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Predictions.

        Returns
        -------
        weight, target : ndarray of the same shape
            The bound's curvature and its minimum.
        """
        distance = np.abs(x - m)
        return self.delta / np.maximum(distance, self.delta), x
