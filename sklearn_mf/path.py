"""Factors along a path of ranks and penalties, each from those before it.

What is asked of a path is not the last digit of every fit, but which of them predicts hidden
entries best. So a step costs one sweep: new components are found by themselves, from what the
others leave, and then all are improved together.
"""

from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.observations import gradient_of
from sklearn_mf.utils._threads import in_threads, one_blas_thread
from sklearn_mf.utils._warnings import quiet

# A path ends where so many errors in a row are by this share, or by one standard error of the
# least if that is less, above the least.
LATE, RISEN = 3, 0.02
# Products with residuals towards new components: cheaper than sweeps that make up for fewer.
STEPS = 5
# Added to what a row sees of a new component, beside the average of all rows.
SHRINKAGE = 0.1
# Components smaller than this share of the data have been shrunk away by a larger penalty.
# Alternation would bring them back slowly, and from zero never.
GONE = 1e-3


def moved(problem, W, Ht, n_sweeps, random_state):
    """Factors for a problem, from those for one of fewer components or a larger penalty.

    Parameters
    ----------
    problem : Problem
        Of the same observations.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Where to start.
    n_sweeps : int
        Sweeps of all components, after new ones were found.
    random_state : RandomState
        Draws where new components start.

    Returns
    -------
    W, Ht : ndarray
        W the best for this Ht.
    """
    return _improved(problem, *_widened(problem, W, Ht, random_state), n_sweeps)


def follow(judge, tasks, work):
    """What is found along the paths of some tasks, whose threads fill each other's gaps.

    Parameters
    ----------
    judge : callable
        Of one task.
    tasks : sequence
        What it is called with.
    work : float
        Multiplications in the largest step of a path: little is not worth another thread.

    Returns
    -------
    results : list
        In the order of the tasks.
    """

    def quietly(task):
        with quiet(ConvergenceWarning):  # whether the last fit converges, that will say
            return judge(task)

    with one_blas_thread():
        return in_threads(quietly, tasks, work)


def has_risen(errors, n_hidden):
    """Whether the last errors of a path are so far above its least that the rest is no use.

    Parameters
    ----------
    errors : ndarray of shape (n_steps,)
        Mean squares, of hidden entries.
    n_hidden : int
        Number of hidden entries: it tells the standard error of such a mean of normal errors.

    Returns
    -------
    risen : bool
        Whether to end the path.
    """
    rise = min(RISEN, np.sqrt(2 / n_hidden))
    return len(errors) > LATE and min(errors[-LATE:]) > (1 + rise) * min(errors)


def _improved(problem, W, Ht, n_sweeps):
    """Sweeps that end with W, so that it is the best for this Ht."""
    for _ in range(n_sweeps):
        W, Ht = problem.balanced(W, problem.T.solve_rows(W, Ht))
        W = problem.solve_rows(Ht, W)
    return W, Ht


def _widened(problem, W, Ht, random_state):
    """As many components as the problem has: those that are there, and new ones."""
    before = Ht.shape[1] - problem.columns.has_bias
    sizes = np.linalg.norm(W[:, :before], axis=0) * np.linalg.norm(Ht[:, :before], axis=0)
    kept = sizes > GONE * np.sqrt(problem.observations.total_squares)
    n_new = problem.n_components - int(kept.sum())
    if n_new == 0:
        return W, Ht
    parts = [(V[:, :before][:, kept], V[:, before:]) for V in (W, Ht)]
    old = replace(problem, n_components=problem.n_components - n_new)
    new = _directions(old, *(np.hstack(part) for part in parts), n_new, random_state)
    return tuple(
        np.hstack([components, found, bias])
        for (components, bias), found in zip(parts, new, strict=True)
    )


def _directions(problem, W, Ht, n_new, random_state):
    """What the residuals of rows, and of columns, have in common."""
    samples = problem.observations
    model = samples.model(*problem.model_factors(W, Ht))
    slopes = gradient_of(problem.loss.at(samples.kinds), samples.values, model)
    residuals = samples.matrix(-slopes)
    weights = samples.matrix(np.ones_like(slopes) if samples.weights is None else samples.weights)
    V, images = _leading(residuals, n_new, random_state)
    U = _regressed(images, weights, V)
    # Entries of both factors of the same size, where penalties want them.
    size = np.sqrt(np.linalg.norm(U, axis=0) * (len(V) / len(U)) ** 0.5)
    size += np.finfo(V.dtype).tiny
    return U / size, V * size


def _leading(residuals, n_vectors, random_state):
    """Right singular vectors, the best in a block Krylov subspace (Musco & Musco 2015), and images.

    The images are the products of the residuals with them.
    """
    n_columns = residuals.shape[1]
    block = random_state.standard_normal((n_columns, n_vectors)).astype(residuals.dtype)
    basis, _ = np.linalg.qr(block)
    images = residuals @ basis
    for _ in range(1, min(STEPS, n_columns // n_vectors)):
        block = residuals.T @ images[:, -n_vectors:]
        for _ in range(2):  # once more, or what was lost in rounding error would stay in
            block -= basis @ (basis.T @ block)
        block, _ = np.linalg.qr(block)
        basis = np.hstack([basis, block])
        images = np.hstack([images, residuals @ block])
    _, rotation = np.linalg.eigh(images.T @ images)
    leading = rotation[:, ::-1][:, :n_vectors]
    return basis @ leading, images @ leading


def _regressed(images, weights, V):
    """Each row of residuals regressed on each column of V by itself, where it is observed.

    Rows that see little of a column are shrunk, or rounding error would fill them.
    """
    squares = weights @ V**2
    return images / (squares + SHRINKAGE * squares.mean(axis=0) + np.finfo(V.dtype).tiny)


def simplest_of_the_best(means, deviations, n_errors):
    """The first candidate, the simplest first, that is within one standard error of the best.

    Parameters
    ----------
    means, deviations : ndarray of shape (n_candidates,)
        Of the scores over folds.
    n_errors : float
        Standard deviations are so many standard errors; inf: the best alone will do.

    Returns
    -------
    index : int
        Of that candidate.
    """
    best = int(np.nanargmax(means))
    return int(np.argmax(means >= means[best] - deviations[best] / n_errors))
