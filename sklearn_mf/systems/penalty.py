"""The penalty of the rows of a factor, in numbers that least squares can take into account."""

from typing import NamedTuple

import numpy as np


class RowPenalty(NamedTuple):
    r"""What the coefficients of the rows of a factor cost, and how small they may be.

    A row v, the i-th of its factor, costs

    .. math::

        s_i \sum_c \left(\tfrac12 \lambda_{2c} v_c^2 + \lambda_{1c} |v_c|\right),
        \qquad v_c \ge l_c.

    Attributes
    ----------
    scale : ndarray of shape (n_rows,)
        What the penalty of each row is multiplied with, :math:`s_i`.
    ridge : ndarray of shape (k,)
        Strength of the squares, :math:`\lambda_2`.
    l1 : ndarray of shape (k,)
        Strength of the absolute values, :math:`\lambda_1`.
    lower : ndarray of shape (k,)
        Bounds, zero or minus infinity.
    """

    scale: np.ndarray
    ridge: np.ndarray
    l1: np.ndarray
    lower: np.ndarray

    @property
    def is_elastic(self):
        """Whether these numbers are all there is to it."""
        return True

    @property
    def is_rowwise(self):
        """Whether rows cost by themselves."""
        return True

    @classmethod
    def of_ridge(cls, scale, ridge):
        """Squares alone."""
        return cls(scale, ridge, np.zeros_like(ridge), np.full_like(ridge, -np.inf))

    def of_rows(self, rows):
        """The penalty of some rows."""
        return self._replace(scale=self.scale[rows])

    def of_coefficients(self, order):
        """The penalty of some coefficients of each row, or of all in another order."""
        return RowPenalty(self.scale, self.ridge[order], self.l1[order], self.lower[order])

    def of_type(self, dtype):
        """The same numbers in another precision."""
        return RowPenalty(*(part.astype(dtype) for part in self))

    @property
    def is_quadratic(self):
        """Whether squares are all there is, and no bound."""
        return not (self.l1.any() or np.isfinite(self.lower).any())

    @property
    def holds(self):
        """Whether it keeps every coefficient from growing for ever; bounds from below do not."""
        return bool(((self.ridge > 0) | (self.l1 > 0)).all())

    def cost(self, rows):
        """What each row costs."""
        return self.scale * (0.5 * np.square(rows) @ self.ridge + np.abs(rows) @ self.l1)

    def slope(self, rows):
        """The derivative of the cost of rows that are not negative."""
        return self.scale[:, None] * (self.ridge * rows + self.l1)

    def matrices(self, n):
        """What the squares add to the matrices of the first n systems, of shape (n, k, k)."""
        return self.scale[:n, None, None] * np.diag(self.ridge)
