"""Retrieval with a fitted model: recommendations, similarities and explanations.

These functions of a model and of arrays are called by the methods of estimators.
"""

from sklearn_mf.retrieval.candidates import (
    Candidates,
    column_list,
    entries_of_rows,
    seen_in,
)
from sklearn_mf.retrieval.diversity import reranked
from sklearn_mf.retrieval.explanation import contributions
from sklearn_mf.retrieval.rankings import check_rankings
from sklearn_mf.retrieval.similarity import most_similar
from sklearn_mf.retrieval.top import best_columns

__all__ = [
    "Candidates",
    "best_columns",
    "check_rankings",
    "column_list",
    "contributions",
    "entries_of_rows",
    "most_similar",
    "reranked",
    "seen_in",
]
