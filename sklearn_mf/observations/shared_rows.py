"""Rows with the same observed entries, which are solved together."""

from functools import cached_property

import numpy as np

from sklearn_mf.observations._base import ObservedMatrix, multiply
from sklearn_mf.systems import Descent, RowSystems


class SharedRows(ObservedMatrix):
    """Base of views in which rows with the same missing entries share one factorization.

    Subclasses define the groups of such rows in ``_row_groups``, the solution of a group in
    ``_solve_group``, and its normal equations in ``_group_equations``. If ``_has_gram_loss``, the
    loss of the rows in ``_full_rows`` is computed from Gram matrices, ``filled_product`` is the
    product with X with zeros for missing entries, and the rows in ``_holed_blocks`` are processed
    entry by entry.
    """

    def _per_row(self, value):
        return np.broadcast_to(np.asarray(value, dtype=self.dtype), self.shape[:1])

    @cached_property
    def _single_rows(self):
        single = np.ones(self.shape[0], dtype=bool)
        for rows in self._row_groups:
            single[rows] = False
        return np.flatnonzero(single)

    def _solve_groups(self, design, offsets, penalty):
        solution = np.zeros((self.shape[0], design.shape[1]), dtype=self.dtype)
        for rows in self._row_groups:
            # The rows have the same observed entries, so their penalty is the same, too.
            ridge = penalty.scale[rows[0]] * penalty.ridge
            part = self._solve_group(rows, design, offsets, ridge)
            if len(rows) == len(solution):
                return part  # a single part need not be copied
            solution[rows] = part
        return solution

    def refine_rows(self, design, offsets, penalty, start, reduction):
        solution = self._solve_groups(design, offsets, penalty)
        for rows in self.row_chunks(self._single_rows):
            block, part = self.take(rows).stored(), penalty.of_rows(rows)
            solution[rows] = block.refine_rows(design, offsets, part, start[rows], reduction)
        return solution

    def _solve_rows(self, design, offsets, penalty):
        solution = self._solve_groups(design, offsets, penalty)
        status = np.zeros(len(solution), dtype=np.int32)
        if len(self._single_rows) == 0:
            return solution, status
        weighted = design if self.column_weight is None else design * self.column_weight[:, None]
        gram = design.T @ weighted
        for rows in self.row_chunks(self._single_rows):
            solution[rows], status[rows] = self.take(rows).solve_each_row(
                design, offsets, penalty.of_rows(rows), gram
            )
        return solution, status

    def improve_rows(self, design, offsets, penalty, start, improve):
        if self.complete:
            return improve(self.systems(design, offsets, penalty), start)
        descent = Descent.empty(start)
        for rows in self._row_groups:
            gram, moments = self._group_equations(rows, design, offsets)
            systems = RowSystems(gram[None], moments, penalty.of_rows(rows))
            descent.put(rows, improve(systems, start[rows]))
        for rows in self.row_chunks(self._single_rows):
            block, part = self.take(rows).stored(), penalty.of_rows(rows)
            descent.put(rows, block.improve_rows(design, offsets, part, start[rows], improve))
        return descent

    def systems(self, design, offsets, penalty=None):
        n_rows, k = self.shape[0], design.shape[1]
        if self.complete:
            gram, moments = self._group_equations(np.arange(n_rows), design, offsets)
            return RowSystems(gram[None], moments, penalty)
        grams = np.empty((n_rows, k, k), dtype=design.dtype)
        moments = np.empty((n_rows, k), dtype=design.dtype)
        for rows in self._row_groups:
            grams[rows], moments[rows] = self._group_equations(rows, design, offsets)
        for rows in self.row_chunks(self._single_rows):
            part = self.take(rows).stored().systems(design, offsets)
            grams[rows], moments[rows] = part.grams, part.moments
        return RowSystems(grams, moments, penalty)

    # The squared loss from Gram matrices, without forming residuals ------------------------

    def total_loss(self, W, Ht, loss):
        if not (loss.is_squared and self._has_gram_loss):
            return super().total_loss(W, Ht, loss)
        if self.complete and not W.any():
            return 0.5 * self._squares
        return self._gram_loss(W, Ht, loss)[0]

    def loss_and_gradient(self, W, Ht, loss):
        if not (loss.is_squared and self._has_gram_loss):
            return super().loss_and_gradient(W, Ht, loss)
        total, products, W_gram, Ht_gram, weighted_W = self._gram_loss(W, Ht, loss)
        W_gradient = W @ Ht_gram
        W_gradient -= products
        Ht_gradient = Ht @ W_gram
        Ht_gradient -= self.T.filled_product(weighted_W)
        if self.column_weight is not None:
            Ht_gradient *= self.column_weight[:, None]
        for rows, block in self._holed_blocks():
            _, W_gradient[rows], by_column = block.loss_and_gradient(W[rows], Ht, loss)
            Ht_gradient += by_column
        return total, W_gradient, Ht_gradient

    def split_gradient(self, W, Ht, loss, *, with_loss=False):
        if not (loss.is_squared and self._has_gram_loss):
            return super().split_gradient(W, Ht, loss, with_loss=with_loss)
        total, up, _, Ht_gram, _ = self._gram_loss(W, Ht, loss)
        down = W @ Ht_gram
        for rows, block in self._holed_blocks():
            _, up[rows], down[rows] = block.split_gradient(W[rows], Ht, loss)
        return total, up, down

    def _gram_loss(self, W, Ht, loss):
        """Compute 1/2 |X - W Ht'|^2 from |X|^2, one product with X and Gram matrices."""
        weighted_W, weighted_Ht = W, Ht
        row_weight = self.row_weight
        if not self.complete:
            row_weight = multiply(self._full_rows.astype(self.dtype), row_weight)
        if row_weight is not None:
            weighted_W = W * row_weight[:, None]
        if self.column_weight is not None:
            weighted_Ht = Ht * self.column_weight[:, None]
        products = self.filled_product(weighted_Ht)
        W_gram, Ht_gram = weighted_W.T @ W, weighted_Ht.T @ Ht
        cross = np.vdot(weighted_W, products)
        total = 0.5 * float(self._squares - 2 * cross + np.vdot(W_gram, Ht_gram))
        if total > self._least_digits * self._squares:
            for rows, block in self._holed_blocks():
                total += block.total_loss(W[rows], Ht, loss)
        else:  # the difference of such large numbers would have no accurate digits
            total = self._residual_loss(W, Ht, loss)
        return total, products, W_gram, Ht_gram, weighted_W

    def _residual_loss(self, W, Ht, loss):
        return super().total_loss(W, Ht, loss)

    @cached_property
    def _least_digits(self):
        return float(np.sqrt(np.finfo(self.dtype).eps))
