"""Symmetric systems solved where they determine a solution, and the shortest where they do not."""

import numpy as np

from sklearn_mf import kernels


def solve(systems, targets, eps):
    """Minimum-norm solutions of symmetric systems, none of them with negative eigenvalues.

    Parameters
    ----------
    systems : ndarray of shape (n, q, q) or (1, q, q)
        The systems, or one for all.
    targets : ndarray of shape (n, q, r)
        Right-hand sides.
    eps : float
        Precision of the numbers that the systems were made of.

    Returns
    -------
    solution : ndarray of shape (n, q, r)
        Of all solutions that fit best the smallest.
    """
    limit = 10 * systems.shape[1] * eps
    sound = _sound(systems, eps)
    if len(systems) == 1:
        # One for all: right-hand sides side by side.
        flat = np.moveaxis(targets, 0, 1).reshape(systems.shape[1], -1)
        if sound[0]:
            flat = np.linalg.solve(systems[0], flat)
        else:
            flat = kernels.symmetric_pseudoinverses(systems, limit)[0][0] @ flat
        return np.moveaxis(flat.reshape(-1, len(targets), targets.shape[2]), 1, 0)
    solution = np.zeros_like(targets)
    solution[sound] = np.linalg.solve(systems[sound], targets[sound])
    others = np.flatnonzero(~sound & systems.any(axis=(1, 2)))
    inverses, _ = kernels.symmetric_pseudoinverses(systems[others], limit)
    solution[others] = inverses @ targets[others]
    return solution


def _sound(systems, eps):
    """Which systems Cholesky's factorization can be trusted with, as the kernels decide."""
    try:
        factors = np.linalg.cholesky(systems)
    except np.linalg.LinAlgError:
        if len(systems) == 1:
            return np.zeros(1, dtype=bool)
        return np.concatenate([_sound(system[None], eps) for system in systems])
    return kernels.is_sound(factors, systems, eps)
