"""Losses: the cost of a prediction, entry by entry.

A loss is given by its name, as in ``loss="huber"``, or as an object, as in
``loss=Huber(delta=0.5)``. There is one file for each idea. A new loss is a subclass of `BaseLoss`.
"""

from sklearn_mf.losses._base import LOSSES as LOSSES
from sklearn_mf.losses._base import BaseLoss
from sklearn_mf.losses.absolute import Absolute, Quantile
from sklearn_mf.losses.beta import BetaDivergence
from sklearn_mf.losses.huber import Huber
from sklearn_mf.losses.logistic import Logistic
from sklearn_mf.losses.poisson import Poisson
from sklearn_mf.losses.squared import Squared

__all__ = [
    "Absolute",
    "BaseLoss",
    "BetaDivergence",
    "Huber",
    "Logistic",
    "Poisson",
    "Quantile",
    "Squared",
]
