"""Regressors that are scaled so that their squares cannot overflow."""

import numpy as np

# Powers of two up to which regressors are used unchanged. The squares of larger ones, and sums of
# them, might overflow single precision.
LARGE = 32


def of_ordinary_size(design, penalty):
    """Return regressors scaled to an ordinary size.

    A factor without a penalty may grow without bound if the other one is penalized. The scales are
    powers of two, so no digits change.

    Parameters
    ----------
    design : ndarray of shape (n_columns, k)
        The regressors.
    penalty : RowPenalty
        Penalty on their codes.

    Returns
    -------
    design : ndarray of shape (n_columns, k)
        The regressors, divided by their sizes.
    penalty : RowPenalty
        Penalty on codes that are multiplied by the sizes.
    size : ndarray of shape (k,)
        The sizes, 1 for regressors of ordinary size.
    """
    largest = np.abs(design).max(axis=0, initial=0)
    if (largest <= 2.0**LARGE).all():
        return design, penalty, np.ones_like(largest)
    _, power = np.frexp(largest)
    size = np.exp2(np.where(power > LARGE, power, 0)).astype(design.dtype)
    inside = penalty._replace(ridge=penalty.ridge / size / size, l1=penalty.l1 / size)
    return design / size, inside, size
