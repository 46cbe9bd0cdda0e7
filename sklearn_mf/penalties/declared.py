"""Checks of the properties that a penalty must declare."""

from sklearn_mf.penalties._base import BasePenalty
from sklearn_mf.utils._abilities import defines

SEPARABLE = ("entries", "rows", "factor")


def check_declared(penalty, name="penalty"):
    """Raise an error for objects that are not penalties, or have no complete declaration.

    Parameters
    ----------
    penalty : object
        The object passed by the user.
    name : str, default="penalty"
        Name of the parameter for messages.

    Raises
    ------
    TypeError
        If the object is not a penalty.
    ValueError
        If a method or a declaration is missing.
    """
    kind = type(penalty).__name__
    if not isinstance(penalty, BasePenalty):
        raise TypeError(f"{name} must be a BasePenalty, got an object of type {kind}.")
    if penalty.separable not in SEPARABLE:
        raise ValueError(
            f"{name}: {kind}.separable is {penalty.separable!r}. Declare the parts of which the "
            "penalty is a sum: 'entries', 'rows' or 'factor'."
        )
    if not defines(penalty, "value", BasePenalty):
        raise ValueError(f"{name}: {kind} does not define value(V). Define this method.")
    if not (defines(penalty, "prox", BasePenalty) or penalty.has_gradient):
        raise ValueError(
            f"{name}: {kind} defines neither gradient(V), for a smooth part, nor prox(V, step), "
            "for a nonsmooth part. Define the methods of the parts that it has."
        )
    if not (penalty.is_smooth or defines(penalty, "prox", BasePenalty)):
        raise ValueError(f"{name}: {kind} declares that it is not smooth. Define prox(V, step).")
