"""What all checks share."""

import numpy as np
from sklearn.base import clone


def holds(condition, thing, what):
    """Raise an AssertionError that names the thing, if a condition does not hold."""
    if not condition:
        raise AssertionError(f"{thing!r}: {what}")


def agree(found, expected, thing, what, rtol=1e-6, atol=1e-8):
    """Raise an AssertionError that shows both, if numbers differ."""
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=atol, err_msg=f"{thing!r}: {what}", equal_nan=False
    )


def check_clone(thing):
    """Its parameters are those of its constructor, as scikit-learn wants them."""
    twin = clone(thing)
    names = sorted(thing.get_params(deep=False))
    holds(
        sorted(twin.get_params(deep=False)) == names,
        thing,
        "a clone has other parameters. Set each in __init__, under its own name.",
    )


def check_untouched(thing, method, arrays, *more):
    """A method does not write into its arrays; what it returns."""
    before = [array.copy() for array in arrays]
    found = getattr(thing, method)(*arrays, *more)
    for old, array in zip(before, arrays, strict=True):
        holds(
            np.array_equal(old, array, equal_nan=True), thing, f"{method} changes what it is given."
        )
    return found
