"""The checks of a loss."""

import numpy as np

from sklearn_mf.conformance._base import agree, check_clone, check_untouched, holds
from sklearn_mf.losses import BaseLoss
from sklearn_mf.utils._abilities import defines

# Data of several kinds. The first one that a loss accepts is used.
REAL = np.array([-3.0, -0.4, 0.0, 0.2, 1.0, 7.0])
KINDS = (
    REAL,
    np.array([0.0, 0.4, 1.0, 1.5, 3.0, 20.0]),
    np.array([0.3, 0.4, 1.0, 1.5, 3.0, 20.0]),
    np.array([0.0, 1.0, 1.0, 3.0, 0.0, 20.0]),
    np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]),
    np.array([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0]),
)
# Model values of both signs, and non-negative ones.
MODEL = np.array([0.1, 0.3, -5.0, 0.2000001, 1.5, -2.0])
PLACES = np.concatenate([MODEL, [0.0, 1e-9, 1e-5, 30.0]])
GRID = np.linspace(-20, 20, 401)


def check_loss(loss, X=None):
    """Check that a loss satisfies its contract, including the optional methods it defines.

    Parameters
    ----------
    loss : BaseLoss
        The loss to check.
    X : ndarray of shape (n_entries,) or None, default=None
        Data that the loss accepts, with at least two different values. With None, the first kind of
        data is used that its ``check_data`` accepts: real, non-negative, positive, integer or
        binary numbers.

    Raises
    ------
    AssertionError
        If a check fails. The message gives the reason.

    See Also
    --------
    check_penalty : Check a penalty.
    sklearn_mf.losses.BaseLoss : The base class of losses.

    Examples
    --------
    >>> from sklearn_mf.conformance import check_loss
    >>> from sklearn_mf.losses import Huber
    >>> check_loss(Huber(delta=0.5))
    """
    holds(isinstance(loss, BaseLoss), loss, "it is not a BaseLoss.")
    for method in ("value", "gradient"):
        holds(defines(loss, method, BaseLoss), loss, f"it does not define {method}(x, m).")
    check_clone(loss)
    x = _data(loss) if X is None else np.asarray(X, dtype=float)
    m = np.resize(MODEL, x.shape)
    m = m if loss.takes_any_model else np.abs(m)
    _check_answers(loss, x, m)
    _check_derivatives(loss, x, m)
    if hasattr(loss, "quadratic"):
        _check_bound(loss, x, m)
    _check_mean(loss, x, m)
    _check_unit(loss, x, m)


def _data(loss):
    if not hasattr(loss, "check_data"):
        return KINDS[0] if loss.takes_any_model else KINDS[2]
    for kind in KINDS[2:] if loss.positive_only and not loss.takes_any_model else KINDS:
        try:
            loss.check_data(kind)
        except ValueError:
            continue
        return kind
    raise AssertionError(f"{loss!r}: check_data accepts none of the test data. Pass X.")


def _check_answers(loss, x, m):
    """Check shapes and types of the results, unchanged arguments, and missing values."""
    for dtype in (np.float32, np.float64):
        arrays = x.astype(dtype), m.astype(dtype)
        answers = {
            name: check_untouched(loss, name, arrays) for name in ("value", "gradient", "curvature")
        }
        answers |= {name: check_untouched(loss, name, arrays[1:]) for name in ("mean", "from_mean")}
        if hasattr(loss, "quadratic"):
            weight, target = check_untouched(loss, "quadratic", arrays)
            answers |= {"quadratic (weights)": weight, "quadratic (targets)": target}
        for method, found in answers.items():
            holds(
                np.shape(found) == x.shape,
                loss,
                f"{method} returns shape {np.shape(found)} for data of shape {x.shape}.",
            )
            holds(
                found.dtype == dtype,
                loss,
                f"{method} returns {found.dtype} for {np.dtype(dtype)}. NumPy scalars, such as the "
                "result of np.log(2), turn float32 into float64: write float(np.log(2)).",
            )
        holds(np.isfinite(answers["value"]).all(), loss, "its value is not finite.")
        for method in ("value", "gradient"):
            _check_hole(loss, method, np.full_like(arrays[0], np.nan), arrays[1])


def _check_hole(loss, method, x, m):
    """Check that NaN causes no NumPy warning."""
    try:
        with np.errstate(all="raise"):
            getattr(loss, method)(x, m)
    except FloatingPointError as error:
        raise AssertionError(
            f"{loss!r}: {method} lets NumPy warn about data that are NaN ({error}), so that fits "
            "would warn of each missing value. The result for them is not used: compute it under "
            "`with np.errstate(invalid='ignore')`."
        ) from error


def _check_derivatives(loss, x, m):
    step = 1e-6

    def derivative(function):
        return (function(x, m + step) - function(x, m - step)) / (2 * step)

    agree(
        loss.gradient(x, m),
        derivative(loss.value),
        loss,
        "gradient is not the derivative of value.",
        rtol=1e-5,
        atol=1e-6,
    )
    agree(
        loss.curvature(x, m),
        derivative(loss.gradient),
        loss,
        "curvature is not the derivative of gradient.",
        rtol=1e-4,
        atol=1e-4,
    )


def _check_bound(loss, x, m):
    """Check that the parabola touches the loss and is nowhere below it."""
    weight, target = loss.quadratic(x, m)
    holds((weight >= 0).all(), loss, "quadratic returns negative weights.")
    agree(
        weight * (m - target),
        loss.gradient(x, m),
        loss,
        "w * (m - t) of quadratic is not the gradient: the parabola does not touch the loss.",
        rtol=1e-10,
        atol=1e-12,
    )
    places, grid = (PLACES, GRID) if loss.takes_any_model else (PLACES[PLACES > 0], GRID[GRID > 0])
    for place in places:
        at = np.full_like(x, place)
        weight, target = loss.quadratic(x, at)
        for z in grid:
            bound = loss.value(x, at) + 0.5 * weight * (z - place) * (z + place - 2 * target)
            below = loss.value(x, np.full_like(x, z)) - bound
            holds(
                (below <= 1e-9 * (1 + np.abs(bound))).all(),
                loss,
                f"the parabola of quadratic at m = {place:g} lies below the loss at {z:g}.",
            )


def _check_mean(loss, x, m):
    agree(
        loss.from_mean(loss.mean(m)),
        m,
        loss,
        "from_mean is not the inverse of mean.",
        rtol=1e-8,
    )
    if loss.fits_mean:
        best = loss.from_mean(x.mean())
        slope = loss.gradient(x, np.full_like(x, best))
        holds(
            abs(slope.sum()) <= 1e-6 * (1 + np.abs(slope).sum()),
            loss,
            "fits_mean is True, but the mean of the data is not the best constant.",
        )


def _check_unit(loss, x, m):
    if loss.degree is None:
        return
    agree(
        loss.value(2 * x, 2 * m),
        2.0**loss.degree * loss.in_unit(2.0).value(x, m),
        loss,
        f"if data and model are doubled, the loss is not multiplied by 2**{loss.degree:g}; see "
        "`degree` and `in_unit`.",
    )
