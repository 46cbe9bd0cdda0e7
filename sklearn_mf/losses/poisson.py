"""The loss of Poisson regression."""

import numpy as np

from sklearn_mf.losses._base import EDGE, LEAST_CURVATURE, LOSSES, BaseLoss
from sklearn_mf.utils._warnings import warn

# How far apart, in logarithms, what is expected and what is observed may be for Newton's steps.
FAR = 10.0
# And the largest logarithm that may be expected beside zeros.
ANYWHERE = 50.0


@LOSSES.register
class Poisson(BaseLoss):
    """Half the Poisson deviance with a logarithmic link, for counts and other rates.

    The model is the logarithm of the expected data, so components multiply rates and
    predictions are positive. The value is ``exp(m) - x * m + x * log(x) - x``: zero where
    ``exp(m) = x``. `mean`, and with it what ``inverse_transform`` returns, is ``exp(m)``.

    See Also
    --------
    Logistic : For binary data.

    Notes
    -----
    No parabola bounds an exponential, so there is no ``quadratic``: gradient descent finds
    the components, and codes are solved by Newton's method. Where ``exp(m)`` is too large
    for a float the value is infinite: steps that lead there are shortened, and a start there
    is an error. A prediction of entries that no fit has seen may be infinite; `mean` warns.

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
        """Raise a ValueError, if data are negative.

        Parameters
        ----------
        x : ndarray
            Observed entries.
        """
        if x.size and x.min() < 0:
            raise ValueError(
                f"Negative values in data: loss='poisson' takes counts and other non-negative "
                f"numbers only, but X has {x.min():g}. Use another loss."
            )

    @property
    def for_codes(self):
        """See `BaseLoss.for_codes`: Newton's steps, which are shortened where they are too long."""
        return _StepByStep(self)

    def value(self, x, m):
        """Half the deviance; see `BaseLoss.value`."""
        positive = x > 0
        rate = np.where(positive, x, x.dtype.type(1))
        # From x * log(x) - x * m, both large, few digits would be left where the fit is good.
        excess = m - np.log(rate)
        with np.errstate(over="ignore"):
            return np.where(positive, rate * (np.expm1(excess) - excess), np.exp(m))

    def gradient(self, x, m):
        """Expected minus observed; see `BaseLoss.gradient`."""
        return _rate(m) - x

    def curvature(self, x, m):
        """The expected data, as their variance is; see `BaseLoss.curvature`."""
        return _rate(m)

    def parabola(self, x, m):
        """See `BaseLoss.parabola`: no entry by itself leads farther than to what it observes."""
        return _parabola(x, m, 0.0)

    def mean(self, m):
        """The exponential; see `BaseLoss.mean`. Warns where that is infinite."""
        rate = _rate(m)
        if (n_infinite := np.count_nonzero(np.isposinf(rate))) > 0:
            warn(
                f"{n_infinite} predictions under loss='poisson' are infinite: model values are "
                f"logarithms and reach {m.max():.3g}. Codes without a penalty go so far where "
                "components hardly speak of what a row observes; set alpha_W > 0."
            )
        return rate

    def from_mean(self, mean):
        """The logarithm; see `BaseLoss.from_mean`."""
        return np.log(np.maximum(mean, EDGE))


class _StepByStep(BaseLoss):
    """The Poisson loss for codes: each step is tried, so that it may be Newton's."""

    def __init__(self, loss):
        self.loss = loss

    def value(self, x, m):
        return self.loss.value(x, m)

    def parabola(self, x, m):
        return _parabola(x, m, FAR)


def _parabola(x, m, far):
    """Newton's approximation, or a chord of the slope where that knows nothing of the loss.

    Newton's step of an entry is ``x / exp(m) - 1``. Where far more was observed than expected, it
    ends where rates are beyond all numbers, and from there it is too short. The parabola that has
    the slope of the loss at m, and its minimum where the loss has it, leads back from both.
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
