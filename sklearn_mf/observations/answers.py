"""Checks of the results of a loss, which may be defined by the user, before they are used."""

import numpy as np


def value_of(loss, x, m):
    """Return `BaseLoss.value`, after checking that it has a number for every entry."""
    return _for_every_entry(loss.value(x, m), loss, "value", m)


def gradient_of(loss, x, m):
    """Return `BaseLoss.gradient`, after checking that it has a number for every entry."""
    return _for_every_entry(loss.gradient(x, m), loss, "gradient", m)


def parabola_of(loss, x, m):
    """Return `BaseLoss.parabola`, after checking its shapes and its weights.

    Parameters
    ----------
    loss : BaseLoss
        A loss, or the losses of several columns.
    x : ndarray
        Data, with NaN for missing values.
    m : ndarray of the same shape
        Model values.

    Returns
    -------
    weight, target : ndarray of the same shape
        Curvature and minimizer of the parabola, of the dtype of m.

    Raises
    ------
    ValueError
        If shapes are wrong, if a weight of an observed entry is negative or NaN, or if the model is
        NaN.
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
                "The model diverged: one of its values is NaN, so factors are infinite or far out "
                "of proportion. Scale X, or use similar positive numbers for alpha_W and alpha_H."
            )
        raise ValueError(
            f"{type(loss).__name__}.{method} returned the weight {weight[wrong][0]:g} for a data "
            f"value of {x[wrong][0]:g} and a model value of {m[wrong][0]:g}. Weights must not be "
            "negative or NaN."
        )
    return weight, target


def _for_every_entry(numbers, loss, method, m):
    if np.shape(numbers) != m.shape:
        raise ValueError(
            f"{type(loss).__name__}.{method} returned an array of shape {np.shape(numbers)} for "
            f"model values of shape {m.shape}. It must return one number for every entry."
        )
    return numbers
