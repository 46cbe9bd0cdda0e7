"""The normal equations of the rows of a factor."""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.minimum_norm import solve
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import product

# Share of the largest eigenvalue below which the data tell nothing of a direction.
UNKNOWN = 1e-10


@dataclass(frozen=True)
class RowSystems:
    r"""Penalized regressions of rows: the data enter by their Gram matrices and moments alone.

    Row i, v, has the objective :math:`\tfrac12 v^\top G_i v - m_i^\top v` plus its penalty.

    Attributes
    ----------
    grams : ndarray of shape (n_rows, k, k) or (1, k, k)
        The matrices G, one for each row or one for all.
    moments : ndarray of shape (n_rows, k)
        The vectors m.
    penalty : RowPenalty or None
        Of the rows; None for sums of data alone.
    """

    grams: np.ndarray
    moments: np.ndarray
    penalty: RowPenalty | None = None

    @classmethod
    def solved_by(cls, grams, rows):
        """Without a penalty, those of Gram matrices that these rows solve."""
        systems = cls(grams, np.zeros_like(rows))
        return replace(systems, moments=systems.times(rows))

    @classmethod
    def stacked(cls, parts):
        """Those of several groups of rows as one, without a penalty."""
        grams = np.concatenate([part.grams for part in parts])
        return cls(grams, np.concatenate([part.moments for part in parts]))

    def of_rows(self, rows):
        """The systems of some rows."""
        return RowSystems(
            self.grams if len(self.grams) == 1 else self.grams[rows],
            np.ascontiguousarray(self.moments[rows]),
            self.penalty and self.penalty.of_rows(rows),
        )

    # Sums ---------------------------------------------------------------------------------

    def __add__(self, other):
        """Sums over the entries of both, without a penalty."""
        return RowSystems(self.grams + other.grams, self.moments + other.moments)

    def faded(self, share):
        """Sums in which every entry counts for a share of what it did."""
        return replace(self, grams=share * self.grams, moments=share * self.moments)

    def carried(self, change):
        """The sums as they would be, had every regressor been multiplied by this matrix."""
        return replace(self, grams=change @ self.grams @ change.T, moments=self.moments @ change.T)

    def of_coefficients(self, free, known):
        """Systems of some coefficients, the others known.

        Parameters
        ----------
        free : list of int
            Coefficients to be found.
        known : ndarray of shape (n_rows, k)
            Values of the others, zero for those to be found.

        Returns
        -------
        systems : RowSystems
            Without a penalty.
        """
        moments = (self.moments - self.times(known))[:, free]
        return RowSystems(np.ascontiguousarray(self.grams[:, free][:, :, free]), moments)

    def times(self, rows):
        """Product of every row with its Gram matrix."""
        if len(self.grams) == 1:
            return product(rows, self.grams[0])
        return (self.grams @ rows[:, :, None])[:, :, 0]

    # Solutions and what is known of them -------------------------------------------------

    @property
    def matrices(self):
        """The matrices of the normal equations, penalty included."""
        if self.penalty is None:
            return self.grams
        return self.grams + self.penalty.matrices(len(self.grams))

    def solved(self, eps):
        """The shortest rows at which the squares of the penalty and of the residuals are least.

        Parameters
        ----------
        eps : float
            Precision of the numbers that the Gram matrices were made of.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            Zero where a system is zero.
        """
        matrices = self.grams
        if self.penalty is not None and (self.penalty.ridge.any() or len(matrices) > 1):
            matrices = matrices + self.penalty.matrices(len(self.moments))
        return solve(matrices, self.moments[:, :, None], eps)[:, :, 0]

    def inverses(self):
        """Inverses of matrices that the penalty makes regular."""
        return np.linalg.inv(self.matrices)

    def covariances(self, noise, prior):
        """Covariances of the rows, if the data have this noise.

        Parameters
        ----------
        noise : float
            Variance of the data around the model.
        prior : ndarray of shape (k, k)
            Second moments of the rows, for directions of which the data tell nothing.

        Returns
        -------
        covariances : ndarray of shape (n_rows, k, k) or (1, k, k)
            ``noise`` times the pseudoinverse, and the prior in what that leaves out.
        """
        inverses, unknown = kernels.symmetric_pseudoinverses(self.matrices, UNKNOWN)
        return noise * inverses + unknown @ prior @ unknown

    def degrees_of_freedom(self):
        """Trace of the hat matrix of every regression, in terms of its coefficients.

        Returns
        -------
        degrees : ndarray of shape (n_rows,) or (1,)
            At most k, less where penalties shrink.
        """
        inverses, _ = kernels.symmetric_pseudoinverses(self.matrices, UNKNOWN)
        return np.einsum("nkl,nlk->n", inverses, np.asarray(self.grams, dtype=np.float64))


def roots(covariances):
    """A root of each covariance, which may be singular: what normal draws are multiplied with.

    Parameters
    ----------
    covariances : ndarray of shape (n, k, k)
        Symmetric, without negative eigenvalues but for rounding error.

    Returns
    -------
    roots : ndarray of shape (n, k, k)
        Times its transpose each is the covariance.
    """
    values, vectors = np.linalg.eigh(covariances)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
