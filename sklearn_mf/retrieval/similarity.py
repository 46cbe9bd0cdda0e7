"""Similarity of vectors by their cosines."""

import numpy as np

from sklearn_mf.retrieval.top import best_of_product


def most_similar(vectors, among, n, itself=None):
    """Return the vectors with the largest cosines.

    Parameters
    ----------
    vectors : ndarray of shape (n_vectors, k)
        The vectors for which similar ones are searched.
    among : ndarray of shape (n_others, k)
        The vectors to search. A vector of zeros has no direction and is never returned.
    n : int
        Number of vectors to return for each.
    itself : ndarray of int of shape (n_vectors,) or None
        Index of each vector among the others, so that it does not find itself.

    Returns
    -------
    numbers : ndarray of int of shape (n_vectors, n)
        Indices of the most similar vectors first; among equal ones, the lower index comes first. -1
        if there are fewer.
    cosines : ndarray of shape (n_vectors, n)
        Their cosines, between -1 and 1; NaN if there are fewer.
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
    """Return vectors of norm one; vectors of zeros remain zero."""
    size = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled = vectors / np.where(size > 0, size, 1)  # this avoids underflow of the squares
    length = np.sqrt(np.einsum("ik,ik->i", scaled, scaled))[:, None]
    return scaled / np.where(length > 0, length, 1)
