"""Recommendations from long tables of interactions, with labels of rows and columns."""

from sklearn_mf.recommending._triplet_regressor import TripletRegressor
from sklearn_mf.recommending.tables import pivot_entries
from sklearn_mf.recommending.vectors import feature_vectors, sample_vectors
from sklearn_mf.utils._labels import LabeledMatrix

__all__ = [
    "LabeledMatrix",
    "TripletRegressor",
    "feature_vectors",
    "pivot_entries",
    "sample_vectors",
]
