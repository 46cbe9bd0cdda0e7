"""Ratings and interactions: real ones, files of one's own, and generated ones."""

from sklearn_mf.datasets._generators import make_implicit, make_ratings
from sklearn_mf.datasets._movielens import fetch_movielens
from sklearn_mf.datasets._ratings import load_ratings

__all__ = ["fetch_movielens", "load_ratings", "make_implicit", "make_ratings"]
