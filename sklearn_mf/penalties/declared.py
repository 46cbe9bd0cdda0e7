"""Whether a penalty declares what solvers must know of it."""

from sklearn_mf.penalties._base import BasePenalty
from sklearn_mf.utils._abilities import defines

SEPARABLE = ("entries", "rows", "factor")


def check_declared(penalty, name="penalty"):
    """Refuse what is no penalty, or does not declare what solvers must know of it.

    Parameters
    ----------
    penalty : object
        What was given.
    name : str, default="penalty"
        What messages call it.

    Raises
    ------
    TypeError
        If it is no penalty.
    ValueError
        If a method or declaration is missing.
    """
    kind = type(penalty).__name__
    if not isinstance(penalty, BasePenalty):
        raise TypeError(f"{name} is an object of {kind}: it must be a BasePenalty.")
    if penalty.separable not in SEPARABLE:
        raise ValueError(
            f"{name}: {kind}.separable is {penalty.separable!r}. Declare what it is a sum over: "
            "'entries', 'rows' or 'factor'."
        )
    if not defines(penalty, "value", BasePenalty):
        raise ValueError(f"{name}: {kind} has no value(V). Define it.")
    if not (defines(penalty, "prox", BasePenalty) or penalty.has_gradient):
        raise ValueError(
            f"{name}: {kind} has neither gradient(V), of a smooth part, nor prox(V, step), of one "
            "that is not. Define those of the parts that it has."
        )
    if not (penalty.is_smooth or defines(penalty, "prox", BasePenalty)):
        raise ValueError(f"{name}: {kind} says that it is not smooth. Define prox(V, step).")
