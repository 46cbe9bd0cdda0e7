"""What users of codes see: the same neighbours and projections, in any unit and at any time."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, random_csr
from scipy import sparse
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.components import component_stability
from sklearn_mf.utils._monitors import Monitor


def model(k=3, solver="als", **parameters):
    parameters = {"alpha_W": 0.0, "bias": "features", "random_state": 0, **parameters}
    return MatrixFactorization(k, solver=solver, **parameters)


@pytest.mark.parametrize("whiten", [False, True])
def test_neighbours_do_not_depend_on_the_solver_but_on_whitening(whiten):
    X, y = load_wine(return_X_y=True)
    scores = {}
    pca = PCA(3, whiten=whiten)
    for name, steps in {
        "pca": pca,
        "svd": model(3, "svd", whiten=whiten),
        "als": model(3, "als", whiten=whiten, tol=1e-7),
        "lbfgs": model(3, "lbfgs", whiten=whiten, tol=1e-9),
    }.items():
        pipeline = make_pipeline(steps, KNeighborsClassifier(5))
        scores[name] = cross_val_score(pipeline, X, y).mean()
    assert max(scores.values()) - min(scores.values()) < 0.02


def test_one_missing_entry_of_the_digits_leaves_deviations_as_they_were():
    X = load_digits().data
    codes = PCA(3).fit_transform(X)
    X[5, 20] = np.nan
    found = model().fit_transform(X)
    np.testing.assert_allclose(found.std(axis=0), codes.std(axis=0), rtol=0.01)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e9])
@pytest.mark.parametrize("solver", ["svd", "als", "gd", "lbfgs"])
def test_components_have_no_unit_and_codes_that_of_the_data(solver, unit, dtype):
    X = (unit * low_rank(40, 12, mean=1.0)).astype(dtype)
    fitted = model(solver=solver, max_iter=2000, tol=1e-6).fit(X)
    H = fitted.components_
    np.testing.assert_allclose(H @ H.T, np.eye(3), atol=10 * np.sqrt(np.finfo(dtype).eps))
    W = fitted.transform(X).astype(np.float64) / unit
    pca = PCA(3, svd_solver="full").fit(X / unit)
    np.testing.assert_allclose(W.var(axis=0, ddof=1), pca.explained_variance_, rtol=1e-3)
    np.testing.assert_allclose(
        fitted.explained_variance_ / unit**2, pca.explained_variance_, rtol=1e-3
    )


@pytest.mark.parametrize("solver", ["svd", "als", "gd", "lbfgs", "adam"])
def test_projections_of_new_samples_are_those_of_pca(solver):
    rng = np.random.default_rng(0)
    X = 0.1 * rng.standard_normal((100, 3))
    X[:10] += [3, 4, 5]
    new = 0.1 * rng.standard_normal((1, 3)) + [3, 4, 5]
    fitted = model(2, solver, max_iter=3000, tol=1e-9).fit(X)
    code = fitted.transform(new)[0]
    assert abs(code[0]) / np.linalg.norm(code) == pytest.approx(1, rel=5e-3)
    np.testing.assert_allclose(code, PCA(2).fit(X).transform(new)[0], atol=0.01)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", ["svd", "als", "lbfgs"])
def test_nearly_all_of_the_data_is_inverted(solver, whiten):
    X = np.random.default_rng(0).standard_normal((50, 3))
    X[:, 1] *= 0.00001
    X += [5, 4, 3]
    fitted = model(2, solver, whiten=whiten, tol=1e-12, max_iter=2000)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.fit_transform(X)), X, rtol=5e-5)


def test_two_samples_have_the_codes_of_pca():
    X = [[1.0, 0.0], [0.0, 1.0]]
    for solver in ("svd", "als"):
        codes = model(1, solver).fit_transform(X)
        np.testing.assert_allclose(codes, PCA(1).fit_transform(X), atol=1e-9)


@pytest.mark.parametrize("solver", ["svd", "als"])
def test_sparse_data_have_the_form_of_dense(solver):
    X = random_csr((200, 40), 0.2)
    X = X @ sparse.diags_array(np.linspace(5, 1, 40))
    ours = [model(4, solver, tol=1e-10, max_iter=2000).fit(data) for data in (X, X.toarray())]
    pca = PCA(4, svd_solver="full").fit(X.toarray())
    for fitted in ours:
        np.testing.assert_allclose(fitted.components_, pca.components_, atol=1e-3)
        for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
            np.testing.assert_allclose(getattr(fitted, name), getattr(pca, name), rtol=1e-4)
    about_zero = model(4, solver, bias=False, tol=1e-10, max_iter=2000).fit(X)
    svd = TruncatedSVD(4, algorithm="arpack").fit(X)
    np.testing.assert_allclose(np.abs(about_zero.components_), np.abs(svd.components_), atol=1e-3)


@pytest.mark.parametrize("alpha_W", [0.0, 0.1])
def test_factors_on_the_way_have_the_form_too(monkeypatch, alpha_W):
    found = []

    class Watch(Monitor):
        def __init__(self, result_at):
            self.result_at = result_at

        def end(self, state):
            before = state.Ht.copy()
            found.append(self.result_at(state))
            np.testing.assert_array_equal(state.Ht, before)
            return False

    def monitors(self, solver, given, result_at, unit):
        return [Watch(result_at)]

    monkeypatch.setattr(MatrixFactorization, "_monitors", monitors)
    X = punch_holes(low_rank(40, 12, mean=1.0), 0.1)
    fitted = model(alpha_W=alpha_W).fit(X)
    assert len(found) == fitted.n_iter_ > 1
    np.testing.assert_array_equal(found[-1].model.components, fitted.components_)
    for result in found:
        assert (np.diff(result.state.spectrum.squares) <= 0).all()


def test_searches_and_stability_take_the_form():
    X = punch_holes(low_rank(80, 15, noise=0.5), 0.2)
    search = RankSearchCV(model(alpha_W=0.05), ranks=[2, 3, 4], random_state=0).fit(X)
    assert (np.diff(search.best_estimator_.explained_variance_) <= 0).all()
    assert component_stability(model(2, alpha_W=0.05), X) > 0.9
