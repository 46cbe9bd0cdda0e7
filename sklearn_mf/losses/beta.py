"""The beta divergences of non-negative matrix factorization."""

import numpy as np

from sklearn_mf.losses._base import BaseLoss
from sklearn_mf.utils._validation import Interval, Real

# Smallest model value used as a divisor, as in scikit-learn.
FLOOR = float(np.finfo(np.float32).eps)
# Smallest factor of the power of a model value in a parabola, for where the loss is nearly linear.
LEAST_BEND = 1e-3


class BetaDivergence(BaseLoss):
    r"""Beta divergence of non-negative data from a non-negative model.

    For :math:`\beta` other than 0 and 1, it is

    .. math::

        d_\beta(x, m) = \frac{x^\beta + (\beta - 1) m^\beta - \beta x m^{\beta - 1}}
        {\beta (\beta - 1)}

    and the limit of this expression otherwise: at 1 the generalized Kullback-Leibler divergence
    :math:`x \log(x / m) - x + m`, and at 0 the Itakura-Saito divergence :math:`x / m - \log(x / m)
    - 1`. At 2 it is half the squared error. The smaller :math:`\beta` is, the less weight large
    entries have.

    Its derivative is the difference of two non-negative parts; see `split`. Multiplicative updates
    multiply by their ratio. The other solvers do not support this loss, because they need a loss
    that is defined for all model values.

    Parameters
    ----------
    beta : float, default=1.0
        The exponent :math:`\beta`. For 0 and below, the data must be positive.

    See Also
    --------
    Poisson : The Kullback-Leibler divergence with a logarithmic link.
    Squared : The divergence for beta 2, supported by every solver.

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
        """The exponent beta; see `BaseLoss`."""
        return self.beta

    @property
    def loss_at_zero_equals_model(self):
        """Whether the loss of a zero equals its model value."""
        return self.beta == 1

    @property
    def less_model(self):
        """The loss without the model value, if that is summed up separately; for beta 1."""
        return _LessModel(self.beta)

    @property
    def exponent(self):
        """Exponent of the ratio in an update that cannot increase the divergence."""
        if self.beta < 1:
            return 1 / (2 - self.beta)
        return 1.0 if self.beta <= 2 else 1 / (self.beta - 1)

    @property
    def cautious_exponent(self):
        """The same exponent for penalties with an L2 term (Tan & Févotte 2013)."""
        return 1 / (3 - self.beta) if self.beta <= 2 else 1 / (self.beta - 1)

    def check_data(self, x):
        """Raise a ValueError if the data contain zeros and beta does not allow them.

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
        """Return the divergence; see `BaseLoss.value`."""
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
        """Return the second part minus the first; see `BaseLoss.gradient`."""
        attraction, repulsion = self.split(x, m)
        return repulsion - attraction

    def split(self, x, m):
        """Return the two parts of the derivative, ``x * m**(beta - 2)`` and ``m**(beta - 1)``.

        Parameters
        ----------
        x : ndarray
            Data.
        m : ndarray of the same shape
            Model values.

        Returns
        -------
        attraction, repulsion : ndarray of the same shape
            The parts that increase and decrease the model; the derivative is the second minus the
            first.
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
        """Return `value` and `split`, computing shared terms once.

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
        # Where the ratio is zero (x is zero, or by underflow), take the logarithm of 1: faster than
        # a mask.
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
        """Return Newton's approximation of the convex part; see `BaseLoss.parabola`."""
        beta, safe = float(self.beta), np.maximum(m, FLOOR)
        bend = max(beta - 1, 0) + max(2 - beta, 0) * (x / safe)
        weight = safe ** (beta - 2) * np.maximum(bend, LEAST_BEND)
        weight = np.maximum(weight, np.finfo(m.dtype).tiny)  # the power may underflow
        return weight, m - self.gradient(x, m) / weight


class _LessModel(BetaDivergence):
    """The generalized Kullback-Leibler divergence without the model value."""

    loss_at_zero_equals_model = False

    def value(self, x, m):
        return super().value(x, m) - m

    def split(self, x, m):
        attraction, _ = super().split(x, m)
        return attraction, np.zeros_like(attraction)
