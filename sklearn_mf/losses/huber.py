"""Huber's loss."""

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.utils._validation import Interval, Real


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
    Absolute : Straight almost everywhere.

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
        """Quadratic, then linear; see `BaseLoss.value`."""
        distance = np.abs(x - m)
        inside = np.minimum(distance, float(self.delta))
        return inside * (distance - 0.5 * inside)

    def gradient(self, x, m):
        """The error, clipped; see `BaseLoss.gradient`."""
        delta = float(self.delta)  # a NumPy float64 would turn float32 into float64
        return np.clip(m - x, -delta, delta)

    def quadratic(self, x, m):
        """Iterated reweighting: far entries count less.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        weight, target : ndarray of the same shape
            The bound's curvature and its minimum.
        """
        delta = float(self.delta)
        return delta / np.maximum(np.abs(x - m), delta), x
