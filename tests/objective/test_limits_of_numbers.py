"""Data and weights at the ends of what numbers can be: fitted as others are, or refused."""

import re

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    MiniBatchNMF,
)
from sklearn_mf.losses import Huber, Quantile


def table(dtype=np.float64, holes=0.2):
    rng = np.random.default_rng(0)
    X = rng.random((20, 3)) @ rng.random((3, 8)) + 0.01 * rng.random((20, 8))
    X[rng.random(X.shape) < holes] = np.nan
    return X.astype(dtype)


ESTIMATORS = [
    MatrixFactorization(2, random_state=0),
    MatrixFactorization(2, bias="both", solver="gd", random_state=0),
    MatrixFactorization(2, loss=Huber(1e-201), random_state=0),
    NMF(2, random_state=0),
    MiniBatchNMF(2, random_state=0),
    FactorizationImputer(random_state=0),
]


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e-320])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_data_whose_squares_underflow_are_refused(estimator, size):
    X = table(holes=0 if isinstance(estimator, MiniBatchNMF) else 0.2) * size
    with pytest.raises(ValueError, match=r"X .*too small.*underflow. Scale"):
        estimator.fit(X)


def test_a_stream_refuses_them_too():
    with pytest.raises(ValueError, match=r"X .*too small.*underflow. Scale"):
        MiniBatchNMF(2).partial_fit(table(holes=0) * 1e-200)


def test_single_precision_refuses_data_without_an_inverse():
    with pytest.raises(ValueError, match=r"X .*too small.*underflow. Scale"):
        MatrixFactorization(2).fit(table(np.float32) * np.float32(1e-42))


@pytest.mark.parametrize(
    "estimator",
    [
        MatrixFactorization(2),
        MatrixFactorization(),
        MatrixFactorization(2, loss="absolute", alpha_W=1e-3),
    ],
    ids=repr,
)
def test_data_whose_squares_overflow_are_refused(estimator):
    with pytest.raises(ValueError, match=r"X is too large.*overflow. Scale"):
        estimator.fit(table() * 1e300)


def test_what_can_be_squared_is_fitted_as_in_any_other_unit():
    X, unit = table(), 2.0**-500
    near, far = (MatrixFactorization(2, random_state=0).fit(A) for A in (X, X * unit))
    assert far.reconstruction_err_ / unit == pytest.approx(near.reconstruction_err_, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("parameter", ["confidence_scale", "unobserved_weight"])
def test_weights_whose_products_overflow_are_refused(parameter, dtype):
    X = sparse.random(30, 12, 0.3, random_state=0, format="csr", dtype=dtype)
    few = {np.float64: 1e70, np.float32: 1e9}[dtype]
    ImplicitFactorization(2, **{parameter: few}).fit(X)
    for many in (1e10 if dtype == np.float32 else 1e100, 1e160, 1e300):
        named = re.escape(f"{parameter}={many:g}")
        with pytest.raises(ValueError, match=f"{named}.* at most"):
            ImplicitFactorization(2, **{parameter: many}).fit(X)


@pytest.mark.parametrize("size", [1e-310, 1e100, 1e300])
def test_confidences_beyond_numbers_are_refused_by_their_cell(size):
    X = sparse.csr_array([[0, size, 0], [1, 0, 1], [1, 1, 0]])
    with pytest.raises(ValueError, match=r"confidence='linear'.*row 0, column 1.*at most"):
        ImplicitFactorization(2, confidence="linear").fit(X)


@pytest.mark.parametrize("loss", ["huber", "absolute", Quantile(0.5)], ids=str)
@pytest.mark.parametrize(("outlier", "dtype"), [(9.97e36, np.float32), (1e60, np.float64)])
@pytest.mark.parametrize("alpha_W", ["auto", 1e-3])
def test_a_value_beside_which_all_others_are_nothing_is_refused(loss, outlier, dtype, alpha_W):
    X = table(dtype)
    X[3, 2] = outlier
    with pytest.raises(
        ValueError, match=r"X is too large: compared with its largest.*missing_values"
    ):
        MatrixFactorization(2, loss=loss, alpha_W=alpha_W, random_state=0).fit(X)


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("loss", ["huber", "absolute"])
def test_data_that_are_all_large_are_fitted_by_the_straight_part(loss):
    X = table() * 1e60
    model = MatrixFactorization(2, loss=loss, alpha_W=1e-3, random_state=0).fit(X)
    error = np.abs(model.inverse_transform(model.transform(X)) - X)
    assert np.nanmedian(error) < 0.1 * np.nanmedian(X)


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("loss", ["huber", "absolute"])
def test_ordinary_outliers_are_fitted_as_before(loss):
    X = table()
    X[3, 2] = 1e8
    model = MatrixFactorization(2, loss=loss, alpha_W=1e-3, random_state=0).fit(X)
    error = np.abs(model.inverse_transform(model.transform(X)) - X)
    assert np.nanmedian(error) < 0.2 * np.nanmedian(X)
