"""The kernels of rankings in NumPy; see ``reference``.

A ranking goes from the best column to the worst, and of equal scores the lower column is better.
NaN is no score: such a column is in no ranking.
"""

import numpy as np


def top_columns(scores, n, n_threads):
    """The best columns of each row of scores.

    Parameters
    ----------
    scores : C-ordered ndarray of shape (n_rows, n_columns)
        NaN where a column may not be ranked.
    n : int
        How many columns to find, at least 1.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    columns : ndarray of int64 of shape (n_rows, n)
        The best first; -1 where no column is left.
    values : ndarray of shape (n_rows, n)
        Their scores; NaN where no column is left.
    """
    columns, values = _nothing(len(scores), n, scores.dtype)
    for i, row in enumerate(scores):
        _rank(np.flatnonzero(~np.isnan(row)), row, columns[i], values[i])
    return columns, values


def offer_products(scores, first, slack, left, right, columns, values, n_threads):
    """Let more columns into the rankings of rows, where they are better than what is there.

    How good a column is says ``left[i] @ right[j]``, summed in one order. Scores are nearly that,
    as BLAS says it: rounding error makes them depend on how many rows it multiplied, and equal
    columns differ. They only tell which products are worth a look.

    Parameters
    ----------
    scores : C-ordered ndarray of shape (n_rows, n_new)
        Of the columns from `first` on; NaN where a column may not be ranked.
    first : int
        Number of the first of these columns. All columns before have been offered already.
    slack : ndarray of shape (n_rows,)
        How much a score may be below the product.
    left : C-ordered ndarray of shape (n_rows, k)
        Factor of the rows.
    right : C-ordered ndarray of shape (n_columns, k)
        Factor of all columns.
    columns : C-ordered ndarray of int64 of shape (n_rows, n)
        The best so far, in an order of the kernel's own, then -1. Changed.
    values : C-ordered ndarray of shape (n_rows, n)
        Their products, then NaN. Changed.
    n_threads : int
        Threads of the compiled kernel.
    """
    n = columns.shape[1]
    for i, row in enumerate(scores):
        found = np.count_nonzero(columns[i] >= 0)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            limit = values[i].min() - slack[i] if found == n else -np.inf
        new = np.flatnonzero(~np.isnan(row) & ~(row < limit))
        products = np.einsum("jk,k->j", right[first + new], left[i])
        scored = ~np.isnan(products)
        together = np.concatenate([columns[i, :found], first + new[scored]])
        products = np.concatenate([values[i, :found], products[scored]])
        best = np.lexsort((together, -products))[:n]
        columns[i, : len(best)], values[i, : len(best)] = together[best], products[best]


def sort_rankings(columns, values):
    """Bring what `offer_products` has found into order, the best first.

    Parameters
    ----------
    columns : C-ordered ndarray of int64 of shape (n_rows, n)
        Changed.
    values : C-ordered ndarray of shape (n_rows, n)
        Changed.
    """
    for i in range(len(columns)):
        order = np.lexsort((columns[i], -values[i]))
        columns[i], values[i] = columns[i, order], values[i, order]


def _nothing(n_rows, n, dtype):
    return np.full((n_rows, n), -1, dtype=np.int64), np.full((n_rows, n), np.nan, dtype=dtype)


def _rank(candidates, scores, columns, values):
    """Write the best of ascending candidates, and their scores."""
    best = candidates[np.argsort(-scores[candidates], kind="stable")[: len(columns)]]
    columns[: len(best)], values[: len(best)] = best, scores[best]


def score_rankings(ranked, truth, cutoffs, n_threads):
    """How good the first columns of rankings are, by what is relevant.

    Parameters
    ----------
    ranked : C-ordered ndarray of int64 of shape (n_rows, m)
        Columns, the best first; -1 for none.
    truth : tuple of (indptr, indices, gains, ideal)
        The relevant columns of each row in CSR layout, ascending, with their positive gains; and
        the gains of each row in descending order. All gains are float64.
    cutoffs : ndarray of int64 of shape (n_cutoffs,)
        How many of the first columns to look at, ascending, at most m.
    n_threads : int
        Threads of the compiled kernel.

    Returns
    -------
    sums : ndarray of float64 of shape (n_cutoffs, 7, n_rows)
        Of each row and its first columns

        0. how many are relevant;
        1. sum of the precisions at the relevant ones;
        2. one by the rank of the first relevant one, 0 without any;
        3. sum of their gains, each by the logarithm to base two of its rank and one more;
        4. the largest such sum that a ranking could have;
        5. the same sum for gains of one;
        6. the largest such sum.
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
