"""Warnings that point at the line of the user, wherever they are raised in the package."""

import contextlib
import os
import sys
import threading
import warnings
from concurrent import futures
from contextvars import ContextVar

import joblib
import sklearn

# Modules whose frames may be between the line of the user and a warning: this package, the wrappers
# of scikit-learn and joblib, context managers, and the entry points of threads and processes.
SKIPPED = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    *(os.path.dirname(package.__file__) + os.sep for package in (sklearn, joblib, futures)),
    # The file extension is removed, because Python does not accept a whole file name as a prefix.
    *(os.path.splitext(module.__file__)[0] + "." for module in (contextlib, threading)),
    "<frozen ",
)


class EmptyFeatures(UserWarning):
    """A warning about features without observed entries, which callers may want to suppress."""


_unwanted = ContextVar("unwanted", default=())


@contextlib.contextmanager
def quiet(category):
    """Suppress warnings of the package in this thread only.

    The filters of `warnings` belong to the process: if two threads change them at the same time,
    the one that ends last restores the filters of the other.

    Parameters
    ----------
    category : type of Warning
        The category to suppress.
    """
    before = _unwanted.set((*_unwanted.get(), category))
    try:
        yield
    finally:
        _unwanted.reset(before)


def warn(message, category=UserWarning):
    """Issue a warning that points at the caller outside of this package.

    Parameters
    ----------
    message : str
        What is wrong, where, and what to do.
    category : type of Warning, default=UserWarning
        The category of the warning.
    """
    if issubclass(category, _unwanted.get()):
        return
    if sys.version_info >= (3, 12):
        warnings.warn(message, category, skip_file_prefixes=SKIPPED)
    else:
        warnings.warn(message, category, stacklevel=_levels_up())


def is_called_by(package):
    """Return whether this package is called by another package.

    This is decided by the nearest frame outside of this package and of base classes.

    Parameters
    ----------
    package : str
        Name of the package.

    Returns
    -------
    is_called : bool
        True, for example, if a pipeline or a search of the package is the caller.
    """
    frame, name = sys._getframe(1), "sklearn_mf"
    wrappers = "sklearn.base", "sklearn.utils._set_output"
    while frame is not None and (name.startswith("sklearn_mf") or name in wrappers):
        frame = frame.f_back
        name = frame.f_globals.get("__name__", "") if frame else ""
    return name.partition(".")[0] == package


def _levels_up():
    """Return the ``stacklevel`` of the nearest frame outside, beyond the last if there is none.

    Frames of the import system are not counted, as in `warnings.warn`.
    """
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(SKIPPED):
        frame = frame.f_back
        level += not _imports(frame)
    return level


def _imports(frame):
    name = frame.f_code.co_filename if frame else ""
    return "importlib" in name and "_bootstrap" in name
