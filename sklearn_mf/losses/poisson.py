"""The Poisson loss."""

import numpy as np

from sklearn_mf.losses._base import EDGE, LEAST_CURVATURE, LOSSES, BaseLoss
from sklearn_mf.utils._warnings import warn

# Largest distance, in logarithms, of expected and observed values for which Newton steps are used.
FAR = 10.0
# Largest logarithm of an expected value next to observed zeros.
ANYWHERE = 50.0


@LOSSES.register
class Poisson(BaseLoss):
    """Half the Poisson deviance with a logarithmic link, for counts and rates.

    The model value is the logarithm of the expected data, so components multiply rates and
    predictions are positive. The loss is ``exp(m) - x * m + x * log(x) - x``, which is zero if
    ``exp(m) = x``. `mean`, and therefore ``inverse_transform``, returns ``exp(m)``.

    See Also
    --------
    Logistic : For binary data.

    Notes
    -----
    An exponential has no quadratic upper bound, so the loss does not define ``quadratic``: the
    components are computed by gradient methods, and codes by Newton's method. If ``exp(m)``
    overflows, the loss is infinite: steps that lead there are shortened, and an initialization
    there raises an error. The prediction of entries that were not in the training data may be
    infinite; then `mean` warns.

    References
    ----------
    Collins, M., Dasgupta, S. & Schapire, R. E. (2001). A generalization of principal
    component analysis to the exponential family. Advances in Neural Information
    Processing Systems 14.

    Udell, M., Horn, C., Zadeh, R. & Boyd, S. (2016). Generalized low rank models.
    Foundations and Trends in Machine Learning 9(1). :doi:`10.1561/2200000055`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Poisson
    >>> print(Poisson().value(np.array([2.0, 0.0]), np.log([2.0, 0.5])))
    [0.  0.5]
    """

    name = "poisson"
    fits_mean = True
    positive_only = True

    def check_data(self, x):
        """Raise a ValueError if the data contain negative values.

        Parameters
        ----------
        x : ndarray
            Observed entries.
        """
        if x.size and x.min() < 0:
            raise ValueError(
                f"Negative values in data: loss='poisson' accepts counts and other non-negative "
                f"numbers only, but X contains {x.min():g}. Use another loss."
            )

    @property
    def for_codes(self):
        """See `BaseLoss.for_codes`: Newton steps, shortened where they are too long."""
        return _StepByStep(self)

    def value(self, x, m):
        """Return half the deviance; see `BaseLoss.value`."""
        positive = x > 0
        rate = np.where(positive, x, x.dtype.type(1))
        # If the fit is good, x * log(x) - x * m is a difference of large numbers that cancels the
        # digits.
        excess = m - np.log(rate)
        with np.errstate(over="ignore"):
            return np.where(positive, rate * (np.expm1(excess) - excess), np.exp(m))

    def gradient(self, x, m):
        """Return the expected minus the observed data; see `BaseLoss.gradient`."""
        return _rate(m) - x

    def curvature(self, x, m):
        """Return the expected data, which equal their variance; see `BaseLoss.curvature`."""
        return _rate(m)

    def parabola(self, x, m):
        """See `BaseLoss.parabola`: no entry on its own leads beyond its observed value."""
        return _parabola(x, m, 0.0)

    def mean(self, m):
        """Return the exponential; see `BaseLoss.mean`. It warns of infinite predictions."""
        rate = _rate(m)
        if (n_infinite := np.count_nonzero(np.isposinf(rate))) > 0:
            warn(
                f"{n_infinite} predictions under loss='poisson' are infinite: model values are "
                f"logarithms, and the largest is {m.max():.3g}. Without a penalty, codes "
                "become this large if the observed entries of a row hardly determine them: set "
                "alpha_W > 0."
            )
        return rate

    def from_mean(self, mean):
        """Return the logarithm; see `BaseLoss.from_mean`."""
        return np.log(np.maximum(mean, EDGE))


class _StepByStep(BaseLoss):
    """The Poisson loss for codes: a line search checks each step, so it may be a Newton step."""

    def __init__(self, loss):
        self.loss = loss

    def value(self, x, m):
        return self.loss.value(x, m)

    def parabola(self, x, m):
        return _parabola(x, m, FAR)


def _parabola(x, m, far):
    """Return Newton's approximation, or a secant where the loss is far from quadratic.

    The Newton step of an entry is ``x / exp(m) - 1``. If the observed value is much larger than the
    expected one, the step overflows; beyond the minimum, the steps back are too short. A parabola
    with the slope of the loss at m and the same minimizer as the loss avoids both.
    """
    positive = x > 0
    least = np.log(np.where(positive, x, EDGE))
    excess, rate = m - least, _rate(m)
    is_chord = (positive & ((excess < -far) | (excess > FAR))) | (m > ANYWHERE)
    is_chord &= excess != 0
    run = np.where(is_chord, excess, 1)
    with np.errstate(over="ignore"):
        weight = np.where(is_chord, np.exp(least) * (np.expm1(run) / run), rate)
    most = m.dtype.type(np.sqrt(np.finfo(m.dtype).max))
    weight, is_finite = np.clip(weight, LEAST_CURVATURE, most), rate <= most
    slope = np.where(is_finite, rate, 0) - x
    return weight, np.where(is_finite, m - slope / weight, least)


def _rate(m):
    with np.errstate(over="ignore"):
        return np.exp(m)
