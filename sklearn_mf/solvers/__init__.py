"""Ways to find the factors. One file a solver; each is found here by being in this folder.

A solver is chosen by name, ``solver="als"``, or handed over as an object,
``solver=GradientDescent(learning_rate=0.01)``.
"""

from importlib import import_module
from pkgutil import iter_modules

from sklearn_mf.solvers._base import SOLVERS, BaseSolver, Memory, State
from sklearn_mf.utils._monitors import Monitor

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "BaseSolver",
    "Memory",
    "Monitor",
    "State",
    *sorted(cls.__name__ for cls in SOLVERS.values()),
]
globals().update({cls.__name__: cls for cls in SOLVERS.values()})
