"""How good rankings are: the first columns that are recommended, by what turned out relevant.

A ranking is a row of column numbers, the best first and -1 for none, as `recommend` returns them.
Relevant is what is positive in ``X_true``, a sparse matrix of the entries that were hidden. All
means are over the rows for which anything is relevant.
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
