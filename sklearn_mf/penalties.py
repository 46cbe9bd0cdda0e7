"""What the size of a factor's row costs."""

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_mf.utils._registry import Registry

__all__ = ["BasePenalty", "Ridge"]

PENALTIES = Registry("penalty")


class BasePenalty(BaseEstimator):
    """Base of all penalties: functions of the rows of a tall factor.

    Subclasses define ``name``, `value` and `gradient`, and ``ridge``, the diagonal that
    the penalty adds to the normal equations, if it is quadratic.
    """

    def value(self, V):
        """Penalty of every row.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        value : ndarray of shape (n_rows,)
            One number a row.
        """
        raise NotImplementedError

    def gradient(self, V):
        """Derivative of the penalty.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            Rows of a factor.

        Returns
        -------
        gradient : ndarray of shape (n_rows, k)
            One derivative a coefficient.
        """
        raise NotImplementedError


@PENALTIES.register
class Ridge(BasePenalty):
    """Squared length, ``alpha / 2 * |v|^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.penalties import Ridge
    >>> print(Ridge(alpha=2.0).value(np.array([[3.0, 4.0]])))
    [25.]
    """

    name = "ridge"

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    @property
    def ridge(self):
        """What the penalty adds to the diagonal of the normal equations."""
        return self.alpha

    def value(self, V):
        """Half the squared length times alpha; see `BasePenalty.value`."""
        return 0.5 * self.alpha * np.einsum("ik,ik->i", V, V)

    def gradient(self, V):
        """The row itself times alpha; see `BasePenalty.gradient`."""
        return self.alpha * V
