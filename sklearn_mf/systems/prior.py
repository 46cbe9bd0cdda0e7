"""A Gram matrix shared by all rows, in a basis in which it is diagonal."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import product

# Eigenvalues of a scaled matrix below this fraction of the largest one are rounding errors.
NOISE = 1e-13


class RowPrior(NamedTuple):
    r"""A quadratic form for each row v, :math:`\tfrac12 \sum_c (g_c + s_i r_c) v_c^2 - m^\top v`.

    Attributes
    ----------
    moments : ndarray of shape (k,)
        The vector m.
    gram : ndarray of shape (k,)
        The diagonal g.
    scale : ndarray of shape (n_rows,)
        The scales s.
    ridge : ndarray of shape (k,)
        The diagonal r.
    """

    moments: np.ndarray
    gram: np.ndarray
    scale: np.ndarray
    ridge: np.ndarray


@dataclass(frozen=True)
class SharedBasis:
    """Coefficients in which a shared Gram matrix and a ridge are both diagonal.

    The ridges of the rows are multiples of one diagonal matrix, so one generalized eigenvalue
    problem is enough for all rows. Directions with neither data nor a penalty are left out: the
    minimum-norm solutions are zero along them.

    Attributes
    ----------
    vectors : ndarray of shape (k, r)
        Matrix that converts new coefficients to old ones.
    inverse : ndarray of shape (k, r)
        Matrix that converts old coefficients to new ones.
    prior : RowPrior
        The quadratic form of the new coefficients.
    """

    vectors: np.ndarray
    inverse: np.ndarray
    prior: RowPrior

    @classmethod
    def of(cls, gram, moments, penalty: RowPenalty):
        """Return the basis for rows with these penalties.

        Parameters
        ----------
        gram : ndarray of shape (k, k)
            The shared Gram matrix, in double precision.
        moments : ndarray of shape (k,)
            The shared moments, in double precision.
        penalty : RowPenalty
            Penalty on the rows; only its L2 part is used.

        Returns
        -------
        basis : SharedBasis
            The basis, in the precision of the penalty.
        """
        dtype, ridge = penalty.scale.dtype, penalty.ridge.astype(np.float64)
        typical = float(penalty.scale.mean(dtype=np.float64)) if len(penalty.scale) else 0.0
        total = gram + typical * np.diag(ridge)
        size = np.sqrt(np.diagonal(total))
        size[size == 0] = 1
        values, vectors = np.linalg.eigh(total / size[:, None] / size)
        known = values > NOISE * len(values) * values.max(initial=0)
        root = np.sqrt(values[known])
        whitening = vectors[:, known] / root / size[:, None]
        shares, turn = np.linalg.eigh(whitening.T @ gram @ whitening)
        shares = np.clip(shares, 0, 1)
        vectors = whitening @ turn
        new = moments @ vectors, shares, (1 - shares) / (typical or 1.0)
        moments, shares, ridge = (part.astype(dtype) for part in new)
        return cls(
            np.ascontiguousarray(vectors, dtype=dtype),
            np.ascontiguousarray(total @ vectors, dtype=dtype),
            RowPrior(moments, shares, penalty.scale, ridge),
        )

    def design(self, design):
        """Return the regressors of the new coefficients."""
        return np.ascontiguousarray(product(design, self.vectors))

    def inside(self, rows):
        """Convert rows to the new coefficients."""
        return np.ascontiguousarray(product(rows, self.inverse))

    def outside(self, rows):
        """Convert rows back to the old coefficients."""
        return product(rows, np.ascontiguousarray(self.vectors.T))
