"""Errors that cost what they measure, and no more: medians and other quantiles."""

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.utils._validation import Interval, Real

SMOOTHING = [Interval(Real, 0, None, closed="neither")]


@LOSSES.register
class Absolute(BaseLoss):
    """Absolute error, its corner rounded: ``sqrt(r^2 + smoothing^2) - smoothing``.

    With ``r = x - m``. The best constant is the median: up to half of the entries may be
    anything.

    Parameters
    ----------
    smoothing : float, default=1e-3
        How far from zero the corner is rounded, in the units of the data. Must be
        positive; much smaller than an ordinary error for the absolute error, but the
        smaller, the more iterations.

    See Also
    --------
    Huber : Squared up to the size of an ordinary error.
    Quantile : Errors above and below cost differently.

    References
    ----------
    Hunter, D. R. & Lange, K. (2000). Quantile regression via an MM algorithm. Journal of
    Computational and Graphical Statistics 9(1).
    :doi:`10.1080/10618600.2000.10474866`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Absolute
    >>> print(Absolute(smoothing=3.0).value(np.array([0.0, 4.0]), np.zeros(2)))
    [0. 2.]
    """

    name = "absolute"
    is_robust = True
    degree = 1
    corner = "smoothing"
    _parameter_constraints: dict = {"smoothing": SMOOTHING}

    def __init__(self, smoothing: float = 1e-3):
        self.smoothing = smoothing

    def value(self, x, m):
        """The distance, less near zero; see `BaseLoss.value`."""
        return _rounded(x - m, self.smoothing)

    def gradient(self, x, m):
        """The sign of the error, rounded; see `BaseLoss.gradient`."""
        return (m - x) / _distance(x - m, self.smoothing)

    def quadratic(self, x, m):
        """Iterated reweighting: an entry counts by the inverse of its error.

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
        return 1 / _distance(x - m, self.smoothing), x


@LOSSES.register
class Quantile(BaseLoss):
    """Pinball loss, its corner rounded: the model follows a quantile of the data.

    With ``r = x - m`` and q the quantile,
    ``(q - 1/2) * r + 1/2 * (sqrt(r^2 + smoothing^2) - smoothing)``. Without smoothing this
    is ``q * r`` where the data are above the model and ``(q - 1) * r`` where they are below,
    as in :class:`sklearn.linear_model.QuantileRegressor`.

    Parameters
    ----------
    quantile : float, default=0.5
        Share of the data that shall lie below the model, in (0, 1). 0.5 is half of
        `Absolute`.
    smoothing : float, default=1e-3
        How far from zero the corner is rounded, in the units of the data. Must be
        positive.

    See Also
    --------
    Absolute : The median.

    Notes
    -----
    Where q is not 1/2, the rounded corner lies a little beside zero, and the loss there a
    little below it: by less than ``smoothing / 2``.

    References
    ----------
    Hunter, D. R. & Lange, K. (2000). Quantile regression via an MM algorithm. Journal of
    Computational and Graphical Statistics 9(1).
    :doi:`10.1080/10618600.2000.10474866`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Quantile
    >>> print(Quantile(0.9).value(np.array([10.0, -10.0]), np.zeros(2)).round(2))
    [9. 1.]
    """

    name = "quantile"
    is_robust = True
    degree = 1
    corner = "smoothing"
    _parameter_constraints: dict = {
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "smoothing": SMOOTHING,
    }

    def __init__(self, quantile: float = 0.5, smoothing: float = 1e-3):
        self.quantile = quantile
        self.smoothing = smoothing

    @property
    def _tilt(self):
        return float(self.quantile) - 0.5

    def value(self, x, m):
        """Steep on one side, flat on the other; see `BaseLoss.value`."""
        residual = x - m
        return self._tilt * residual + 0.5 * _rounded(residual, self.smoothing)

    def gradient(self, x, m):
        """Between ``-quantile`` and ``1 - quantile``; see `BaseLoss.gradient`."""
        return 0.5 * (m - x) / _distance(x - m, self.smoothing) - self._tilt

    def quadratic(self, x, m):
        """Iterated reweighting, the target moved to the side that costs less.

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
        distance = _distance(x - m, self.smoothing)
        return 0.5 / distance, x + 2 * self._tilt * distance


def _distance(residual, smoothing):
    # A NumPy float64 would turn float32 into float64.
    return np.hypot(residual, float(smoothing))


def _rounded(residual, smoothing):
    # As a difference of two numbers of the size of the smoothing it would lose its digits.
    smoothing = float(smoothing)
    return residual * (residual / (np.hypot(residual, smoothing) + smoothing))
