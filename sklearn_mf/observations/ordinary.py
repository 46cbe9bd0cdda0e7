"""Regressors whose squares have room among the numbers of their precision."""

import numpy as np

# Powers of two up to which regressors are taken as they are: the squares of those beyond, and sums
# of them, come near the end of single precision.
LARGE = 32


def of_ordinary_size(design, penalty):
    """Regressors that are no larger than they need to be.

    A factor that alone is free of a penalty grows for ever. No digit changes: sizes are powers of
    two.

    Parameters
    ----------
    design : ndarray of shape (n_columns, k)
        Regressors.
    penalty : RowPenalty
        Of their codes.

    Returns
    -------
    design : ndarray of shape (n_columns, k)
        The regressors, each divided by its size.
    penalty : RowPenalty
        Of codes that are multiplied by it.
    size : ndarray of shape (k,)
        1 where a regressor is of ordinary size already.
    """
    largest = np.abs(design).max(axis=0, initial=0)
    if (largest <= 2.0**LARGE).all():
        return design, penalty, np.ones_like(largest)
    _, power = np.frexp(largest)
    size = np.exp2(np.where(power > LARGE, power, 0)).astype(design.dtype)
    inside = penalty._replace(ridge=penalty.ridge / size / size, l1=penalty.l1 / size)
    return design / size, inside, size
