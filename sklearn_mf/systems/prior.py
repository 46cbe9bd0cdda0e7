"""What all rows know before they look at their own entries: one Gram matrix, made diagonal."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import product

# Share of the largest eigenvalue of a scaled matrix below which a direction is rounding error.
NOISE = 1e-13


class RowPrior(NamedTuple):
    r"""A quadratic form for each row v, :math:`\tfrac12 \sum_c (g_c + s_i r_c) v_c^2 - m^\top v`.

    Attributes
    ----------
    moments : ndarray of shape (k,)
        m.
    gram : ndarray of shape (k,)
        g.
    scale : ndarray of shape (n_rows,)
        s.
    ridge : ndarray of shape (k,)
        r.
    """

    moments: np.ndarray
    gram: np.ndarray
    scale: np.ndarray
    ridge: np.ndarray


@dataclass(frozen=True)
class SharedBasis:
    """Coefficients in which a shared Gram matrix and a ridge are both diagonal.

    The ridge of every row is a number times one diagonal matrix, so that one generalized
    eigenvalue problem serves all rows. Directions of which neither the matrix nor the penalty
    knows anything are left out: the shortest solutions have no part in them.

    Attributes
    ----------
    vectors : ndarray of shape (k, r)
        What new coefficients are multiplied with.
    inverse : ndarray of shape (k, r)
        What old ones are.
    prior : RowPrior
        The form in the new coefficients.
    """

    vectors: np.ndarray
    inverse: np.ndarray
    prior: RowPrior

    @classmethod
    def of(cls, gram, moments, penalty: RowPenalty):
        """The basis for rows of these penalties.

        Parameters
        ----------
        gram : ndarray of shape (k, k)
            In double precision.
        moments : ndarray of shape (k,)
            Likewise.
        penalty : RowPenalty
            Its squares count alone.

        Returns
        -------
        basis : SharedBasis
            In the precision of the penalty.
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
        """Regressors of the new coefficients."""
        return np.ascontiguousarray(product(design, self.vectors))

    def inside(self, rows):
        """Rows of coefficients in the new basis."""
        return np.ascontiguousarray(product(rows, self.inverse))

    def outside(self, rows):
        """Rows of new coefficients as they were."""
        return product(rows, np.ascontiguousarray(self.vectors.T))
