"""The objective function, the factor model, and the units of both."""

from sklearn_mf.objective.constants import column_means, overall_constant
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.layout import Layout
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.objective.units import Unit

__all__ = ["FactorModel", "Layout", "Problem", "Side", "Unit", "column_means", "overall_constant"]
