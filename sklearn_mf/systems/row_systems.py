"""The normal equations of the rows of a factor."""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf import kernels
from sklearn_mf.systems.minimum_norm import solve
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.utils._threads import product

# Eigenvalues below this fraction of the largest one mean that the data do not determine a
# direction.
UNKNOWN = 1e-10


@dataclass(frozen=True)
class RowSystems:
    r"""Penalized regressions of rows, given by Gram matrices and moments of the data.

    The objective of row i, v, is :math:`\tfrac12 v^\top G_i v - m_i^\top v` plus its penalty.

    Attributes
    ----------
    grams : ndarray of shape (n_rows, k, k) or (1, k, k)
        The matrices G, one for each row or one for all.
    moments : ndarray of shape (n_rows, k)
        The vectors m.
    penalty : RowPenalty or None
        Penalty on the rows; None for sums over the data only.
    """

    grams: np.ndarray
    moments: np.ndarray
    penalty: RowPenalty | None = None

    @classmethod
    def solved_by(cls, grams, rows):
        """Return systems without a penalty, with these Gram matrices and solutions."""
        systems = cls(grams, np.zeros_like(rows))
        return replace(systems, moments=systems.times(rows))

    @classmethod
    def stacked(cls, parts):
        """Return the systems of several groups of rows as one, without a penalty."""
        grams = np.concatenate([part.grams for part in parts])
        return cls(grams, np.concatenate([part.moments for part in parts]))

    def of_rows(self, rows):
        """Return the systems of some rows."""
        return RowSystems(
            self.grams if len(self.grams) == 1 else self.grams[rows],
            np.ascontiguousarray(self.moments[rows]),
            self.penalty and self.penalty.of_rows(rows),
        )

    # Sums ---------------------------------------------------------------------------------

    def __add__(self, other):
        """Return the sum over the entries of both, without a penalty."""
        return RowSystems(self.grams + other.grams, self.moments + other.moments)

    def faded(self, share):
        """Return the sums with all weights multiplied by a factor."""
        return replace(self, grams=share * self.grams, moments=share * self.moments)

    def carried(self, change):
        """Return the sums that would result if all regressors had been multiplied by a matrix."""
        return replace(self, grams=change @ self.grams @ change.T, moments=self.moments @ change.T)

    def of_coefficients(self, free, known):
        """Return the systems of some coefficients, with the others known.

        Parameters
        ----------
        free : list of int
            Indices of the unknown coefficients.
        known : ndarray of shape (n_rows, k)
            Values of the known coefficients, with zeros for the unknown ones.

        Returns
        -------
        systems : RowSystems
            The systems, without a penalty.
        """
        moments = (self.moments - self.times(known))[:, free]
        return RowSystems(np.ascontiguousarray(self.grams[:, free][:, :, free]), moments)

    def times(self, rows):
        """Return the product of every row with its Gram matrix."""
        if len(self.grams) == 1:
            return product(rows, self.grams[0])
        return (self.grams @ rows[:, :, None])[:, :, 0]

    # Solutions and derived quantities ----------------------------------------------------

    @property
    def matrices(self):
        """The matrices of the normal equations, including the penalty."""
        if self.penalty is None:
            return self.grams
        return self.grams + self.penalty.matrices(len(self.grams))

    def solved(self, eps):
        """Return the minimum-norm solutions of the regressions with an L2 penalty.

        Parameters
        ----------
        eps : float
            Machine precision of the numbers from which the Gram matrices were computed.

        Returns
        -------
        rows : ndarray of shape (n_rows, k)
            The solutions; zero if a system is zero.
        """
        matrices = self.grams
        if self.penalty is not None and (self.penalty.ridge.any() or len(matrices) > 1):
            matrices = matrices + self.penalty.matrices(len(self.moments))
        return solve(matrices, self.moments[:, :, None], eps)[:, :, 0]

    def inverses(self):
        """Return the inverses of matrices that the penalty makes nonsingular."""
        return np.linalg.inv(self.matrices)

    def covariances(self, noise, prior):
        """Return the covariances of the rows for a given noise variance of the data.

        Parameters
        ----------
        noise : float
            Variance of the data around the model.
        prior : ndarray of shape (k, k)
            Second moments of the rows, for directions that the data do not determine.

        Returns
        -------
        covariances : ndarray of shape (n_rows, k, k) or (1, k, k)
            ``noise`` times the pseudoinverse, plus the prior in the directions that it leaves out.
        """
        inverses, unknown = kernels.symmetric_pseudoinverses(self.matrices, UNKNOWN)
        return noise * inverses + unknown @ prior @ unknown

    def degrees_of_freedom(self):
        """Return the trace of the hat matrix of every regression.

        Returns
        -------
        degrees : ndarray of shape (n_rows,) or (1,)
            At most k, and less if penalties shrink the coefficients.
        """
        inverses, _ = kernels.symmetric_pseudoinverses(self.matrices, UNKNOWN)
        return np.einsum("nkl,nlk->n", inverses, np.asarray(self.grams, dtype=np.float64))


def roots(covariances):
    """Return a root of each covariance, which may be singular, for normally distributed draws.

    Parameters
    ----------
    covariances : ndarray of shape (n, k, k)
        Positive semidefinite matrices, up to rounding errors.

    Returns
    -------
    roots : ndarray of shape (n, k, k)
        Matrices that give the covariances when multiplied by their transposes.
    """
    values, vectors = np.linalg.eigh(covariances)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
