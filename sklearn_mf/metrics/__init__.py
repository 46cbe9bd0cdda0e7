"""Metrics of rankings: how many of the recommended columns are relevant.

A ranking is a row of column indices, the best first, padded with -1, as returned by `recommend`.
The relevant columns are the positive entries of ``X_true``, a sparse matrix of hidden entries. All
means are over the rows with relevant columns.
"""

from sklearn_mf.metrics._at_k import (
    binary_ndcg_at_k,
    capped_recall_at_k,
    coverage_at_k,
    gini_at_k,
    hit_rate_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)
from sklearn_mf.metrics._ranking import ranking_report, ranking_samples

__all__ = [
    "binary_ndcg_at_k",
    "capped_recall_at_k",
    "coverage_at_k",
    "gini_at_k",
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "ranking_report",
    "ranking_samples",
    "recall_at_k",
]
