"""Huber's loss."""

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.utils._validation import Interval, Real


@LOSSES.register
class Huber(BaseLoss):
    """Huber's loss: squared for errors up to ``delta``, linear beyond it, to resist outliers.

    With ``r = x - m``, the loss is ``r^2 / 2`` if ``|r| <= delta``, and ``delta * (|r| - delta /
    2)`` otherwise.

    Parameters
    ----------
    delta : float, default=1.0
        Absolute error at which the loss becomes linear, in the unit of the data. It must be
        positive.

    See Also
    --------
    Squared : The limit of a large ``delta``.
    Absolute : Linear for almost all errors.

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
    is_robust = True
    degree = 2
    corner = "delta"
    _parameter_constraints: dict = {"delta": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, delta: float = 1.0):
        self.delta = delta

    def value(self, x, m):
        """Return the loss, quadratic near zero and linear beyond; see `BaseLoss.value`."""
        distance = np.abs(x - m)
        inside = np.minimum(distance, float(self.delta))
        return inside * (distance - 0.5 * inside)

    def gradient(self, x, m):
        """Return the clipped error; see `BaseLoss.gradient`."""
        delta = float(self.delta)  # a NumPy float64 would convert float32 to float64
        return np.clip(m - x, -delta, delta)

    def quadratic(self, x, m):
        """Return the bound of iteratively reweighted least squares: outliers get less weight.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        weight, target : ndarray of the same shape
            Curvature and minimizer of the bound.
        """
        delta = float(self.delta)
        return delta / np.maximum(np.abs(x - m), delta), x
