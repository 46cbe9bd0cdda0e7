r"""Where components, biases and the offset stand in the factors of a model.

A model value is

.. math::

    \hat{x}_{ij} = w_i^\top h_j + c_i + b_j + o

with biases c of the rows and b of the columns, as far as there are any, and the offset o. Factors
are tall: a row of the first is ``(w, c)``, one of the second ``(h, b)``. In full, as regressors of
one another, they are ``(w, c, 1)`` and ``(h, 1, b + o)``, whose product is the model.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """The columns of a row factor W and a column factor Ht.

    Attributes
    ----------
    n_components : int
        Columns of both factors that are components; they come first.
    row_bias : bool
        Whether a bias follows them in W.
    column_bias : bool
        Whether a bias follows them in Ht.
    offset : float
        Added to every model value.
    """

    n_components: int
    row_bias: bool = False
    column_bias: bool = False
    offset: float = 0.0

    @property
    def T(self):
        """Of the transposed model."""
        return Layout(self.n_components, self.column_bias, self.row_bias, self.offset)

    @property
    def width(self):
        """Number of columns of W."""
        return self.n_components + self.row_bias

    @property
    def has_bias(self):
        """Whether there is a bias on either side."""
        return self.row_bias or self.column_bias

    @property
    def is_plain(self):
        """Whether components are all there is."""
        return not (self.has_bias or self.offset)

    # Parts of a factor ------------------------------------------------------------------

    def split(self, factor):
        """Views of the components and of the bias, of none or one column."""
        return factor[:, : self.n_components], factor[:, self.n_components :]

    def components(self, factor):
        """A view of the components of a factor."""
        return factor[:, : self.n_components]

    def with_row_bias(self, components, bias):
        """W of its components and its bias, if it has one."""
        return np.column_stack([components, bias]) if self.row_bias else components

    def scaled(self, factor, of_components, of_bias):
        """A copy of a factor, its parts times numbers."""
        components, bias = self.split(factor)
        return np.hstack([components * of_components, bias * of_bias])

    def per_coefficient(self, component, bias, dtype):
        """An array of shape (width,): a number for each component of a row, and its bias."""
        values = np.full(self.width, component, dtype=dtype)
        values[self.n_components :] = bias
        return values

    # Factors that regress one another -----------------------------------------------------

    def design(self, Ht):
        """Regressors of the rows of W, and the part of the model that these cannot change."""
        design, bias = self.split(Ht)
        if self.row_bias:
            design = np.column_stack([design, np.ones_like(Ht, shape=len(Ht))])
        offsets = np.full_like(Ht, self.offset, shape=len(Ht))
        if self.column_bias:
            offsets += bias[:, 0]
        return np.ascontiguousarray(design), offsets

    def factors(self, W, Ht):
        """Two tall arrays whose product is the model, with no column that is not needed."""
        if self.is_plain:
            return W, Ht
        (left, row_bias), (right, _) = self.split(W), self.split(Ht)
        left, right = [left, row_bias], [right, self._ones(Ht, self.row_bias)]
        if self.column_bias or self.offset:
            left.append(self._ones(W, 1))
            right.append(self._column_constants(Ht))
        return np.hstack(left), np.hstack(right)

    def gradients(self, left, right):
        """Derivatives to W and Ht, of those to the two arrays of `factors`."""
        if self.is_plain:
            return left, right
        bias = right[:, right.shape[1] - self.column_bias :]
        return left[:, : self.width], np.hstack([self.components(right), bias])

    @property
    def n_in_full(self):
        """Number of columns of both factors in full."""
        return self.width + self.has_bias

    @property
    def free(self):
        """Columns of Ht in full that are those of Ht: the components and the bias."""
        bias = [self.width] if self.column_bias else []
        return [*range(self.n_components), *bias]

    def left(self, W):
        """Rows ``(w, c, 1)``: the left factor in full."""
        if self.has_bias:
            W = np.column_stack([W, np.ones_like(W, shape=len(W))])
        return np.ascontiguousarray(W)

    def right(self, Ht):
        """Rows ``(h, 1, b + o)``: the right factor in full."""
        parts = [self.components(Ht), self._ones(Ht, self.row_bias)]
        if self.has_bias:
            parts.append(self._column_constants(Ht))
        return np.hstack(parts)

    @staticmethod
    def _ones(factor, n_columns):
        return np.ones_like(factor, shape=(len(factor), int(n_columns)))

    def _column_constants(self, Ht):
        """Biases of the columns with the offset, or the offset alone, as one column."""
        offset = Ht.dtype.type(self.offset)
        if self.column_bias:
            return self.split(Ht)[1] + offset
        return np.full_like(Ht, offset, shape=(len(Ht), 1))
