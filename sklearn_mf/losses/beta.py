"""The beta divergences of non-negative matrix factorization."""

import numpy as np

from sklearn_mf.losses._base import BaseLoss
from sklearn_mf.utils._validation import Interval, Real

# Model values below this count as this where they would be divided by, as in scikit-learn.
FLOOR = float(np.finfo(np.float32).eps)
# Of a model value's power in a parabola, where the loss is nearly straight.
LEAST_BEND = 1e-3


class BetaDivergence(BaseLoss):
    r"""Beta divergence of non-negative data from a non-negative model.

    For beta other than 0 and 1 the value is

    .. math::

        d_\beta(x, m) = \frac{x^\beta + (\beta - 1) m^\beta - \beta x m^{\beta - 1}}
        {\beta (\beta - 1)}

    and else its limit: at 1 the generalized Kullback-Leibler divergence
    :math:`x \log(x / m) - x + m`, at 0 that of Itakura and Saito,
    :math:`x / m - \log(x / m) - 1`. At 2 it is half the squared error. The lower beta, the less
    large entries count.

    Its derivative is the difference of two parts that are not negative, by whose ratio
    multiplicative updates go; see `split`. No other solver takes it, since they need a loss of
    every number.

    Parameters
    ----------
    beta : float, default=1.0
        Which divergence. At 0 and below, data may not be zero.

    See Also
    --------
    Poisson : The Kullback-Leibler divergence of an exponential model.
    Squared : The divergence at 2, for every solver.

    References
    ----------
    Févotte, C. & Idier, J. (2011). Algorithms for nonnegative matrix factorization with the
    beta-divergence. Neural Computation 23(9). :doi:`10.1162/NECO_a_00168`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import BetaDivergence
    >>> print(BetaDivergence(1).value(np.array([2.0, 0.0]), np.array([2.0, 0.5])))
    [0.  0.5]
    """

    fits_mean = True
    positive_only = True
    takes_any_model = False

    _parameter_constraints: dict = {"beta": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, beta: float = 1.0):
        self.beta = beta

    @property
    def degree(self):
        """Beta itself; see `BaseLoss`."""
        return self.beta

    @property
    def loss_at_zero_equals_model(self):
        """Whether a zero costs its model value, no more and no less."""
        return self.beta == 1

    @property
    def less_model(self):
        """The loss of nonzeros where all model values are summed up elsewhere; for beta 1."""
        return _LessModel(self.beta)

    @property
    def exponent(self):
        """Of the ratio of the parts in an update that cannot raise the divergence."""
        if self.beta < 1:
            return 1 / (2 - self.beta)
        return 1.0 if self.beta <= 2 else 1 / (self.beta - 1)

    @property
    def cautious_exponent(self):
        """The same where a penalty has squares (Tan & Févotte 2013)."""
        return 1 / (3 - self.beta) if self.beta <= 2 else 1 / (self.beta - 1)

    def check_data(self, x):
        """Raise a ValueError, if data are zero where beta does not allow it.

        Parameters
        ----------
        x : ndarray
            Observed entries.
        """
        if self.beta <= 0 and (x == 0).any():
            raise ValueError(
                "When beta_loss <= 0 and X contains zeros, the solver may diverge. Please add "
                "small values to X, or use a positive beta_loss."
            )

    def value(self, x, m):
        """The divergence; see `BaseLoss.value`."""
        beta, safe = float(self.beta), np.maximum(m, FLOOR)
        if beta == 1:
            ratio = x / safe
            return self._kullback_leibler(x, m, ratio)
        if beta == 0:
            ratio = x / safe
            return ratio - np.log(ratio + (ratio <= 0)) - 1
        base = np.maximum(m, 0) if beta > 0 else safe
        value = (beta - 1) * base**beta - beta * x * safe ** (beta - 1)
        value += np.abs(x) ** beta if beta > 0 else np.maximum(x, FLOOR) ** beta
        value /= beta * (beta - 1)
        return value

    def gradient(self, x, m):
        """The second part less the first; see `BaseLoss.gradient`."""
        attraction, repulsion = self.split(x, m)
        return repulsion - attraction

    def split(self, x, m):
        """The derivative in two parts: ``x * m**(beta - 2)`` and ``m**(beta - 1)``.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        attraction, repulsion : ndarray of the same shape
            What draws the model up and down; the derivative is the second less the first.
        """
        beta = float(self.beta)
        safe = np.maximum(m, FLOOR) if beta < 2 else np.maximum(m, 0)
        if beta == 1:
            return x / safe, np.broadcast_to(safe.dtype.type(1), safe.shape)
        if beta == 0:
            repulsion = 1 / safe
            return x * repulsion * repulsion, repulsion
        attraction = safe ** (beta - 2)
        attraction *= x
        return attraction, (safe if beta < 1 else np.maximum(m, 0)) ** (beta - 1)

    def value_and_split(self, x, m):
        """`value` and `split` at once, with what they share found once.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        value, attraction, repulsion : ndarray of the same shape
            The loss, and the parts of its derivative.
        """
        attraction, repulsion = self.split(x, m)
        if self.beta == 1:
            return self._kullback_leibler(x, m, attraction), attraction, repulsion
        return self.value(x, m), attraction, repulsion

    @staticmethod
    def _kullback_leibler(x, m, ratio):
        # The logarithm of one where the ratio is zero, of x or for underflow: faster than a mask.
        value = ratio + (ratio <= 0)
        np.log(value, out=value)
        value *= x
        value -= x
        value += m
        return value

    def curvature(self, x, m):
        """See `BaseLoss.curvature`."""
        beta, safe = float(self.beta), np.maximum(m, FLOOR)
        return safe ** (beta - 3) * ((beta - 1) * safe + (2 - beta) * x)

    def parabola(self, x, m):
        """Newton's approximation of the convex part of the loss; see `BaseLoss.parabola`."""
        beta, safe = float(self.beta), np.maximum(m, FLOOR)
        bend = max(beta - 1, 0) + max(2 - beta, 0) * (x / safe)
        weight = safe ** (beta - 2) * np.maximum(bend, LEAST_BEND)
        weight = np.maximum(weight, np.finfo(m.dtype).tiny)  # the power may underflow
        return weight, m - self.gradient(x, m) / weight


class _LessModel(BetaDivergence):
    """The generalized Kullback-Leibler divergence less the model value."""

    loss_at_zero_equals_model = False

    def value(self, x, m):
        return super().value(x, m) - m

    def split(self, x, m):
        attraction, _ = super().split(x, m)
        return attraction, np.zeros_like(attraction)
