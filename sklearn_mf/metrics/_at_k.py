"""The metrics of rankings, one by one."""

from sklearn_mf.metrics._ranking import ranking_report
from sklearn_mf.utils._typing import MatrixLike


def precision_at_k(X_true: MatrixLike, items: MatrixLike | None, k: int = 10) -> float:
    """Share of the first k columns that are relevant.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    precision : float
        Between 0 and 1.

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
    """Share of what is relevant that is among the first k columns.

    By all that is relevant, however many fit into k: no ranking reaches 1 where that is more. This
    is the recall of LightGCN's tables.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    recall : float
        Between 0 and 1.

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
    """Share of what is relevant, or of k if that is less, among the first k columns.

    A perfect ranking has 1. This is the recall of Mult-VAE, and what irspack calls
    `recall_with_cutoff`.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    capped_recall : float
        Between 0 and 1.

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
    """Share of the rows with anything relevant among the first k columns.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    hit_rate : float
        Between 0 and 1.

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

    Of one row the sum of the precisions at its relevant columns, by k or the number of what is
    relevant, whichever is less.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    map : float
        Between 0 and 1.

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
    """Mean of one by the rank of the first relevant column, 0 where none is among the first k.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    mrr : float
        Between 0 and 1.

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
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    ndcg : float
        Between 0 and 1.

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
    """Normalized discounted cumulative gain of the first k columns, all gains one.

    Whatever the values of `X_true` are: what most papers on implicit feedback show.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    binary_ndcg : float
        Between 0 and 1.

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
    """Share of the features that are among the first k columns of any row.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    coverage : float
        Between 0 and 1.

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

    0 if all are equally often, near 1 if few have everything.

    Parameters
    ----------
    X_true : {sparse matrix, array-like} of shape (n_samples, n_features)
        What is positive is relevant; rows without any do not count.
    items : array-like of int of shape (n_samples, m)
        Columns, the best first, and -1 for none, as `recommend` returns them.
    k : int, default=10
        How many of the first columns count, at most m.

    Returns
    -------
    gini : float
        Between 0 and 1.

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
