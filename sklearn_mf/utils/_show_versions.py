"""Information for bug reports."""

import platform
from importlib.metadata import PackageNotFoundError, version

from sklearn_mf import kernels
from sklearn_mf.utils._threads import n_threads

PACKAGES = ("sklearn-mf", "scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl")


def show_versions():
    """Print the versions of the package and its dependencies, and the kernels in use.

    Examples
    --------
    >>> from sklearn_mf import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    sklearn-mf...
    """
    facts = {name: _version(name) for name in PACKAGES}
    facts["python"] = platform.python_version()
    facts["platform"] = platform.platform()
    facts["kernels"] = f"{kernels.IMPLEMENTATION}, {n_threads()} thread(s)"
    for name, fact in facts.items():
        print(f"{name:>13}: {fact}")


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
