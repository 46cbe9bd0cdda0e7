"""Distribution of the scale of a component between the two factors."""

import numpy as np

BALANCE_STEPS = 10
# Largest deviation, in powers of two, of the scales of the two sides of a component from their
# mean.
UNEVEN = 4


def even_scale(row_squares, column_squares):
    """Return the scale of each component that makes its two sides equally long, if necessary.

    The scale is a power of two, so the model does not change in any digit. Without penalties all
    scales have the same cost, but with very different scales the rows could not be solved
    accurately.
    """
    known = (row_squares > 0) & (column_squares > 0)
    # The quotient of diverging numbers may overflow, but not the difference of their logarithms.
    rows, columns = (np.where(known, squares, 1) for squares in (row_squares, column_squares))
    power = np.rint((np.log2(rows) - np.log2(columns)) / 4)
    return np.exp2(np.where(np.abs(power) > UNEVEN, power, 0))


def cheapest_scale(row_l1, row_squares, column_l1, column_squares):
    """Return the scale s of each component that minimizes ``a/s + b/s^2 + c s + d s^2``.

    The function is convex in log(s), so Newton's method finds the minimum. If the penalties are of
    one kind, there is a closed form. A component that is zero, or not penalized on one side, keeps
    its scale.
    """
    row_cost, column_cost = row_l1 + row_squares, column_l1 + column_squares
    scalable = (row_cost > 0) & (column_cost > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where((row_l1 > 0) | (column_l1 > 0), 0.5, 0.25)
        log_scale = np.where(scalable, power * np.log(row_cost / column_cost), 0.0)
    if not (row_l1.any() or column_l1.any()):
        return np.exp(log_scale)
    for _ in range(BALANCE_STEPS):
        s = np.exp(log_scale)
        terms = row_l1 / s, row_squares / s**2, column_l1 * s, column_squares * s**2
        slope = terms[2] + 2 * terms[3] - terms[0] - 2 * terms[1]
        curvature = terms[0] + 4 * terms[1] + terms[2] + 4 * terms[3]
        step = np.divide(slope, curvature, out=np.zeros_like(slope), where=scalable)
        log_scale -= np.clip(step, -1, 1)
    return np.exp(log_scale)
