"""What a prediction costs, entry by entry.

A loss is chosen by name, ``loss="huber"``, or handed over as an object,
``loss=Huber(delta=0.5)``. One idea a file; each is found here by being in this folder.
"""

from importlib import import_module
from pkgutil import iter_modules

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.losses.beta import BetaDivergence

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["BaseLoss", "BetaDivergence", *sorted(cls.__name__ for cls in LOSSES.values())]
globals().update({cls.__name__: cls for cls in LOSSES.values()})
