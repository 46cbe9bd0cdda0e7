"""Rows in any unit: a bias and codes may differ by any factor, and no row takes it for noise."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed

from sklearn_mf import MatrixFactorization
from sklearn_mf.systems import RowSystems, solve

UNITS = [(np.float32, c) for c in (1e-9, 1e9)] + [(np.float64, c) for c in (1e-17, 1e-9, 1e9, 1e17)]


@pytest.fixture(scope="module")
def ratings():
    return punch_holes(low_rank(60, 25, 2, noise=0.1, mean=3.0), 0.3)


def reconstruction(model, X, scale):
    model.set_params(random_state=0, alpha_W=0.0, alpha_H=0.0)
    model.fit(X)
    return model.inverse_transform(model.transform(X)) / scale


@pytest.mark.parametrize("unstored", [False, True])
@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
@pytest.mark.parametrize(("dtype", "c"), UNITS)
def test_nothing_of_a_fit_depends_on_the_unit(ratings, dtype, c, bias, unstored):
    def fitted(scale):
        X = (ratings * scale).astype(dtype)
        model = MatrixFactorization(2, bias=bias, init="random")
        if unstored:
            return reconstruction(model.set_params(unstored="missing"), store_observed(X), scale)
        return reconstruction(model, X, scale)

    tol = 2e-2 if dtype == np.float32 else 1e-3
    np.testing.assert_allclose(fitted(c), fitted(1.0), rtol=0, atol=tol * np.nanstd(ratings))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
@pytest.mark.parametrize(("dtype", "c"), UNITS)
def test_streams_do_not_depend_on_the_unit(ratings, dtype, c, bias, weighted):
    def streamed(scale):
        X = (ratings * scale).astype(dtype)
        model = MatrixFactorization(2, bias=bias, alpha_W=0.0, alpha_H=0.0, random_state=0)
        weights = np.random.default_rng(0).uniform(0.5, 2, size=X.shape) if weighted else None
        for first in range(0, len(X), 20):
            part = slice(first, first + 20)
            model.partial_fit(X[part], entry_weight=None if weights is None else weights[part])
        return model.inverse_transform(model.transform(X)) / scale

    tol = 2e-2 if dtype == np.float32 else 1e-3
    np.testing.assert_allclose(streamed(c), streamed(1.0), rtol=0, atol=tol * np.nanstd(ratings))


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("unit", [1e-14, 1e-5, 1.0, 1e5, 1e14])
def test_small_systems_have_no_unit(unit, singular):
    rng = np.random.default_rng(0)
    design = rng.normal(size=(5, 30, 4))
    if singular:
        design[:, :, 1] = -3 * design[:, :, 0]
    systems, truth = design.swapaxes(1, 2) @ design, rng.normal(size=(5, 4, 2))
    if singular:  # the shortest
        truth[:, 1] = -3 * truth[:, 0]
    units = np.array([1, 1, 1, unit])
    found = solve(
        systems * units * units[:, None],
        systems @ truth * units[:, None],
        np.finfo(np.float64).eps,
    )
    np.testing.assert_allclose(found * units[:, None], truth, rtol=1e-5, atol=1e-5)
    scaled = RowSystems(systems * units * units[:, None], np.zeros((5, 4)))
    spread = scaled.covariances(2.0, np.zeros((4, 4)))
    expected = 2.0 * np.linalg.pinv(systems, hermitian=True, rcond=1e-10)
    np.testing.assert_allclose(
        spread * units * units[:, None], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )
