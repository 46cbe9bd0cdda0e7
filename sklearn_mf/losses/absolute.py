"""Losses that grow linearly with the error, for medians and other quantiles."""

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.utils._validation import Interval, Real

SMOOTHING = [Interval(Real, 0, None, closed="neither")]


@LOSSES.register
class Absolute(BaseLoss):
    """Absolute error with a rounded corner: ``sqrt(r^2 + smoothing^2) - smoothing``.

    Here ``r = x - m``. The best constant is the median, so up to half of the entries may be
    arbitrarily wrong.

    Parameters
    ----------
    smoothing : float, default=1e-3
        Size of the error up to which the corner is rounded, in the unit of the data. It must be
        positive. Much smaller than a typical error, it gives the absolute error; but the smaller it
        is, the more iterations are needed.

    See Also
    --------
    Huber : Squared error up to a threshold, absolute error beyond it.
    Quantile : Different costs for errors above and below.

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
        """Return the smoothed absolute error; see `BaseLoss.value`."""
        return _rounded(x - m, self.smoothing)

    def gradient(self, x, m):
        """Return the smoothed sign of the error; see `BaseLoss.gradient`."""
        return (m - x) / _distance(x - m, self.smoothing)

    def quadratic(self, x, m):
        """Return the bound of iteratively reweighted least squares.

        The weight of an entry is the inverse of its smoothed absolute error.

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
        return 1 / _distance(x - m, self.smoothing), x


@LOSSES.register
class Quantile(BaseLoss):
    """Pinball loss with a rounded corner: the model estimates a quantile of the data.

    With ``r = x - m`` and the quantile q, the loss is ``(q - 1/2) * r + 1/2 * (sqrt(r^2 +
    smoothing^2) - smoothing)``. Without smoothing, this is ``q * r`` for data above the model and
    ``(q - 1) * r`` for data below it, as in :class:`sklearn.linear_model.QuantileRegressor`.

    Parameters
    ----------
    quantile : float, default=0.5
        Fraction of the data that should lie below the model, in (0, 1). With 0.5, the loss is half
        of `Absolute`.
    smoothing : float, default=1e-3
        Size of the error up to which the corner is rounded, in the unit of the data. It must be
        positive.

    See Also
    --------
    Absolute : The loss of the median.

    Notes
    -----
    If q is not 1/2, the minimum of the rounded corner is slightly beside zero and slightly
    negative, by less than ``smoothing / 2``.

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
        """Return the smoothed pinball loss; see `BaseLoss.value`."""
        residual = x - m
        return self._tilt * residual + 0.5 * _rounded(residual, self.smoothing)

    def gradient(self, x, m):
        """Return a value between ``-quantile`` and ``1 - quantile``; see `BaseLoss.gradient`."""
        return 0.5 * (m - x) / _distance(x - m, self.smoothing) - self._tilt

    def quadratic(self, x, m):
        """Return the bound of iteratively reweighted least squares.

        It is that of the absolute error, with its target shifted to the side that costs less.

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
        distance = _distance(x - m, self.smoothing)
        return 0.5 / distance, x + 2 * self._tilt * distance


def _distance(residual, smoothing):
    return np.hypot(residual, _within_range(smoothing, residual))


def _rounded(residual, smoothing):
    # A difference of two numbers of the size of the smoothing would cancel its digits.
    smoothing = _within_range(smoothing, residual)
    return residual * (residual / (np.hypot(residual, smoothing) + smoothing))


def _within_range(smoothing, residual):
    """The smoothing, or the least whose inverse can be squared in the precision of the residual.

    In the unit of large data it may be zero in single precision, and the weight of an exact
    prediction infinite.
    """
    # A float64 scalar of NumPy would convert float32 to float64.
    return max(float(smoothing), float(np.finfo(np.asarray(residual).dtype).tiny) ** 0.25)
