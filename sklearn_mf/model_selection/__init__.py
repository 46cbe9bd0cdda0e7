"""Selection of ranks, penalties and estimators by cross-validation over entries.

If the code of a row is fitted to all of its entries, every higher rank reconstructs the row better,
so splits of rows alone cannot select a rank. Here entries are hidden and predicted from the others.
"""

from sklearn_mf.model_selection._bi_cross_validation import bi_cross_val_score
from sklearn_mf.model_selection._cross_validation import cross_val_entries
from sklearn_mf.model_selection._entries import hide_entries, observed_entries
from sklearn_mf.model_selection._holdout import EntryHoldout
from sklearn_mf.model_selection._rank import select_rank
from sklearn_mf.model_selection._rank_search import RankSearchCV
from sklearn_mf.model_selection._ranking_scorer import RankingScorer
from sklearn_mf.model_selection._scorer import MaskedEntryScorer
from sklearn_mf.model_selection._split import (
    EntryKFold,
    EntryShuffleSplit,
    train_test_entry_split,
)
from sklearn_mf.model_selection._time_splits import (
    EntryLeaveLastOut,
    EntryTimeSeriesSplit,
    EntryTimeSplit,
)

__all__ = [
    "EntryHoldout",
    "EntryKFold",
    "EntryLeaveLastOut",
    "EntryShuffleSplit",
    "EntryTimeSeriesSplit",
    "EntryTimeSplit",
    "MaskedEntryScorer",
    "RankSearchCV",
    "RankingScorer",
    "bi_cross_val_score",
    "cross_val_entries",
    "hide_entries",
    "observed_entries",
    "select_rank",
    "train_test_entry_split",
]
