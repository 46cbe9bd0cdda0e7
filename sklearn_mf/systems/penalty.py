"""The elastic net penalty on the rows of a factor, as arrays for least squares."""

from typing import NamedTuple

import numpy as np


class RowPenalty(NamedTuple):
    r"""The penalty on the coefficients of rows, and their lower bounds.

    The penalty on a row v, the i-th of its factor, is

    .. math::

        s_i \sum_c \left(\tfrac12 \lambda_{2c} v_c^2 + \lambda_{1c} |v_c|\right),
        \qquad v_c \ge l_c.

    Attributes
    ----------
    scale : ndarray of shape (n_rows,)
        Number :math:`s_i` that multiplies the penalty of each row.
    ridge : ndarray of shape (k,)
        Strength :math:`\lambda_2` of the L2 penalty.
    l1 : ndarray of shape (k,)
        Strength :math:`\lambda_1` of the L1 penalty.
    lower : ndarray of shape (k,)
        Lower bounds, zero or minus infinity.
    """

    scale: np.ndarray
    ridge: np.ndarray
    l1: np.ndarray
    lower: np.ndarray

    @property
    def is_elastic(self):
        """Whether these arrays describe the penalty completely."""
        return True

    @property
    def is_rowwise(self):
        """Whether each row has its own penalty."""
        return True

    @classmethod
    def of_ridge(cls, scale, ridge):
        """Return an L2 penalty."""
        return cls(scale, ridge, np.zeros_like(ridge), np.full_like(ridge, -np.inf))

    def of_rows(self, rows):
        """Return the penalty on some rows."""
        return self._replace(scale=self.scale[rows])

    def of_coefficients(self, order):
        """Return the penalty on some coefficients of each row, or on all in another order."""
        return RowPenalty(self.scale, self.ridge[order], self.l1[order], self.lower[order])

    def of_type(self, dtype):
        """Return the same penalty in another precision."""
        return RowPenalty(*(part.astype(dtype) for part in self))

    @property
    def is_quadratic(self):
        """Whether the penalty is an L2 penalty without bounds."""
        return not (self.l1.any() or np.isfinite(self.lower).any())

    @property
    def holds(self):
        """Whether every coefficient is penalized and stays finite; lower bounds do not count."""
        return bool(((self.ridge > 0) | (self.l1 > 0)).all())

    def cost(self, rows):
        """Return the penalty of each row."""
        return self.scale * (0.5 * np.square(rows) @ self.ridge + np.abs(rows) @ self.l1)

    def slope(self, rows):
        """Return the derivative of the penalty at non-negative rows."""
        return self.scale[:, None] * (self.ridge * rows + self.l1)

    def matrices(self, n):
        """Return the L2 terms of the matrices of the first n systems, of shape (n, k, k)."""
        return self.scale[:n, None, None] * np.diag(self.ridge)
