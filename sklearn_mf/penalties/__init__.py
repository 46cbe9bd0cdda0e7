"""What the size and the shape of a factor cost.

One idea a file; each is found here by being in this folder. A penalty of one's own is a
subclass of `BasePenalty`.
"""

from importlib import import_module
from pkgutil import iter_modules

from sklearn_mf.penalties._base import PENALTIES, BasePenalty

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["BasePenalty", *sorted(cls.__name__ for cls in PENALTIES.values())]
globals().update({cls.__name__: cls for cls in PENALTIES.values()})
