"""How uncertain predicted entries are, given how uncertain the rows of both factors are.

A model value is ``left_i . right_j``. With independent rows of means l and r, covariances C and
D, its variance is ``r'C r + l'D l + trace(C D)``. For a row that is a ridge regression, C is
the noise variance times the inverse of the matrix of its normal equations (Salakhutdinov &
Mnih 2008, :doi:`10.1145/1390156.1390267`, whose Gibbs sampler draws from these distributions).
"""

import numpy as np

# Numbers in the covariances of the entries that are looked at together.
CHUNK = 1 << 20


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
