"""Diverse recommendations by maximal marginal relevance."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf.retrieval.similarity import directions

# Maximum number of coordinates of vectors that are gathered at a time.
BLOCK = 1 << 22


def reranked(columns, values, vectors, n, diversity):
    r"""Select columns one after the other that are relevant, but not similar to earlier ones.

    This is maximal marginal relevance: the next column is the one with the largest

    .. math:: (1 - d) r_j - d \max_{i \in S} \cos(v_i, v_j)

    where S is the set of columns selected so far, and the relevance r is the value, scaled to [0,
    1] within the row.

    Parameters
    ----------
    columns : ndarray of int of shape (n_rows, m)
        The best columns of each row, the best first; -1 if there are fewer.
    values : ndarray of shape (n_rows, m)
        Values of these columns.
    vectors : ndarray of shape (n_columns, k)
        Vectors whose cosines measure the similarity of columns.
    n : int
        Number of columns to select.
    diversity : float
        The weight d of the diversity, in [0, 1].

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        The selected columns, in the order of their selection; -1 if there are fewer.
    values : ndarray of shape (n_rows, n)
        Their values; NaN if there are fewer.
    """
    n_rows, m = columns.shape
    unit = directions(vectors)
    chosen = np.full((n_rows, n), -1, dtype=np.int64)
    relevance = np.full((n_rows, n), np.nan, dtype=values.dtype)
    for rows in gen_batches(n_rows, max(1, BLOCK // max(1, m * unit.shape[1]))):
        places = _chosen_places(columns[rows], values[rows], unit, min(n, m), diversity)
        left = slice(places.shape[1])
        chosen[rows, left] = np.take_along_axis(columns[rows], places, axis=1)
        relevance[rows, left] = np.take_along_axis(values[rows], places, axis=1)
    relevance[chosen < 0] = np.nan
    return chosen, relevance


def _chosen_places(columns, values, unit, n, diversity):
    """Return the positions of the selected columns in their rows; empty positions come last."""
    is_none = columns < 0
    vectors = unit[columns]
    relevance = _between_zero_and_one(np.where(is_none, np.nan, values))
    likeness = np.zeros(columns.shape)
    places = np.empty((len(columns), n), dtype=np.intp)
    gone = is_none.copy()
    each = np.arange(len(columns))
    for number in range(n):
        gain = (1 - diversity) * relevance - diversity * likeness
        gain[gone] = -np.inf
        place = gain.argmax(axis=1)
        exhausted = gone.all(axis=1)
        if exhausted.any():  # only empty positions are left
            place[exhausted] = is_none[exhausted].argmax(axis=1)
        places[:, number] = place
        gone[each, place] = True
        cosines = np.einsum("imk,ik->im", vectors, vectors[each, place])
        likeness = cosines if number == 0 else np.maximum(likeness, cosines)
    return places


def _between_zero_and_one(values):
    """Scale the values of each row so that the smallest is 0 and the largest 1; NaN becomes 0."""
    known = ~np.isnan(values)
    least = np.where(known, values, np.inf).min(axis=1, keepdims=True)
    most = np.where(known, values, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        span = most - least
        scaled = (values - least) / np.where(span > 0, span, 1)
    return np.where(known, scaled, 0)
