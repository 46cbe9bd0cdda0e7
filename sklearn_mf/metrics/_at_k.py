"""The metrics of rankings, one by one."""

from sklearn_mf.metrics._ranking import ranking_report
from sklearn_mf.utils._typing import MatrixLike


def precision_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Fraction of the first k columns that are relevant.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    precision : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import precision_at_k
    >>> print(round(precision_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"precision@{k}"]


def recall_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Fraction of the relevant columns that are among the first k columns.

    The denominator is the number of relevant columns. If that exceeds k, no ranking reaches 1. This
    is the recall in the tables of LightGCN.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    recall : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import recall_at_k
    >>> print(round(recall_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"recall@{k}"]


def capped_recall_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Recall with a denominator of at most k.

    The number of relevant columns among the first k is divided by k, or by the number of relevant
    columns if that is smaller, so that a perfect ranking reaches 1. This is the recall of Mult-VAE
    and the `recall_with_cutoff` of irspack.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    capped_recall : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import capped_recall_at_k
    >>> print(round(capped_recall_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"capped_recall@{k}"]


def hit_rate_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Fraction of the rows with a relevant column among the first k.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    hit_rate : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import hit_rate_at_k
    >>> print(round(hit_rate_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    1.0
    """
    return ranking_report(X_true, items, k=k)[f"hit_rate@{k}"]


def map_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Mean average precision of the first k columns.

    The average precision of a row is the sum of the precisions at its relevant columns, divided by
    k or the number of relevant columns, whichever is smaller.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    map : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import map_at_k
    >>> print(round(map_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"map@{k}"]


def mrr_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Mean reciprocal rank of the first relevant column; 0 if none is among the first k.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    mrr : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import mrr_at_k
    >>> print(round(mrr_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    1.0
    """
    return ranking_report(X_true, items, k=k)[f"mrr@{k}"]


def ndcg_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Normalized discounted cumulative gain of the first k columns.

    The gains are the values of `X_true`, as in :func:`sklearn.metrics.ndcg_score`.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    ndcg : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import ndcg_at_k
    >>> print(round(ndcg_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.61
    """
    return ranking_report(X_true, items, k=k)[f"ndcg@{k}"]


def binary_ndcg_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Normalized discounted cumulative gain of the first k columns with binary gains.

    The values of `X_true` are ignored. Most papers on implicit feedback report this metric.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    binary_ndcg : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import binary_ndcg_at_k
    >>> print(round(binary_ndcg_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.61
    """
    return ranking_report(X_true, items, k=k)[f"binary_ndcg@{k}"]


def coverage_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Fraction of the features that are among the first k columns of any row.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    coverage : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import coverage_at_k
    >>> print(round(coverage_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"coverage@{k}"]


def gini_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Gini coefficient of how often features are among the first k columns.

    It is 0 if all features are equally frequent, and near 1 if few features dominate.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        Positive entries are relevant; rows without any are ignored.
    items : array-like of int of shape (n_samples, m)
        Column indices, the best first, padded with -1, as returned by `recommend`.
    k : int, default=10
        Number of top columns to evaluate, at most m.

    Returns
    -------
    gini : float
        A number between 0 and 1.

    See Also
    --------
    ranking_report : All metrics in one pass, with their formulas.

    Examples
    --------
    >>> from sklearn_mf.metrics import gini_at_k
    >>> print(round(gini_at_k([[1, 0, 1, 0]], [[2, 1]], k=2), 2))
    0.5
    """
    return ranking_report(X_true, items, k=k)[f"gini@{k}"]
