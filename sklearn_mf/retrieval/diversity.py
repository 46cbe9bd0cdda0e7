"""Recommendations that are not all alike."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf.retrieval.similarity import directions

# Coordinates of vectors that are gathered at a time.
BLOCK = 1 << 22


def reranked(columns, values, vectors, n, diversity):
    r"""Choose among the best columns, one after the other, what is good and unlike those before.

    Maximal marginal relevance: the next column is that with the largest

    .. math:: (1 - d) r_j - d \max_{i \in S} \cos(v_i, v_j)

    where S has been chosen, and the relevance r is the value, brought to [0, 1] within the row.

    Parameters
    ----------
    columns : ndarray of int of shape (n_rows, m)
        The best columns of each row, the best first; -1 where there is none.
    values : ndarray of shape (n_rows, m)
        How good they are.
    vectors : ndarray of shape (n_columns, k)
        Whose cosines say how much columns are alike.
    n : int
        How many to choose.
    diversity : float
        d, in [0, 1].

    Returns
    -------
    columns : ndarray of int of shape (n_rows, n)
        In the order in which they were chosen; -1 where none was left.
    values : ndarray of shape (n_rows, n)
        Their values; NaN where no column was left.
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
    """Where in their rows the chosen columns are; those that are none come last."""
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
        if exhausted.any():  # of what is left in no order, the places of none
            place[exhausted] = is_none[exhausted].argmax(axis=1)
        places[:, number] = place
        gone[each, place] = True
        cosines = np.einsum("imk,ik->im", vectors, vectors[each, place])
        likeness = cosines if number == 0 else np.maximum(likeness, cosines)
    return places


def _between_zero_and_one(values):
    """Values of each row, the least being 0 and the largest 1; 0 for NaN."""
    known = ~np.isnan(values)
    least = np.where(known, values, np.inf).min(axis=1, keepdims=True)
    most = np.where(known, values, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        span = most - least
        scaled = (values - least) / np.where(span > 0, span, 1)
    return np.where(known, scaled, 0)
