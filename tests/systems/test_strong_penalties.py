"""Penalties beside which the data are nothing: factors of zero, and no overflow."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF

MODELS = {
    "mu": NMF(2, solver="mu", beta_loss=3, init="random", random_state=0),
    "minibatch": MiniBatchNMF(2, beta_loss=3, init="random", random_state=0),
    "cd": NMF(2, init="random", random_state=0),
    "als": MatrixFactorization(2, random_state=0),
    "gd": MatrixFactorization(2, solver="gd", random_state=0),
    "lasso": MatrixFactorization(2, solver="gd", loss="huber", random_state=0),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*all zero|.*penalty.*|.*alpha.*:UserWarning")
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", MODELS)
def test_a_fixed_penalty_on_tiny_data_leaves_nothing(name, l1_ratio):
    X = (1e-15 * np.random.default_rng(0).random((6, 4))).astype(np.float32)
    model = MODELS[name].set_params(alpha_W=100.0, alpha_H=10.0, l1_ratio=l1_ratio)
    codes = model.fit_transform(X)
    assert np.isfinite(model.components_).all()
    assert np.isfinite(codes).all()
    assert np.abs(model.inverse_transform(codes)).max() <= 1e-3 * X.max()


@pytest.mark.filterwarnings("ignore:alpha_W=.*has hardly any effect:UserWarning")
@pytest.mark.parametrize("unstored", ["dense", "holes", "zero", "missing"])
@pytest.mark.parametrize("positive", [False, True])
def test_codes_of_components_whose_squares_no_float32_holds(positive, unstored):
    X = np.random.default_rng(0).random((9, 4)).astype(np.float32)
    if unstored != "dense":
        X[::2, 1] = 0 if unstored == "zero" else np.nan
    if unstored in ("zero", "missing"):
        X = sparse.csr_array(np.nan_to_num(X))
    model = MatrixFactorization(
        1,
        positive=positive,
        alpha_W=1e6,
        alpha_H=0.0,
        unstored="missing" if unstored == "missing" else "zero",
        solver="als",
        random_state=0,
    ).fit(X)
    usual = model.set_params(alpha_W=1e-6).transform(X)
    expected = model.inverse_transform(usual)
    model.components_ = 1e20 * model.components_
    codes = model.transform(X)
    assert_allclose(model.inverse_transform(codes), expected, rtol=1e-4)
