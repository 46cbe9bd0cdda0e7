"""The squared error."""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss


@LOSSES.register
class Squared(BaseLoss):
    """Squared error, ``1/2 (x - m)^2``.

    See Also
    --------
    Huber : Squared for small errors, linear for large ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Squared
    >>> print(Squared().value(np.array([1.0, 3.0]), np.array([1.0, 1.0])))
    [0. 2.]
    """

    name = "squared"
    is_squared = True
    fits_mean = True
    degree = 2
    # The squared error as a beta divergence, and the exponent of the ratio in multiplicative
    # updates.
    beta = 2
    exponent = 1.0

    def value(self, x, m):
        """Return half the squared error; see `BaseLoss.value`."""
        residual = m - x
        residual *= residual
        residual *= 0.5
        return residual

    def gradient(self, x, m):
        """Return the error; see `BaseLoss.gradient`."""
        return m - x

    def split(self, x, m):
        """Return the two parts of the derivative, for non-negative data and models.

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
        return x, m

    def value_and_split(self, x, m):
        """Return `value` and `split`.

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
        return self.value(x, m), x, m

    def quadratic(self, x, m):
        """Return weight one and target x: the loss is its own quadratic bound.

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
        return np.ones_like(m), x


@dataclass(frozen=True)
class SquaredErrorOfMean:
    """Half the squared error on the scale of the data, whatever the link of the loss.

    Attributes
    ----------
    loss : BaseLoss
        The loss whose `mean` gives the prediction.
    """

    loss: BaseLoss
    is_squared = False
    loss_at_zero_equals_model = False

    def at(self, kinds):
        """Return the same for entries with these loss indices."""
        return replace(self, loss=self.loss.at(kinds))

    def value(self, x, m):
        """Return half the squared difference between the data and their mean."""
        # Double precision is needed: without a penalty, predictions of hidden entries may be so
        # large that their squares overflow single precision.
        return Squared().value(x, self.loss.mean(m).astype(np.float64))
