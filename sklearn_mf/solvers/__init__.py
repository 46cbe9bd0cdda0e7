"""Solvers: the algorithms that find the factors, one in each file.

A solver is given by its name, as in ``solver="als"``, or as an object, as in
``solver=GradientDescent(learning_rate=0.01)``. A new solver is a subclass of `BaseSolver`.
"""

from sklearn_mf.solvers._base import SOLVERS as SOLVERS
from sklearn_mf.solvers._base import BaseSolver, Memory, State
from sklearn_mf.solvers.adam import Adam
from sklearn_mf.solvers.als import ALS
from sklearn_mf.solvers.coordinate_descent import CoordinateDescent
from sklearn_mf.solvers.gradient_descent import GradientDescent
from sklearn_mf.solvers.lbfgs import LBFGS
from sklearn_mf.solvers.multiplicative import MultiplicativeUpdate
from sklearn_mf.solvers.sgd import SGD
from sklearn_mf.solvers.spectral import Spectral
from sklearn_mf.utils._monitors import Monitor

__all__ = [
    "ALS",
    "LBFGS",
    "SGD",
    "Adam",
    "BaseSolver",
    "CoordinateDescent",
    "GradientDescent",
    "Memory",
    "Monitor",
    "MultiplicativeUpdate",
    "Spectral",
    "State",
]
