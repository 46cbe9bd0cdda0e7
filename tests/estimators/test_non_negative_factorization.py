"""The function `non_negative_factorization` against scikit-learn's, and with holes."""

from inspect import signature

import numpy as np
import pytest
from conftest import punch_holes, store_observed
from scipy import sparse
from scipy.optimize import nnls
from sklearn import decomposition

from sklearn_mf import NMF, non_negative_factorization
from sklearn_mf.solvers import CoordinateDescent, MultiplicativeUpdate

PLAIN = {
    "cd": CoordinateDescent(rounds=1, extrapolated=False),
    "mu": MultiplicativeUpdate(rounds=1, extrapolated=False),
}
unconverged = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:Maximum number")


def positive(n_samples=40, n_features=25, rank=4, seed=0):
    """Noisy non-negative data of low rank, some of them zero."""
    rng = np.random.default_rng(seed)
    product = rng.gamma(0.5, size=(n_samples, rank)) @ rng.gamma(0.5, size=(rank, n_features))
    return np.maximum(product + 0.1 * rng.normal(size=product.shape), 0)


def starts(X, k, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(shape) + 0.1 for shape in ((len(X), k), (k, X.shape[1]))]


def cost(X, W, H, beta):
    M = W @ H
    if beta == 2:
        return 0.5 * np.sum((X - M) ** 2)
    M = np.maximum(M, np.finfo(np.float32).eps)
    return np.sum(np.where(X > 0, X * np.log(np.where(X > 0, X, 1) / M), 0) - X + M)


def test_the_signature_begins_with_that_of_scikit_learn():
    theirs = signature(decomposition.non_negative_factorization).parameters
    ours = signature(non_negative_factorization).parameters
    assert [*ours][: len(theirs)] == [*theirs]
    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)


@unconverged
@pytest.mark.parametrize(("solver", "beta"), [("cd", 2), ("mu", 2), ("mu", 1)])
@pytest.mark.parametrize("alpha", [0, 2e-3])
def test_plain_iterations_find_the_components_of_scikit_learn(solver, beta, alpha):
    X = positive()
    W, H = starts(X, 4)
    parameters = {"init": "custom", "beta_loss": beta, "max_iter": 20, "tol": 0}
    parameters |= {"alpha_W": alpha, "l1_ratio": 0.3}
    theirs = decomposition.non_negative_factorization(
        X, W.copy(), H.copy(), 4, solver=solver, **parameters
    )
    ours = non_negative_factorization(X, W, H, 4, solver=PLAIN[solver], **parameters)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-6)
    assert ours[2] == theirs[2] == 20


@pytest.mark.parametrize(("solver", "beta"), [("cd", 2), ("mu", 2), ("mu", 1)])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_codes_at_given_components_are_those_of_scikit_learn_or_better(solver, beta, container):
    X = positive()
    H = starts(X, 4)[1]
    parameters = {"update_H": False, "solver": solver, "beta_loss": beta, "max_iter": 2000}
    theirs, _, _ = decomposition.non_negative_factorization(X, H=H, **parameters)
    before = H.copy()
    W, same, n_iter = non_negative_factorization(container(X), H=H, **parameters)
    np.testing.assert_array_equal(H, before)
    np.testing.assert_array_equal(same, H)
    assert n_iter == 1
    assert W.shape == (40, 4)
    assert cost(X, W, H, beta) <= cost(X, theirs, H, beta) * (1 + 1e-9)


def test_it_is_the_estimator_as_a_function():
    X = punch_holes(positive())
    model = NMF(3, alpha_W=1e-3, tol=1e-2, random_state=0)
    expected = model.fit_transform(X)
    parameters = {"alpha_W": 1e-3, "tol": 1e-2, "random_state": 0}
    W, H, n_iter = non_negative_factorization(X, n_components=3, **parameters)
    np.testing.assert_array_equal(W, expected)
    np.testing.assert_array_equal(H, model.components_)
    assert n_iter == model.n_iter_
    parameters = {"n_components": 3, "alpha_W": 1e-3, "H": H, "update_H": False}
    np.testing.assert_array_equal(non_negative_factorization(X, **parameters)[0], W)


def test_holes_do_not_count():
    X, (_, H) = punch_holes(positive()), starts(positive(), 4)
    W, _, _ = non_negative_factorization(X, H=H, update_H=False)
    for x, w in zip(X, W, strict=True):
        seen = ~np.isnan(x)
        np.testing.assert_allclose(w, nnls(H[:, seen].T, x[seen])[0], atol=1e-6)
    given = {"H": H, "update_H": False}
    stored, _, _ = non_negative_factorization(store_observed(X), unstored="missing", **given)
    np.testing.assert_allclose(stored, W, atol=1e-7)
    marked, _, _ = non_negative_factorization(np.nan_to_num(X, nan=-1), missing_values=-1, **given)
    np.testing.assert_allclose(marked, W, atol=1e-7)
    seen = (~np.isnan(X)).astype(float)
    weighted, _, _ = non_negative_factorization(positive(), entry_weight=seen, **given)
    np.testing.assert_allclose(weighted, W, atol=1e-7)


BAD = [
    ({"H": "H", "update_H": False, "n_components": 3}, r"wrong first dimension .* \(input H\)"),
    ({"H": "short", "update_H": False}, r"wrong second dimension passed to NMF \(input H\)"),
    ({"H": "negative", "update_H": False}, r"Negative values in data passed to NMF \(input H\)"),
    ({"H": "zero", "update_H": False}, r"Array passed to NMF \(input H\) is full of zeros"),
    ({"W": "W", "H": "short", "init": "custom"}, r"wrong second dimension .* \(input H\)"),
    ({"n_components": -1}, "The 'n_components' parameter of non_negative_factorization must be"),
    ({"init": "name"}, "The 'init' parameter of non_negative_factorization must be"),
    ({"tol": "name"}, "The 'tol' parameter of non_negative_factorization must be"),
    ({"update_H": "yes"}, "The 'update_H' parameter of non_negative_factorization must be"),
    ({"beta_loss": 1}, "Invalid beta_loss parameter: solver 'cd' does not handle beta_loss = 1"),
]


@pytest.mark.parametrize(("parameters", "words"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_in_the_words_of_scikit_learn(parameters, words):
    X = positive()
    W, H = starts(X, 4)
    arrays = {"W": W, "H": H, "short": H[:, 1:], "negative": -H, "zero": 0 * H}
    given = {
        name: arrays[value] if name in ("W", "H") else value for name, value in parameters.items()
    }
    for function in (decomposition.non_negative_factorization, non_negative_factorization):
        with pytest.raises(ValueError, match=words):
            function(X, **given)


def test_what_is_needed_and_what_is_not_used():
    X = positive()
    W, H = starts(X, 4)
    for function in (decomposition.non_negative_factorization, non_negative_factorization):
        with pytest.warns(RuntimeWarning, match="the provided initial W is not used"):
            function(X, W, H, update_H=False)
    with pytest.raises(ValueError, match="update_H=False needs H"):
        non_negative_factorization(X, update_H=False)
    with pytest.raises(ValueError, match=r"Negative values in data passed to NMF \(input X\)"):
        non_negative_factorization(-X, H=H, update_H=False)
    X[3] = np.nan
    with pytest.warns(UserWarning, match="1 of 40 samples have no observed entry"):
        assert not non_negative_factorization(X, H=H, update_H=False)[0][3].any()
