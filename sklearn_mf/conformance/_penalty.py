"""The checks of a penalty."""

import numpy as np

from sklearn_mf.conformance._base import agree, check_clone, check_untouched, holds
from sklearn_mf.penalties.declared import check_declared

SHAPE = 7, 3
STEP = 0.3
# Step of a finite difference, and its tolerance for rounding errors.
EPSILON, SLACK = 1e-6, 1e-5


def check_penalty(penalty, random_state=0):
    """Check that a penalty satisfies its contract and has the properties it declares.

    Parameters
    ----------
    penalty : BasePenalty
        The penalty to check. Its strength and its unit should not be extreme.
    random_state : int, default=0
        Seed of the random factors.

    Raises
    ------
    AssertionError
        If a check fails. The message gives the reason.
    ValueError, TypeError
        If a method or a declaration is missing.

    See Also
    --------
    check_loss : Check a loss.
    sklearn_mf.penalties.BasePenalty : The base class of penalties.

    Examples
    --------
    >>> from sklearn_mf.conformance import check_penalty
    >>> from sklearn_mf.penalties import GroupLasso
    >>> check_penalty(GroupLasso(alpha=0.5))
    """
    check_declared(penalty)
    check_clone(penalty)
    rng = np.random.default_rng(random_state)
    V = rng.normal(size=SHAPE)
    U = _allowed(penalty, V)
    _check_answers(penalty, V, U)
    _check_sum(penalty, U)
    for _ in range(10):
        _check_derivatives(penalty, rng)
    _check_declarations(penalty, U, _allowed(penalty, rng.normal(size=SHAPE)), rng)
    _check_unit(penalty, U, V)


def _steps(penalty, V, length):
    """Return step sizes in the shape that the penalty expects."""
    if penalty.separable == "entries":
        return np.full_like(V, length)
    return np.full_like(V, length, shape=(len(V), 1)) if penalty.separable == "rows" else length


def _prox(penalty, V, length):
    return V if penalty.is_smooth else penalty.prox(V, _steps(penalty, V, length))


def _allowed(penalty, V):
    """Return rows at which the penalty is finite."""
    return _prox(penalty, V, 0.0)


def _total(penalty, V):
    return float(np.sum(penalty.value(V)))


def _check_answers(penalty, V, U):
    """Check shapes and types of the results, and unchanged arguments."""
    value = check_untouched(penalty, "value", [U])
    expected = (len(U),) if penalty.is_rowwise else ()
    holds(
        np.shape(value) == expected,
        penalty,
        f"value returns an array of shape {np.shape(value)}; with separable="
        f"{penalty.separable!r} it must be {expected}.",
    )
    holds(np.isfinite(value).all(), penalty, "its value is not finite.")
    for dtype in (np.float32, np.float64):
        answers = {}
        if penalty.has_gradient:
            answers["gradient"] = check_untouched(penalty, "gradient", [U.astype(dtype)])
        if not penalty.is_smooth:
            step = _steps(penalty, V.astype(dtype), STEP)
            answers["prox"] = check_untouched(penalty, "prox", [V.astype(dtype)], step)
        for method, found in answers.items():
            holds(
                np.shape(found) == V.shape,
                penalty,
                f"{method} returns shape {np.shape(found)} for rows of shape {V.shape}.",
            )
            holds(
                found.dtype == dtype,
                penalty,
                f"{method} returns {found.dtype} for {np.dtype(dtype)}. NumPy scalars turn float32 "
                "into float64: convert them by float().",
            )


def _check_sum(penalty, U):
    """Check that the penalty is a sum over the declared parts."""
    if penalty.is_rowwise:
        parts = [penalty.value(U[[i]])[0] for i in range(len(U))]
        agree(penalty.value(U), parts, penalty, "the value of a row depends on other rows.")
        if not penalty.is_smooth:
            parts = np.vstack([_prox(penalty, U[[i]], STEP) for i in range(len(U))])
            agree(_prox(penalty, U, STEP), parts, penalty, "prox of a row depends on other rows.")
    if penalty.separable == "entries":
        parts = sum(penalty.value(U[:, [c]]) for c in range(U.shape[1]))
        agree(penalty.value(U), parts, penalty, "the value is not a sum over coefficients.")


