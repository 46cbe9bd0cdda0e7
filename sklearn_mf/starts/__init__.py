"""Initialization of solvers. Only the factor of the features may be random; W follows from it."""

from sklearn_mf.starts.nonnegative import NONNEGATIVE_INITS, nonnegative_start
from sklearn_mf.starts.start import INITS, start, without_saddles, zeros

__all__ = ["INITS", "NONNEGATIVE_INITS", "nonnegative_start", "start", "without_saddles", "zeros"]
