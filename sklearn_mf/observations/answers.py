"""What a loss answers, looked at before anything follows it: it may be a user's own."""

import numpy as np


def value_of(loss, x, m):
    """`BaseLoss.value`, a number for every entry."""
    return _for_every_entry(loss.value(x, m), loss, "value", m)


def gradient_of(loss, x, m):
    """`BaseLoss.gradient`, a number for every entry."""
    return _for_every_entry(loss.gradient(x, m), loss, "gradient", m)


def parabola_of(loss, x, m):
    """`BaseLoss.parabola`, numbers for every entry and no negative weight where x is observed.

    Parameters
    ----------
    loss : BaseLoss
        The loss, or those of several columns.
    x : ndarray
        Data; NaN is missing.
    m : ndarray of the same shape
        Model values.

    Returns
    -------
    weight, target : ndarray of the same shape
        Curvature and minimum, of the data type of m.

    Raises
    ------
    ValueError
        If shapes differ, a weight is negative or NaN, or the model is NaN.
    """
    method = "quadratic" if hasattr(loss, "quadratic") else "curvature"
    weight, target = (
        _for_every_entry(numbers, loss, method, m).astype(m.dtype, copy=False)
        for numbers in loss.parabola(x, m)
    )
    wrong = ~(weight >= 0)
    if wrong.any() and (wrong := wrong & ~np.isnan(x)).any():
        if np.isnan(m[wrong][0]):
            raise ValueError(
                "The model diverged: one of its values is NaN, so factors are infinite or far out of "
                "proportion. Scale X, or give alpha_W and alpha_H like numbers above 0."
            )
        raise ValueError(
            f"{type(loss).__name__}.{method} returned {weight[wrong][0]:g} as a weight, for data "
            f"of {x[wrong][0]:g} and a model value of {m[wrong][0]:g}. Weights must not be "
            "negative or NaN."
        )
    return weight, target


def _for_every_entry(numbers, loss, method, m):
    if np.shape(numbers) != m.shape:
        raise ValueError(
            f"{type(loss).__name__}.{method} returned an array of shape {np.shape(numbers)} for "
            f"model values of shape {m.shape}. It must return a number for every entry."
        )
    return numbers
