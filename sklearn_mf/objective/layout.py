r"""The positions of components, biases and the offset in the factors of a model.

A model value is

.. math::

    \hat{x}_{ij} = w_i^\top h_j + c_i + b_j + o

with optional biases c of the rows and b of the columns, and the offset o. The factors are tall: the
rows of the first are ``(w, c)``, those of the second ``(h, b)``. The full factors, used as
regressors of one another, have rows ``(w, c, 1)`` and ``(h, 1, b + o)``; their product is the
model.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """The columns of the row factor W and the column factor Ht.

    Attributes
    ----------
    n_components : int
        Number of components, which are the first columns of both factors.
    row_bias : bool
        Whether they are followed by a bias in W.
    column_bias : bool
        Whether they are followed by a bias in Ht.
    offset : float
        The offset that is added to every model value.
    """

    n_components: int
    row_bias: bool = False
    column_bias: bool = False
    offset: float = 0.0

    @property
    def T(self):
        """The layout of the transposed model."""
        return Layout(self.n_components, self.column_bias, self.row_bias, self.offset)

    @property
    def width(self):
        """Number of columns of W."""
        return self.n_components + self.row_bias

    @property
    def has_bias(self):
        """Whether there is a bias in either factor."""
        return self.row_bias or self.column_bias

    @property
    def is_plain(self):
        """Whether there are only components."""
        return not (self.has_bias or self.offset)

    # Parts of a factor ------------------------------------------------------------------

    def split(self, factor):
        """Return views of the components and of the bias, which has one column or none."""
        return factor[:, : self.n_components], factor[:, self.n_components :]

    def components(self, factor):
        """Return a view of the components of a factor."""
        return factor[:, : self.n_components]

    def with_row_bias(self, components, bias):
        """Return W with these components and this bias, if it has one."""
        return np.column_stack([components, bias]) if self.row_bias else components

    def scaled(self, factor, of_components, of_bias):
        """Return a copy of a factor with its components and its bias multiplied by numbers."""
        components, bias = self.split(factor)
        return np.hstack([components * of_components, bias * of_bias])

    def per_coefficient(self, component, bias, dtype):
        """Return an array of shape (width,) with one number for components and one for the bias."""
        values = np.full(self.width, component, dtype=dtype)
        # In the unit of huge data the penalty of a bias may be too large for single precision.
        values[self.n_components :] = min(bias, float(np.finfo(dtype).max) ** 0.5)
        return values

    # Factors as regressors of one another -------------------------------------------------

    def design(self, Ht):
        """Return the regressors of the rows of W, and the part of the model independent of W."""
        design, bias = self.split(Ht)
        if self.row_bias:
            design = np.column_stack([design, np.ones_like(Ht, shape=len(Ht))])
        offsets = np.full_like(Ht, self.offset, shape=len(Ht))
        if self.column_bias:
            offsets += bias[:, 0]
        return np.ascontiguousarray(design), offsets

    def factors(self, W, Ht):
        """Return two tall arrays with as few columns as possible whose product is the model."""
        if self.is_plain:
            return W, Ht
        (left, row_bias), (right, _) = self.split(W), self.split(Ht)
        left, right = [left, row_bias], [right, self._ones(Ht, self.row_bias)]
        if self.column_bias or self.offset:
            left.append(self._ones(W, 1))
            right.append(self._column_constants(Ht))
        return np.hstack(left), np.hstack(right)

    def gradients(self, left, right):
        """Convert derivatives with respect to the arrays of `factors` to those of W and Ht."""
        if self.is_plain:
            return left, right
        bias = right[:, right.shape[1] - self.column_bias :]
        return left[:, : self.width], np.hstack([self.components(right), bias])

    @property
    def n_in_full(self):
        """Number of columns of the full factors."""
        return self.width + self.has_bias

    @property
    def free(self):
        """Columns of the full right factor that belong to Ht: the components and the bias."""
        bias = [self.width] if self.column_bias else []
        return [*range(self.n_components), *bias]

    def left(self, W):
        """Return the full left factor with rows ``(w, c, 1)``."""
        if self.has_bias:
            W = np.column_stack([W, np.ones_like(W, shape=len(W))])
        return np.ascontiguousarray(W)

    def right(self, Ht):
        """Return the full right factor with rows ``(h, 1, b + o)``."""
        parts = [self.components(Ht), self._ones(Ht, self.row_bias)]
        if self.has_bias:
            parts.append(self._column_constants(Ht))
        return np.hstack(parts)

    @staticmethod
    def _ones(factor, n_columns):
        return np.ones_like(factor, shape=(len(factor), int(n_columns)))

    def _column_constants(self, Ht):
        """Return the biases of the columns plus the offset, or the offset, as one column."""
        offset = Ht.dtype.type(self.offset)
        if self.column_bias:
            return self.split(Ht)[1] + offset
        return np.full_like(Ht, offset, shape=(len(Ht), 1))
