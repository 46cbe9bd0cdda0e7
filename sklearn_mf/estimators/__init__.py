"""What users see: estimators in scikit-learn's sense."""

from sklearn_mf.estimators._implicit import ImplicitFactorization
from sklearn_mf.estimators._imputer import FactorizationImputer
from sklearn_mf.estimators._matrix_factorization import MatrixFactorization
from sklearn_mf.estimators._minibatch_nmf import MiniBatchNMF
from sklearn_mf.estimators._nmf import NMF, non_negative_factorization

__all__ = [
    "NMF",
    "FactorizationImputer",
    "ImplicitFactorization",
    "MatrixFactorization",
    "MiniBatchNMF",
    "non_negative_factorization",
]
