"""How uncertain predicted entries are, given how uncertain the rows of both factors are.

A model value is ``left_i . right_j``. With independent rows of means l and r, covariances C and
D, its variance is ``r'C r + l'D l + trace(C D)``. For a row that is a ridge regression, C is
the noise variance times the inverse of the matrix of its normal equations (Salakhutdinov &
Mnih 2008, :doi:`10.1145/1390156.1390267`, whose Gibbs sampler draws from these distributions).
"""

import numpy as np

from sklearn_mf import kernels

# Numbers in the covariances of the entries that are looked at together.
CHUNK = 1 << 20
# Share of the largest eigenvalue below which a direction is not observed.
TINY = 1e-10


def entry_variances(left, right, rows, columns):
    """Variance of model values.

    Parameters
    ----------
    left, right : tuple of (means, covariances, which)
        Of the rows of either factor, which are samples and features: means of shape
        (n_rows, q), covariances of shape (n, q, q), and which of these each row has.
    rows, columns : ndarray of int of shape (n_entries,)
        Of which entries.

    Returns
    -------
    variances : ndarray of shape (n_entries,)
        Without the noise of the entries.
    """
    left, left_covariances, which_left = left
    right, right_covariances, which_right = right
    variances = np.empty(len(rows))
    step = max(1, CHUNK // left.shape[1] ** 2)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        i, j = rows[part], columns[part]
        l_i, C = left[i], left_covariances[which_left[i]]
        r_j, D = right[j], right_covariances[which_right[j]]
        of_row = np.einsum("nk,nk->n", (C @ r_j[:, :, None])[:, :, 0], r_j)
        of_column = np.einsum("nk,nk->n", (D @ l_i[:, :, None])[:, :, 0], l_i)
        variances[part] = of_row + of_column + np.einsum("nkl,nkl->n", C, D)
    return variances


def covariances(systems, noise, prior):
    """Covariance of coefficients that solve normal equations.

    Parameters
    ----------
    systems : ndarray of shape (n, k, k)
        Matrices of the normal equations.
    noise : float
        Variance of the data around the model.
    prior : ndarray of shape (k, k)
        Second moments of the coefficients, for directions of which the data tell nothing.

    Returns
    -------
    covariances : ndarray of shape (n, k, k)
        ``noise`` times the pseudoinverse, and the prior in what that leaves out.
    """
    inverses, unknown = kernels.symmetric_pseudoinverses(systems, TINY)
    return noise * inverses + unknown @ prior @ unknown


def degrees_of_freedom(systems, penalties):
    """Trace of the hat matrix of every ridge regression, in terms of its coefficients.

    Parameters
    ----------
    systems : ndarray of shape (n, k, k)
        Matrices of the normal equations.
    penalties : ndarray of shape (n, k, k)
        What of them is penalty.

    Returns
    -------
    degrees : ndarray of shape (n,)
        At most k, less where penalties shrink.
    """
    grams = np.asarray(systems, dtype=np.float64) - penalties
    identity = np.zeros(systems.shape[1:])
    inverse = covariances(systems, 1.0, identity)
    return np.einsum("nkl,nlk->n", inverse, grams)
