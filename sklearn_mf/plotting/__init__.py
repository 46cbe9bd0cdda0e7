"""Displays in the style of scikit-learn. Matplotlib is needed only for plotting."""

from sklearn_mf.plotting._components import ComponentsDisplay
from sklearn_mf.plotting._loss_curve import LossCurveDisplay
from sklearn_mf.plotting._missing_pattern import MissingPatternDisplay
from sklearn_mf.plotting._rank_search import RankSearchDisplay
from sklearn_mf.plotting._reconstruction import ReconstructionDisplay

__all__ = [
    "ComponentsDisplay",
    "LossCurveDisplay",
    "MissingPatternDisplay",
    "RankSearchDisplay",
    "ReconstructionDisplay",
]
