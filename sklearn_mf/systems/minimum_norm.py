"""Symmetric systems, with minimum-norm solutions if they are singular."""

import numpy as np

from sklearn_mf import kernels


def solve(systems, targets, eps):
    """Return minimum-norm solutions of positive semidefinite systems.

    Parameters
    ----------
    systems : ndarray of shape (n, q, q) or (1, q, q)
        The systems, or one for all right-hand sides.
    targets : ndarray of shape (n, q, r)
        Right-hand sides.
    eps : float
        Machine precision of the numbers from which the systems were computed.

    Returns
    -------
    solution : ndarray of shape (n, q, r)
        The solution with the smallest norm among the best ones.
    """
    limit = 10 * systems.shape[1] * eps
    sound = _sound(systems, eps)
    if len(systems) == 1:
        # With one system for all, the right-hand sides are placed side by side.
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
    """Return which systems are safe for a Cholesky factorization, as the kernels decide."""
    try:
        factors = np.linalg.cholesky(systems)
    except np.linalg.LinAlgError:
        if len(systems) == 1:
            return np.zeros(1, dtype=bool)
        return np.concatenate([_sound(system[None], eps) for system in systems])
    return kernels.is_sound(factors, systems, eps)
