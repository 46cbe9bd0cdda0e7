"""What users see: estimators in scikit-learn's sense."""

from sklearn_mf.estimators._imputer import FactorizationImputer
from sklearn_mf.estimators._matrix_factorization import MatrixFactorization
from sklearn_mf.estimators._nmf import NMF

__all__ = ["NMF", "FactorizationImputer", "MatrixFactorization"]
