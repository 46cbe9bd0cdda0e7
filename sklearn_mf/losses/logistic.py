"""The logistic loss."""

import numpy as np
from scipy.special import expit, logit

from sklearn_mf.losses._base import EDGE, LEAST_CURVATURE, LOSSES, BaseLoss
from sklearn_mf.utils._validation import Options

CODINGS = {(0, 1), (-1, 1)}
# For smaller model values the weight of the bound is 1/4 to all digits, and its formula tends to
# 0/0.
NEAR_ZERO = 1e-6


@LOSSES.register
class Logistic(BaseLoss):
    """Logistic loss for binary data: the model value is the log-odds of the upper class.

    The loss is the negative log-likelihood ``log(1 + exp(-s * m))``, with ``s = 1`` if x is the
    upper class and ``s = -1`` if it is the lower one. `mean`, and therefore ``inverse_transform``,
    returns ``expit(m)``, the probability of a 1, or ``2 * expit(m) - 1`` for data of -1 and 1.

    Parameters
    ----------
    classes : {(0, 1), (-1, 1)}, default=(0, 1)
        The two values of the data.

    See Also
    --------
    Poisson : For counts.

    Notes
    -----
    If the model separates the two classes of a row or column perfectly, its optimum is infinite. A
    penalty keeps it finite.

    The quadratic bound is that of Jaakkola and Jordan. It is tighter than the bound with constant
    curvature 1/4.

    References
    ----------
    Jaakkola, T. S. & Jordan, M. I. (2000). Bayesian parameter estimation via variational
    methods. Statistics and Computing 10(1). :doi:`10.1023/A:1008932416310`

    Schein, A. I., Saul, L. K. & Ungar, L. H. (2003). A generalized linear model for
    principal component analysis of binary data. AISTATS 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> X = np.array([[1, 1, 0, 0], [1, np.nan, 0, 0], [0, 0, 1, np.nan], [0, 0, 1, 1]])
    >>> model = MatrixFactorization(1, loss="logistic", alpha_W=0.02, random_state=0)
    >>> print(model.inverse_transform(model.fit_transform(X)).round())
    [[1. 1. 0. 0.]
     [1. 1. 0. 0.]
     [0. 0. 1. 1.]
     [0. 0. 1. 1.]]
    """

    name = "logistic"
    fits_mean = True
    _parameter_constraints: dict = {"classes": [Options(tuple, CODINGS)]}

    def __init__(self, classes: tuple[int, int] = (0, 1)):
        self.classes = classes

    def check_data(self, x):
        """Raise a ValueError unless all data are one of the two classes.

        Parameters
        ----------
        x : ndarray
            Observed entries.
        """
        low, high = self._values
        wrong = x[(x != low) & (x != high)]
        if len(wrong) == 0:
            return
        remedy = "Encode X as 0 and 1, with NaN for missing values, or use another loss."
        if wrong[0] == -1:
            remedy = "For data of -1 and 1, use loss=Logistic(classes=(-1, 1))."
        elif wrong[0] == 0:
            remedy = (
                "For data of 0 and 1, use classes=(0, 1). If the zeros are the entries that a "
                "sparse X does not store, use unstored='missing'."
            )
        raise ValueError(
            f"loss='logistic' with classes={self._values} accepts these two values only, but X "
            f"contains {wrong[0]:g}. {remedy}"
        )

    @property
    def for_codes(self):
        """See `BaseLoss.for_codes`: far from zero the bound is loose and its steps are short."""
        return _StepByStep(self)

    @property
    def _values(self):
        # These are Python integers: a NumPy float64 would convert float32 to float64.
        return tuple(int(value) for value in self.classes)

    def _sign(self, x, dtype):
        return np.where(x == self._values[1], dtype.type(1), dtype.type(-1))

    def value(self, x, m):
        """Return the negative log-likelihood; see `BaseLoss.value`."""
        return np.logaddexp(0, -self._sign(x, m.dtype) * m)

    def gradient(self, x, m):
        """Return the signed probability of the other class; see `BaseLoss.gradient`."""
        sign = self._sign(x, m.dtype)
        return -sign * expit(-sign * m)

    def quadratic(self, x, m):
        """Return the bound with curvature ``tanh(m / 2) / (2 * m)``, which touches at -m as well.

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
        near = np.abs(m) < NEAR_ZERO
        nonzero = np.where(near, m.dtype.type(1), m)
        weight = np.where(near, m.dtype.type(0.25), np.tanh(0.5 * nonzero) / (2 * nonzero))
        return weight, 0.5 * self._sign(x, m.dtype) / weight

    def mean(self, m):
        """Return the probability of the upper class, scaled to the data; see `BaseLoss.mean`."""
        low, high = self._values
        return low + (high - low) * expit(m)

    def from_mean(self, mean):
        """Return the log-odds; see `BaseLoss.from_mean`."""
        low, high = self._values
        return logit(np.clip((mean - low) / (high - low), EDGE, 1 - EDGE))


class _StepByStep(BaseLoss):
    """The logistic loss with Newton steps, except where the wrong class is predicted.

    There, a Newton step would lead far beyond zero, where the loss is flat again. The bound does
    not overshoot.
    """

    def __init__(self, loss):
        self.loss = loss

    def value(self, x, m):
        return self.loss.value(x, m)

    def parabola(self, x, m):
        weight, _ = self.loss.quadratic(x, m)
        gradient = self.loss.gradient(x, m)
        weight = np.where(m * gradient < 0, expit(m) * expit(-m), weight)
        weight = np.maximum(weight, LEAST_CURVATURE)
        return weight, m - gradient / weight
