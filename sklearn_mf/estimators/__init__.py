"""What users see: estimators in scikit-learn's sense."""

from sklearn_mf.estimators._matrix_factorization import MatrixFactorization

__all__ = ["MatrixFactorization"]
