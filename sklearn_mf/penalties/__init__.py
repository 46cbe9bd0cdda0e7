"""Penalties on the size and the shape of a factor.

There is one file for each idea. A new penalty is a subclass of `BasePenalty`.
"""

from sklearn_mf.penalties._base import PENALTIES as PENALTIES
from sklearn_mf.penalties._base import BasePenalty
from sklearn_mf.penalties.elastic import ElasticNet, Ridge
from sklearn_mf.penalties.group_lasso import GroupLasso
from sklearn_mf.penalties.smoothness import Smoothness

__all__ = ["BasePenalty", "ElasticNet", "GroupLasso", "Ridge", "Smoothness"]
