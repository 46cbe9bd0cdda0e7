"""Which vectors point in the same direction."""

import numpy as np

from sklearn_mf.retrieval.top import best_of_product


def most_similar(vectors, among, n, itself=None):
    """The vectors with the largest cosines.

    Parameters
    ----------
    vectors : ndarray of shape (n_vectors, k)
        For which to look.
    among : ndarray of shape (n_others, k)
        Where to look. Zero has no direction: it is similar to nothing.
    n : int
        How many to find for each.
    itself : ndarray of int of shape (n_vectors,) or None
        Which of the others each vector is, and so not to be found.

    Returns
    -------
    numbers : ndarray of int of shape (n_vectors, n)
        The most similar first, of equally similar ones the lower; -1 where none is left.
    cosines : ndarray of shape (n_vectors, n)
        Their cosines, between -1 and 1; NaN where none is left.
    """
    left, right = directions(vectors), directions(among)
    has_direction = right.any(axis=1)

    def marker(rows):
        own = None if itself is None else itself[rows]
        lost = ~left[rows].any(axis=1)

        def mark(scores, some):
            scores[:, ~has_direction[some]] = np.nan
            scores[lost] = np.nan
            if own is not None:
                here = np.flatnonzero((own >= some.start) & (own < some.stop))
                scores[here, own[here] - some.start] = np.nan

        return mark

    numbers, cosines = best_of_product(left, right, n, marker)
    return numbers, np.clip(cosines, -1, 1)


def directions(vectors):
    """Vectors of length one, and zero where a vector is zero."""
    size = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled = vectors / np.where(size > 0, size, 1)  # whose squares do not underflow
    length = np.sqrt(np.einsum("ik,ik->i", scaled, scaled))[:, None]
    return scaled / np.where(length > 0, length, 1)
