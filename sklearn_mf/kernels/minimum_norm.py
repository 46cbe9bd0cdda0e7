"""Minimum-norm solutions of least squares problems with more than one solution.

Which directions the data do not determine is decided after scaling the columns to norm one, so that
the units of the coefficients do not matter: one may be a bias, the others codes. The norm that is
minimized is that of the original coefficients.
"""

import numpy as np

# Smaller entries of a vector of norm one may be rounding errors of double precision.
NOISE = 1e-13


def pseudoinverses(designs, eps):
    """Return the matrices that map targets to the minimum-norm solutions.

    Parameters
    ----------
    designs : ndarray of shape (n, n_entries, k)
        Least squares problems; rows of zeros have no effect.
    eps : float
        Machine precision of the numbers from which the designs were computed.

    Returns
    -------
    operators : ndarray of shape (n, k, n_entries)
        The matrices, in double precision. NaN if the squares of a design overflow.
    """
    n, n_entries, k = designs.shape
    stacked = np.zeros((n, max(n_entries, k), k))
    stacked[:, :n_entries] = designs
    lengths = np.sqrt(np.einsum("npk,npk->nk", stacked, stacked))
    runaway = ~np.isfinite(lengths).all(axis=1)
    stacked[runaway], lengths[runaway] = 0, 1  # they have no decomposition
    lengths[lengths == 0] = 1
    U, s, Vt = np.linalg.svd(stacked / lengths[:, None, :], full_matrices=False)
    # The factors are computed from such systems, so weaker directions are rounding errors.
    known = s > np.sqrt(eps) * s[:, :1]
    inverse = np.divide(1, s, out=np.zeros_like(s), where=known)
    operators = (Vt.swapaxes(1, 2) * inverse[:, None, :]) @ U[:, :n_entries].swapaxes(1, 2)
    operators /= lengths[:, :, None]
    for i, directions in _unknown_directions(Vt, known, lengths):
        operators[i] -= directions @ (directions.swapaxes(1, 2) @ operators[i])
    operators[runaway] = np.nan
    return operators


def symmetric_pseudoinverses(systems, least):
    """Return the matrices that map right-hand sides to minimum-norm solutions.

    Parameters
    ----------
    systems : ndarray of shape (n, k, k)
        Positive semidefinite systems, up to rounding errors.
    least : float
        Eigenvalues below this fraction of the largest one, after scaling the diagonal to ones, mean
        that a direction is not determined.

    Returns
    -------
    inverses : ndarray of shape (n, k, k)
        The pseudoinverses, in double precision.
    unknown : ndarray of shape (n, k, k)
        Projections onto the directions that are not determined.
    """
    systems = np.asarray(systems, dtype=np.float64)
    lengths = np.sqrt(np.maximum(np.diagonal(systems, axis1=1, axis2=2), 0))
    lengths[lengths == 0] = 1
    values, vectors = np.linalg.eigh(systems / lengths[:, :, None] / lengths[:, None, :])
    known = values > least * np.maximum(values[:, -1:], 0)
    inverse = np.divide(1, values, out=np.zeros_like(values), where=known)
    inverses = (vectors * inverse[:, None, :]) @ vectors.swapaxes(1, 2)
    inverses /= lengths[:, :, None]
    inverses /= lengths[:, None, :]
    unknown = np.zeros_like(inverses)
    for i, directions in _unknown_directions(vectors.swapaxes(1, 2), known, lengths):
        unknown[i] = directions @ directions.swapaxes(1, 2)
        rest = np.eye(systems.shape[1]) - unknown[i]
        inverses[i] = rest @ inverses[i] @ rest
    return inverses, unknown


def _unknown_directions(Vt, known, lengths):
    """Yield coefficients that do not change the model, as orthonormal columns or zeros.

    They are yielded with the indices of the systems that have such directions.
    """
    singular = np.flatnonzero(~known.all(axis=1))
    if len(singular) == 0:
        return
    Vt, known, lengths = Vt[singular], known[singular], lengths[singular]
    # Undetermined directions come first, because the factorization changes zeros arbitrarily.
    first = np.argsort(known, axis=1, kind="stable")
    unknown = ~np.take_along_axis(known, first, axis=1)
    directions = np.take_along_axis(Vt, first[:, :, None], axis=1) * unknown[:, :, None]
    # If units differ, rounding errors may be large compared with the other numbers.
    directions[np.abs(directions) < NOISE] = 0
    Q, _ = np.linalg.qr((directions / lengths[:, None, :]).swapaxes(1, 2))
    yield singular, Q * unknown[:, None, :]
