"""Initializations of non-negative factors, with the names that scikit-learn gives them."""

import numpy as np

from sklearn_mf.objective.constants import column_means
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.starts.krylov import leading_directions

NONNEGATIVE_INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")

# Coefficients below this fraction of the root of X are set to zero; scikit-learn uses this number
# itself.
LEAST_COEFFICIENT = 1e-6
# Number of products with X and its transpose for the singular vectors, as many as in scikit-learn.
STEPS = 6
# Size of the random numbers that replace zeros, relative to the mean of X.
SMALL = 0.01


def nonnegative_start(problem: Problem, init, random_state):
    """Return non-negative initial factors W and Ht.

    Parameters
    ----------
    problem : Problem
        The problem to be solved.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar"}
        Absolute values of normally distributed numbers; or the larger parts of one sign of the
        singular vectors (Boutsidis & Gallopoulos 2008, :doi:`10.1016/j.patcog.2007.09.010`), in
        which zeros remain zero ("nndsvd"), become the mean of X over the root of its size
        ("nndsvda"), or become small random numbers ("nndsvdar").
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        Factor of the samples. With ``init="random"``, it is not random but the same for all rows,
        so that a sample with weight two has the same initialization as two copies of it.
    Ht : ndarray of shape (n_columns, k)
        Factor of the features.
    """
    samples, k = problem.observations, problem.n_components
    n_rows, n_columns = samples.shape
    mean = observed_mean(samples)
    if init == "random":
        scale = np.sqrt(mean / k)
        Ht = scale * np.abs(random_state.standard_normal((k, n_columns))).T
        W = np.full((n_rows, k), scale)
    else:
        W, Ht = _halves_of_singular_vectors(problem, random_state)
    if init in ("nndsvda", "nndsvdar"):
        # The factors have the size of the root of X, as in scikit-learn if X has size one.
        root = np.sqrt(samples.typical_size) or 1.0
        for V in (W, Ht):
            fill = mean / root
            if init == "nndsvdar":
                fill = SMALL * fill * np.abs(random_state.standard_normal(V.shape))
            np.copyto(V, fill, where=V == 0)
    Ht[problem.T.observations.row_totals() == 0] = 0
    return tuple(np.ascontiguousarray(V, dtype=samples.dtype) for V in (W, Ht))


def observed_mean(observations: ObservedMatrix):
    """Return the weighted mean of the observed entries."""
    totals = observations.T.row_totals().astype(np.float64)
    return float(column_means(observations).astype(np.float64) @ totals / totals.sum())


def _halves_of_singular_vectors(problem: Problem, random_state):
    """Return the part of each pair of singular vectors with the sign that has the larger norm."""
    samples, k = problem.observations, problem.n_components
    no_offsets = np.zeros(samples.shape[1], dtype=samples.dtype)
    found = leading_directions(problem, no_offsets, STEPS, random_state)
    right = found.vectors.astype(np.float64)
    left = samples.product(found.vectors, no_offsets).astype(np.float64)
    # Missing entries decrease the singular values, which are rescaled by the fraction of observed
    # entries.
    cells = samples.row_totals() @ problem.row_weight
    weight = samples.column_weight
    n_columns = samples.shape[1] if weight is None else weight.sum()
    left *= n_columns * problem.row_weight.sum() / cells
    W, Ht = np.zeros((samples.shape[0], k)), np.zeros((samples.shape[1], k))
    # The leading pair has a single sign, up to rounding errors.
    left[:, 0], right[:, 0] = np.abs(left[:, 0]), np.abs(right[:, 0])
    for c in range(k):
        halves = [[np.maximum(sign * V[:, c], 0) for V in (left, right)] for sign in (1, -1)]
        norms = [(np.sqrt(u**2 @ problem.row_weight), np.linalg.norm(v)) for u, v in halves]
        kept = max((0, 1), key=lambda half: norms[half][0] * norms[half][1])
        (u, v), (u_norm, v_norm) = halves[kept], norms[kept]
        # The singular value is included in u; its root is distributed to both sides.
        if u_norm > 0 and v_norm > 0:
            root = np.sqrt(u_norm * v_norm)
            W[:, c], Ht[:, c] = u * (root / u_norm), v * (root / v_norm)
    least = LEAST_COEFFICIENT * np.sqrt(samples.typical_size)
    W[least > W], Ht[Ht < least] = 0, 0
    return W, Ht
