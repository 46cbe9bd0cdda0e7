"""How the size of a component is shared between the factors."""

import numpy as np

BALANCE_STEPS = 10
# Powers of two by which a component's sides may differ from their mean length.
UNEVEN = 4


def even_scale(row_squares, column_squares):
    """Scale of each component that makes both its sides as long, where they are far from it.

    A power of two: no digit of the model changes. No scaling costs less than another where nothing
    is penalized, but numbers that drift apart end beyond what rows can be solved with.
    """
    known = (row_squares > 0) & (column_squares > 0)
    # Of quotients of what has run away there may be no number, but of their logarithms.
    rows, columns = (np.where(known, squares, 1) for squares in (row_squares, column_squares))
    power = np.rint((np.log2(rows) - np.log2(columns)) / 4)
    return np.exp2(np.where(np.abs(power) > UNEVEN, power, 0))


def cheapest_scale(row_l1, row_squares, column_l1, column_squares):
    """Scale s of each component for which ``a/s + b/s^2 + c s + d s^2`` is least.

    Convex in log(s), so Newton's method finds it; in closed form where the penalties are of
    one kind. A component that one side lets go free, or that is zero, keeps its scale.
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
