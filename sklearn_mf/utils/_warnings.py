"""Warnings that point at the line of the user, however deep in the package they arise."""

import contextlib
import os
import sys
import threading
import warnings
from concurrent import futures
from contextvars import ContextVar

import joblib
import sklearn

# Whose frames may lie between the line of a user and a warning: the package, the wrappers of
# scikit-learn and joblib, context managers, and what threads and processes begin with.
SKIPPED = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    *(os.path.dirname(package.__file__) + os.sep for package in (sklearn, joblib, futures)),
    # Without its end: Python's own skipping takes no whole name of a file for a prefix.
    *(os.path.splitext(module.__file__)[0] + "." for module in (contextlib, threading)),
    "<frozen ",
)


class EmptyFeatures(UserWarning):
    """Of features without any entry, which whoever knows of them may not want to hear of again."""


_unwanted = ContextVar("unwanted", default=())


@contextlib.contextmanager
def quiet(category):
    """Silence on what the package would warn of, in this thread alone.

    Filters of `warnings` belong to the process: of two threads that change them at the same
    time, the last one to go puts back what the first had set.

    Parameters
    ----------
    category : type of Warning
        What not to warn of.
    """
    before = _unwanted.set((*_unwanted.get(), category))
    try:
        yield
    finally:
        _unwanted.reset(before)


def warn(message, category=UserWarning):
    """Warn of something that the line outside of all packages above can change.

    Parameters
    ----------
    message : str
        What is wrong, where, and what to do.
    category : type of Warning, default=UserWarning
        Of which kind it is.
    """
    if issubclass(category, _unwanted.get()):
        return
    if sys.version_info >= (3, 12):
        warnings.warn(message, category, skip_file_prefixes=SKIPPED)
    else:
        warnings.warn(message, category, stacklevel=_levels_up())


def is_called_by(package):
    """Whether the nearest line outside of this package, and of base classes, is in a package.

    Parameters
    ----------
    package : str
        Its name.

    Returns
    -------
    is_called : bool
        For instance whether a pipeline or a search calls, and not a user.
    """
    frame, name = sys._getframe(1), "sklearn_mf"
    wrappers = "sklearn.base", "sklearn.utils._set_output"
    while frame is not None and (name.startswith("sklearn_mf") or name in wrappers):
        frame = frame.f_back
        name = frame.f_globals.get("__name__", "") if frame else ""
    return name.partition(".")[0] == package


def _levels_up():
    """The ``stacklevel`` of the caller's caller outside; beyond the last frame if there is none.

    Frames of the import system do not count, as in `warnings.warn`.
    """
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(SKIPPED):
        frame = frame.f_back
        level += not _imports(frame)
    return level


def _imports(frame):
    name = frame.f_code.co_filename if frame else ""
    return "importlib" in name and "_bootstrap" in name
