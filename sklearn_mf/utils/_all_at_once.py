"""Fits whose attributes come all at once, at the end, or not at all."""

from functools import wraps


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after which the attributes are complete: those of the last good factors."""


def all_at_once(fit):
    """Let a method that fits change its estimator in one step, after its work.

    It works on a shallow copy. Whatever ends it before, an error or Ctrl-C, leaves the estimator
    as it was: never with the names of one fit and the components of another.

    Parameters
    ----------
    fit : callable
        The method. It may raise `Interrupted`.

    Returns
    -------
    fit_all_at_once : callable
        The same with that promise. Where it is interrupted, it raises a KeyboardInterrupt.
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
