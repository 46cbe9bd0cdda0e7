"""Least squares where many coefficients fit equally well: of all these the shortest.

Which directions the data tell nothing of is judged on columns that were scaled to length one, so
that the units of the coefficients do not matter: one may be a bias, the others codes. What is
shortest is the vector of coefficients as they are.
"""

import numpy as np

# What is less in a vector of length one may be rounding error of double precision.
NOISE = 1e-13


def pseudoinverses(designs, eps):
    """What maps targets to the shortest of the coefficients that fit them best.

    Parameters
    ----------
    designs : ndarray of shape (n, n_entries, k)
        Least squares problems; rows of zeros do not matter.
    eps : float
        Precision of the numbers that the designs were made of.

    Returns
    -------
    operators : ndarray of shape (n, k, n_entries)
        In double precision. NaN where squares of a design are beyond all numbers.
    """
    n, n_entries, k = designs.shape
    stacked = np.zeros((n, max(n_entries, k), k))
    stacked[:, :n_entries] = designs
    lengths = np.sqrt(np.einsum("npk,npk->nk", stacked, stacked))
    runaway = ~np.isfinite(lengths).all(axis=1)
    stacked[runaway], lengths[runaway] = 0, 1  # of which no decomposition could be found
    lengths[lengths == 0] = 1
    U, s, Vt = np.linalg.svd(stacked / lengths[:, None, :], full_matrices=False)
    # The factors themselves come from such systems: weaker directions are their noise.
    known = s > np.sqrt(eps) * s[:, :1]
    inverse = np.divide(1, s, out=np.zeros_like(s), where=known)
    operators = (Vt.swapaxes(1, 2) * inverse[:, None, :]) @ U[:, :n_entries].swapaxes(1, 2)
    operators /= lengths[:, :, None]
    for i, directions in _unknown_directions(Vt, known, lengths):
        operators[i] -= directions @ (directions.swapaxes(1, 2) @ operators[i])
    operators[runaway] = np.nan
    return operators


def symmetric_pseudoinverses(systems, least):
    """What maps right-hand sides to the shortest solutions of symmetric systems.

    Parameters
    ----------
    systems : ndarray of shape (n, k, k)
        None of them with negative eigenvalues, but for rounding error.
    least : float
        Share of the largest eigenvalue, of a system scaled to a diagonal of ones, below which
        nothing is known of a direction.

    Returns
    -------
    inverses : ndarray of shape (n, k, k)
        In double precision.
    unknown : ndarray of shape (n, k, k)
        Projections on the directions of which nothing is known.
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
    """Coefficients that change nothing in the data, as orthonormal columns or zeros.

    Yields the numbers of the systems that have such, and theirs, if there are any.
    """
    singular = np.flatnonzero(~known.all(axis=1))
    if len(singular) == 0:
        return
    Vt, known, lengths = Vt[singular], known[singular], lengths[singular]
    # The unknown ones come first, for of zeros the factorization makes anything.
    first = np.argsort(known, axis=1, kind="stable")
    unknown = ~np.take_along_axis(known, first, axis=1)
    directions = np.take_along_axis(Vt, first[:, :, None], axis=1) * unknown[:, :, None]
    # Rounding error may be large beside the others where units differ.
    directions[np.abs(directions) < NOISE] = 0
    Q, _ = np.linalg.qr((directions / lengths[:, None, :]).swapaxes(1, 2))
    yield singular, Q * unknown[:, None, :]
