"""The ranking kernels in NumPy; see ``reference``.

A ranking goes from the best column to the worst. Among equal scores, the lower column is better.
NaN means that a column is not ranked.
"""

import numpy as np


def top_columns(scores, n, n_threads):
    """Return the best columns of each row of scores.

    Parameters
    ----------
    scores : C-ordered ndarray of shape (n_rows, n_columns)
        The scores; NaN for columns that must not be ranked.
    n : int
        Number of columns to return, at least 1.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    columns : ndarray of int64 of shape (n_rows, n)
        The best columns first; -1 if there are fewer.
    values : ndarray of shape (n_rows, n)
        Their scores; NaN if there are fewer.
    """
    columns, values = _nothing(len(scores), n, scores.dtype)
    for i, row in enumerate(scores):
        _rank(np.flatnonzero(~np.isnan(row)), row, columns[i], values[i])
    return columns, values


def offer_products(scores, first, slack, left, right, columns, values, n_threads):
    """Insert more columns into the rankings of rows, if they are better than the current ones.

    The exact score of a column is ``left[i] @ right[j]``, summed in a fixed order. The given scores
    are BLAS products, whose rounding errors depend on the number of rows, so that equal columns may
    differ. They only select the columns whose exact scores are computed.

    Parameters
    ----------
    scores : C-ordered ndarray of shape (n_rows, n_new)
        Scores of the columns from `first` on; NaN for columns that must not be ranked.
    first : int
        Index of the first of these columns. All previous columns have already been processed.
    slack : ndarray of shape (n_rows,)
        Largest amount by which a score may be below the exact one.
    left : C-ordered ndarray of shape (n_rows, k)
        Factor of the rows.
    right : C-ordered ndarray of shape (n_columns, k)
        Factor of all columns.
    columns : C-ordered ndarray of int64 of shape (n_rows, n)
        The best columns so far, in an internal order, then -1. Modified in place.
    values : C-ordered ndarray of shape (n_rows, n)
        Their exact scores, then NaN. Modified in place.
    n_threads : int
        Number of threads of the compiled kernel.
    """
    n = columns.shape[1]
    for i, row in enumerate(scores):
        found = np.count_nonzero(columns[i] >= 0)
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            limit = values[i].min() - slack[i] if found == n else -np.inf
        new = np.flatnonzero(~np.isnan(row) & ~(row < limit))
        products = np.einsum("jk,k->j", right[first + new], left[i])
        scored = ~np.isnan(products)
        together = np.concatenate([columns[i, :found], first + new[scored]])
        products = np.concatenate([values[i, :found], products[scored]])
        best = np.lexsort((together, -products))[:n]
        columns[i, : len(best)], values[i, : len(best)] = together[best], products[best]


def sort_rankings(columns, values):
    """Sort the results of `offer_products`, the best first.

    Parameters
    ----------
    columns : C-ordered ndarray of int64 of shape (n_rows, n)
        Modified in place.
    values : C-ordered ndarray of shape (n_rows, n)
        Modified in place.
    """
    for i in range(len(columns)):
        order = np.lexsort((columns[i], -values[i]))
        columns[i], values[i] = columns[i, order], values[i, order]


def _nothing(n_rows, n, dtype):
    return np.full((n_rows, n), -1, dtype=np.int64), np.full((n_rows, n), np.nan, dtype=dtype)


def _rank(candidates, scores, columns, values):
    """Store the best of ascending candidates, and their scores."""
    best = candidates[np.argsort(-scores[candidates], kind="stable")[: len(columns)]]
    columns[: len(best)], values[: len(best)] = best, scores[best]


def score_rankings(ranked, truth, cutoffs, n_threads):
    """Return sums for the metrics of the first columns of rankings.

    Parameters
    ----------
    ranked : C-ordered ndarray of int64 of shape (n_rows, m)
        Column indices, the best first; -1 for none.
    truth : tuple of (indptr, indices, gains, ideal)
        The relevant columns of each row in CSR format, in ascending order, with their positive
        gains; and the gains of each row in descending order. All gains are float64.
    cutoffs : ndarray of int64 of shape (n_cutoffs,)
        Numbers of top columns, in ascending order, at most m.
    n_threads : int
        Number of threads of the compiled kernel.

    Returns
    -------
    sums : ndarray of float64 of shape (n_cutoffs, 7, n_rows)
        For each row and its top columns:

        0. number of relevant columns;
        1. sum of the precisions at the relevant columns;
        2. reciprocal rank of the first relevant column, 0 if there is none;
        3. sum of their gains, each divided by the binary logarithm of its rank plus one;
        4. largest possible value of this sum;
        5. the same sum with gains of one;
        6. largest possible value of this sum.
    """
    indptr, indices, gains, ideal = truth
    sums = np.zeros((len(cutoffs), 7, len(ranked)))
    discounts = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    ranks = np.arange(1, ranked.shape[1] + 1)
    for i, columns in enumerate(ranked):
        part = slice(indptr[i], indptr[i + 1])
        gain = np.zeros(ranked.shape[1])
        is_known = np.isin(columns, indices[part])
        gain[is_known] = gains[part][np.searchsorted(indices[part], columns[is_known])]
        hits = np.cumsum(is_known)
        best = ideal[part][: ranked.shape[1]]
        for c, k in enumerate(cutoffs):
            few = best[:k]
            sums[c, :, i] = (
                hits[k - 1],
                np.sum(is_known[:k] * hits[:k] / ranks[:k]),
                1 / ranks[is_known.argmax()] if hits[k - 1] else 0,
                gain[:k] @ discounts[:k],
                few @ discounts[: len(few)],
                is_known[:k] @ discounts[:k],
                discounts[: len(few)].sum(),
            )
    return sums
