"""The classes of which a model may consist."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module

# Modules that define no part of a model, and should not be imported for this.
LEFT_OUT = ("sklearn_mf.plotting", "sklearn_mf.kernels")
# Classes of scikit-learn: the indicator in imputers, and the splitters of searches.
OF_SKLEARN = {
    "sklearn.impute": ["MissingIndicator"],
    "sklearn.model_selection": [
        "GroupKFold",
        "GroupShuffleSplit",
        "KFold",
        "LeaveOneGroupOut",
        "LeaveOneOut",
        "ShuffleSplit",
        "StratifiedKFold",
        "TimeSeriesSplit",
    ],
}


@cache
def known_types():
    """Return the classes that can be saved and loaded, by their dotted names."""
    root = __name__.partition(".")[0]
    found = {}
    for name, classes in OF_SKLEARN.items():  # imported when needed, because this takes time
        for cls in classes:
            cls = getattr(import_module(name), cls)
            found[name_of(cls)] = cls
    for module in pkgutil.walk_packages(import_module(root).__path__, f"{root}."):
        if module.name.startswith(LEFT_OUT):
            continue
        for _, cls in inspect.getmembers(import_module(module.name), inspect.isclass):
            if cls.__module__ == module.name and not issubclass(cls, BaseException):
                found[name_of(cls)] = cls
    return found


def name_of(cls):
    """Return the dotted name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def trusted_types():
    """Return the names of all classes of which models of this package consist.

    Their objects contain data and run no code when they are loaded, so the list can be passed to
    ``skops.io.load`` as trusted types.

    Returns
    -------
    names : list of str
        Dotted names in alphabetical order.

    Examples
    --------
    >>> from sklearn_mf.persistence import trusted_types
    >>> "sklearn_mf.losses.squared.Squared" in trusted_types()
    True
    """
    return sorted(known_types())
