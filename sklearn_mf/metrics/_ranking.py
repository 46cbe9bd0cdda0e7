"""All ranking metrics, computed in one pass over the rankings."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.retrieval import check_rankings
from sklearn_mf.utils._threads import n_threads
from sklearn_mf.utils._typing import MatrixLike
from sklearn_mf.utils._validation import check_holed

# Metrics of one row, as functions of the sums computed by the kernel, k, and the number of relevant
# columns.
OF_ROWS = {
    "precision": lambda sums, k, n: sums[0] / k,
    "recall": lambda sums, k, n: sums[0] / n,
    "capped_recall": lambda sums, k, n: sums[0] / np.minimum(k, n),
    "hit_rate": lambda sums, k, n: (sums[0] > 0).astype(np.float64),
    "map": lambda sums, k, n: sums[1] / np.minimum(k, n),
    "mrr": lambda sums, k, n: sums[2],
    "ndcg": lambda sums, k, n: sums[3] / sums[4],
    "binary_ndcg": lambda sums, k, n: sums[5] / sums[6],
}
# All names; the metrics of all rows together come last.
METRICS = [*OF_ROWS, "coverage", "gini"]


def ranking_samples(
    X_true: MatrixLike, items: MatrixLike | None, *, k: int | Sequence[int] = 10
) -> dict[str, np.ndarray]:
    """Every metric of every row, for paired comparisons of models.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; their values are the gains of "ndcg". NaN is not relevant.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int or sequence of int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    metrics : dict of {str: ndarray of shape (n_samples,)}
        "precision@10", "recall@10", and so on, as in :func:`ranking_report`. NaN for rows without
        relevant columns.

    Examples
    --------
    >>> from scipy import sparse
    >>> from sklearn_mf.metrics import ranking_samples
    >>> X_true = sparse.csr_array([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    >>> ranking_samples(X_true, [[2, 1], [0, 1]], k=2)["recall@2"]
    array([0.5, nan])
    """
    truth, items, cutoffs = _checked(X_true, items, k)
    n_relevant = np.diff(truth.indptr)
    relevant = n_relevant > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            f"{name}@{k}": np.where(relevant, metric(sums, k, n_relevant), np.nan)
            for k, sums in zip(cutoffs, _sums(truth, items, cutoffs), strict=True)
            for name, metric in OF_ROWS.items()
        }


def ranking_report(
    X_true: MatrixLike, items: MatrixLike | None, *, k: int | Sequence[int] = 10
) -> dict[str, float]:
    r"""Every metric of rankings, in one pass.

    Let :math:`T` be the set of relevant columns of a row, and :math:`h_r` 1 if the column at rank r
    is in it and 0 otherwise. The metrics are

    - "precision": :math:`\sum_{r \le k} h_r / k`
    - "recall": :math:`\sum_{r \le k} h_r / |T|`, as in the tables of LightGCN
    - "capped_recall": :math:`\sum_{r \le k} h_r / \min(k, |T|)`, which is 1 for a
      perfect ranking; the recall of Mult-VAE
    - "hit_rate": 1 if any :math:`h_r` is 1
    - "map": :math:`\sum_{r \le k} h_r \, p_r / \min(k, |T|)` where :math:`p_r` is the
      precision of the first r columns
    - "mrr": the reciprocal of the first r with :math:`h_r = 1`, or 0 if there is none
    - "ndcg": :math:`\sum_{r \le k} g_r / \log_2(r + 1)` divided by its largest possible
      value, where the gains g are the values of `X_true`, as in :func:`sklearn.metrics.ndcg_score`
    - "binary_ndcg": the same, with a gain of one for every relevant column

    each averaged over the rows with relevant columns, and for all rows together

    - "coverage": the fraction of the features that are recommended to any row
    - "gini": the Gini coefficient of how often features are recommended: 0 if all are
      equally frequent, near 1 if few features dominate

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; their values are the gains of "ndcg". NaN is not relevant.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int or sequence of int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    metrics : dict of {str: float}
        "precision@10", "recall@10", and so on, for every k.

    Raises
    ------
    ValueError
        If `X_true` has no positive entry, or `items` does not contain columns of `X_true`.

    References
    ----------
    Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR techniques.
    ACM Transactions on Information Systems 20(4), 422-446. :doi:`10.1145/582415.582418`

    Examples
    --------
    >>> from scipy import sparse
    >>> from sklearn_mf.metrics import ranking_report
    >>> X_true = sparse.csr_array([[1.0, 0, 1, 0], [0, 0, 0, 1]])
    >>> for name, value in ranking_report(X_true, [[2, 1], [0, 3]], k=2).items():
    ...     print(f"{name:14} {value:.3f}")
    precision@2    0.500
    recall@2       0.750
    capped_recall@2 0.750
    hit_rate@2     1.000
    map@2          0.500
    mrr@2          0.750
    ndcg@2         0.622
    binary_ndcg@2  0.622
    coverage@2     1.000
    gini@2         0.000
    """
    truth, items, cutoffs = _checked(X_true, items, k)
    n_relevant = np.diff(truth.indptr)
    relevant = n_relevant > 0
    if not relevant.any():
        raise ValueError(
            "X_true has no positive entry, so no column is relevant and metrics are not defined."
        )
    report = {}
    for k, sums in zip(cutoffs, _sums(truth, items, cutoffs), strict=True):
        known = sums[:, relevant]
        for name, metric in OF_ROWS.items():
            report[f"{name}@{k}"] = float(metric(known, k, n_relevant[relevant]).mean())
        counts = _times_recommended(items[:, :k], truth.shape[1])
        report[f"coverage@{k}"] = float(np.mean(counts > 0))
        report[f"gini@{k}"] = _gini(counts)
    return report


def _sums(truth, items, cutoffs):
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    ideal = truth.data[np.lexsort((-truth.data, rows))]
    work = 64 * items.size
    arrays = truth.indptr, truth.indices, truth.data, ideal
    return kernels.score_rankings(items, arrays, np.array(cutoffs), n_threads(work))


def _checked(X_true, items, k):
    """Return the relevant entries, the rankings, and the cutoffs k in ascending order."""
    truth = relevant_entries(X_true)
    items = check_rankings(items, truth.shape[1])
    if len(items) != truth.shape[0]:
        raise ValueError(
            f"items has {len(items)} rows, but X_true has {truth.shape[0]}: pass one row for each."
        )
    cutoffs = sorted(set(np.ravel(k).tolist()))
    are_numbers = all(isinstance(k, Integral) and not isinstance(k, bool) for k in cutoffs)
    if not cutoffs or not are_numbers or cutoffs[0] < 1:
        raise ValueError(f"k must be a positive integer, or a sequence of them, got {k!r}.")
    if cutoffs[-1] > items.shape[1]:
        raise ValueError(
            f"items has {items.shape[1]} columns, but k={cutoffs[-1]} needs at least as many: "
            f"use recommend(X, n={cutoffs[-1]})."
        )
    return truth, items, cutoffs


def relevant_entries(X: MatrixLike) -> sparse.csr_array:
    """Return the positive entries as a canonical CSR array of float64."""
    X = check_holed(X)
    X = X.copy() if sparse.issparse(X) else sparse.csr_array(np.nan_to_num(X))
    X.sum_duplicates()
    X = sparse.csr_array(X, dtype=np.float64)
    # NaN is not positive.
    X.data = np.where(X.data > 0, X.data, 0)
    X.eliminate_zeros()
    return X


def _times_recommended(items, n_features):
    return np.bincount(items[items >= 0], minlength=n_features)


def _gini(counts):
    """Return the mean absolute difference of counts divided by twice their mean, or 0."""
    total, n = counts.sum(), len(counts)
    if total == 0:
        return 0.0
    # In ascending order, the i-th count is the larger one in i pairs, the smaller one in n - i - 1.
    signs = 2 * np.arange(n) - n + 1
    return float(np.sort(counts) @ signs / (n * total))
