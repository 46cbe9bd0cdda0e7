"""The squared error."""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.losses._base import LOSSES, BaseLoss


@LOSSES.register
class Squared(BaseLoss):
    """Squared error, ``1/2 (x - m)^2``.

    See Also
    --------
    Huber : Squared near zero, absolute far away.

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
    # Its place among the beta divergences, and the power of the ratio in their updates.
    beta = 2
    exponent = 1.0

    def value(self, x, m):
        """Half the squared error; see `BaseLoss.value`."""
        residual = m - x
        residual *= residual
        residual *= 0.5
        return residual

    def gradient(self, x, m):
        """The error; see `BaseLoss.gradient`."""
        return m - x

    def split(self, x, m):
        """The derivative in two parts, of data and models that are not negative.

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
        return x, m

    def value_and_split(self, x, m):
        """`value` and `split` at once.

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
        """Weight one, target x: the loss is its own bound.

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
        return np.ones_like(m), x


@dataclass(frozen=True)
class SquaredErrorOfMean:
    """Half the squared error on the scale of the data, whatever the link of the loss.

    Attributes
    ----------
    loss : BaseLoss
        Says what to expect of the data at a model value.
    """

    loss: BaseLoss
    is_squared = False
    loss_at_zero_equals_model = False

    def at(self, kinds):
        """The same for entries whose losses are of these kinds."""
        return replace(self, loss=self.loss.at(kinds))

    def value(self, x, m):
        """Half the squared distance of the data to their mean."""
        # In double precision: without a penalty what is hidden may be beyond single's squares.
        return Squared().value(x, self.loss.mean(m).astype(np.float64))
