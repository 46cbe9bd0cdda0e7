"""Helpers shared by all checks."""

import numpy as np
from sklearn.base import clone


def holds(condition, thing, what):
    """Raise an AssertionError that names the object if a condition does not hold."""
    if not condition:
        raise AssertionError(f"{thing!r}: {what}")


def agree(found, expected, thing, what, rtol=1e-6, atol=1e-8):
    """Raise an AssertionError that shows both numbers if they differ."""
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=atol, err_msg=f"{thing!r}: {what}", equal_nan=False
    )


def check_clone(thing):
    """Check that the parameters are those of the constructor, as scikit-learn requires."""
    twin = clone(thing)
    names = sorted(thing.get_params(deep=False))
    holds(
        sorted(twin.get_params(deep=False)) == names,
        thing,
        "its clone has different parameters. Set each of them in __init__, under its own name.",
    )


def check_untouched(thing, method, arrays, *more):
    """Call a method, check that it does not modify its arrays, and return its result."""
    before = [array.copy() for array in arrays]
    found = getattr(thing, method)(*arrays, *more)
    for old, array in zip(before, arrays, strict=True):
        holds(
            np.array_equal(old, array, equal_nan=True), thing, f"{method} modifies its arguments."
        )
    return found
