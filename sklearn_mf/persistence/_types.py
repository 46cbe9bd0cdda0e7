"""Which objects a model may consist of."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module

# Of the package, but of no model: they draw, and loop over arrays.
LEFT_OUT = ("sklearn_mf.plotting", "sklearn_mf.kernels")
# Of scikit-learn: what the imputer adds, and what splits the data of a search.
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
    """Classes whose objects are saved and loaded, by their dotted names."""
    root = __name__.partition(".")[0]
    found = {}
    for name, classes in OF_SKLEARN.items():  # imported when they are needed: they take a while
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
    """The dotted name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def trusted_types():
    """Names of all classes whose objects models of this package consist of.

    They hold data and run nothing when they are loaded: what ``skops.io.load`` may trust.

    Returns
    -------
    names : list of str
        Dotted names, sorted.

    Examples
    --------
    >>> from sklearn_mf.persistence import trusted_types
    >>> "sklearn_mf.losses.squared.Squared" in trusted_types()
    True
    """
    return sorted(known_types())