def _check_derivatives(penalty, rng):
    """Check that `gradient` and `prox` together agree with `value`.

    At ``U = prox(V, t)``, the slope of the value in every feasible direction is at least that of
    ``gradient(U) + (V - U) / t``.
    """
    V = rng.normal(size=SHAPE)
    U = _prox(penalty, V, STEP)
    slope = (V - U) / STEP
    if penalty.has_gradient:
        slope = slope + penalty.gradient(U)
    for _ in range(10):
        direction = _allowed(penalty, U + rng.normal(size=SHAPE)) - U
        rise = (_total(penalty, U + EPSILON * direction) - _total(penalty, U)) / EPSILON
        least = float(np.vdot(slope, direction))
        holds(
            rise >= least - SLACK * (1 + abs(least)),
            penalty,
            "gradient and prox do not agree with value: at a result of prox, the value changes by "
            f"{rise:.6g} per step in a direction in which they predict at least {least:.6g}.",
        )


def _check_declarations(penalty, U, other, rng):
    """Check the properties that the penalty declares."""
    if penalty.positive:
        low = _prox(penalty, -np.abs(U) - 1, STEP)
        holds((low >= 0).all(), penalty, "positive is True, but prox returns negative numbers.")
    agree(_prox(penalty, U, 0.0), U, penalty, "prox with step 0 moves feasible rows.")
    if penalty.is_free:
        agree(_total(penalty, U), 0, penalty, "is_free is True, but its value is not zero.")
    if penalty.is_rotation_invariant:
        turn = np.linalg.qr(rng.normal(size=(SHAPE[1], SHAPE[1])))[0]
        agree(_total(penalty, U @ turn), _total(penalty, U), penalty, "rotations change its value.")
    if penalty.degree is not None:
        factors = np.array([0.5, 2.0, 3.0])
        parts = [_total(penalty, U[:, [c]]) for c in range(SHAPE[1])]
        agree(
            _total(penalty, U * factors),
            factors**penalty.degree @ parts,
            penalty,
            f"components multiplied by c do not multiply its value by c**{penalty.degree}.",
        )
    if penalty.has_gradient and penalty.curvature is not None:
        change = np.linalg.norm(penalty.gradient(U) - penalty.gradient(other))
        most = penalty.curvature * np.linalg.norm(U - other)
        holds(
            change <= most * (1 + 1e-6) + 1e-12,
            penalty,
            f"its gradient changes by {change:.6g}, but its curvature of {penalty.curvature:.6g} "
            f"allows at most {most:.6g}.",
        )
    if penalty.is_elastic:
        expected = penalty.l1 * np.abs(U).sum() + 0.5 * penalty.ridge * np.square(U).sum()
        agree(_total(penalty, U), expected, penalty, "ridge and l1 do not determine its value.")


def _check_unit(penalty, U, V):
    """Check that the penalty in another unit is the same penalty."""
    unit, of_objective = 2.0, 16.0
    inside = penalty.in_unit(unit, of_objective)
    check_declared(inside)
    agree(
        inside.value(U / unit),
        penalty.value(U) / of_objective,
        penalty,
        "in_unit(2, 16) does not divide rows by 2 and the value by 16.",
    )
    if penalty.has_gradient:
        agree(
            inside.gradient(U / unit),
            penalty.gradient(U) * unit / of_objective,
            penalty,
            "in_unit has a different gradient.",
        )
    agree(
        _prox(inside, V / unit, STEP * of_objective / unit**2),
        _prox(penalty, V, STEP) / unit,
        penalty,
        "in_unit has a different prox.",
    )
