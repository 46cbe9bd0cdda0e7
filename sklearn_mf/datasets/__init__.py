"""Data sets of ratings and interactions: real, from files, and generated."""

from sklearn_mf.datasets._generators import make_implicit, make_ratings
from sklearn_mf.datasets._movielens import fetch_movielens
from sklearn_mf.datasets._ratings import load_ratings

__all__ = ["fetch_movielens", "load_ratings", "make_implicit", "make_ratings"]
