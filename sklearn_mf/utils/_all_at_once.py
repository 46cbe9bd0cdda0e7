"""Fits that set all attributes at the end, or none."""

from functools import wraps


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit that could be completed with the last good factors."""


def all_at_once(fit):
    """Decorate a fitting method so that it changes its estimator in a single step at the end.

    The method works on a shallow copy. If an error or Ctrl-C ends it earlier, the estimator does
    not change: it never has the feature names of one fit and the components of another.

    Parameters
    ----------
    fit : callable
        The method. It may raise `Interrupted`.

    Returns
    -------
    fit_all_at_once : callable
        The decorated method. If it is interrupted, it raises a KeyboardInterrupt.
    """

    @wraps(fit)
    def fit_all_at_once(self, *args, **kwargs):
        fitted = object.__new__(type(self))
        vars(fitted).update(vars(self))
        try:
            result = fit(fitted, *args, **kwargs)
        except Interrupted:
            self.__dict__ = vars(fitted)
            raise KeyboardInterrupt from None
        self.__dict__ = vars(fitted)
        return self if result is fitted else result

    return fit_all_at_once
