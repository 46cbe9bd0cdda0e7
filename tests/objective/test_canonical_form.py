"""Codes mean the same whatever the solver, and as much as those of principal components."""

import numpy as np
import pytest
from conftest import fit_for, low_rank, punch_holes, store_observed
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_low_rank_matrix
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import StandardScaler

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Squared
from sklearn_mf.objective import canonical_form
from sklearn_mf.objective.canonical_form import canonical, positive_signs
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import Ridge

SOLVERS = ["svd", "als", "gd", "lbfgs", "adam"]


def model(k=3, solver="als", **parameters):
    parameters = {"alpha_W": 0.0, "max_iter": 5000, "tol": 1e-10, "random_state": 0, **parameters}
    return MatrixFactorization(k, solver=solver, **parameters)


@pytest.fixture(scope="module")
def wine():
    return StandardScaler().fit_transform(load_wine().data)


def posed(X, k, ridges, biases, sample_weight=None, alpha_scaling=1.0):
    rows, columns = (
        Side(Ridge(ridge), has_bias, bias_ridge)
        for ridge, (has_bias, bias_ridge) in zip(ridges, biases, strict=True)
    )
    observations = observe(X, sample_weight=sample_weight)
    return Problem(observations, Squared(), rows, columns, k, alpha_scaling)


class TestTheForm:
    """Of factors that no solver has touched."""

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("alpha_scaling", [0.0, 1.0])
    @pytest.mark.parametrize("sample_bias", [False, True])
    @pytest.mark.parametrize("feature_bias", [False, True])
    @pytest.mark.parametrize("ridges", [(0.0, 0.0), (0.3, 0.2), (0.3, 0.0), (0.0, 0.2)])
    def test_it_costs_no_more_and_says_the_same_twice(
        self, ridges, feature_bias, sample_bias, alpha_scaling, dtype
    ):
        X = punch_holes(low_rank(40, 12, mean=2.0)).astype(dtype)
        weight = np.random.default_rng(0).integers(0, 3, 40).astype(dtype)
        biases = (sample_bias, ridges[0]), (feature_bias, ridges[1] * sample_bias)
        problem = posed(X, 3, ridges, biases, weight, alpha_scaling)
        rng = np.random.RandomState(0)
        Ht = rng.standard_normal((12, problem.T.width)).astype(dtype)
        W = problem.fold_in(Ht)
        codes, components = canonical(problem, W, Ht)
        assert codes.dtype == components.dtype == dtype
        before, after = problem.value(W, Ht), problem.value(codes, components)
        rtol = float(np.sqrt(np.finfo(dtype).eps)) / 10
        assert after <= before * (1 + rtol)
        np.testing.assert_allclose(codes, problem.fold_in(components), rtol=0, atol=1e3 * rtol)
        if ridges == (0.0, 0.0):
            assert after == pytest.approx(before, rel=rtol)
            product = problem.model_factors(W, Ht), problem.model_factors(codes, components)
            values = [left @ right.T for left, right in product]
            np.testing.assert_allclose(*values, rtol=0, atol=1e3 * rtol)
            again = canonical(problem, codes, components)
            np.testing.assert_allclose(again[0], codes, rtol=0, atol=1e3 * rtol)
            np.testing.assert_allclose(again[1], components, rtol=0, atol=1e3 * rtol)

    def test_without_penalty_components_are_orthonormal_and_codes_uncorrelated(self):
        X = punch_holes(low_rank(60, 12, mean=2.0))
        fitted = model(bias="features").fit(X)
        W, H = fitted.transform(X), fitted.components_
        np.testing.assert_allclose(H @ H.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(W.mean(axis=0), 0, atol=1e-10)
        covariance = np.cov(W.T)
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-9)
        assert (np.diff(np.diag(covariance)) < 0).all()
        np.testing.assert_allclose(fitted.explained_variance_, np.diag(covariance))

    def test_both_biases_take_up_means(self):
        X = punch_holes(low_rank(60, 12, mean=2.0), share=0.1)
        fitted = model(bias="both", alpha_W=0.0).fit(X)
        W, H = fitted.transform(X), fitted.components_
        np.testing.assert_allclose(W.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(H.mean(axis=1), 0, atol=1e-10)
        np.testing.assert_allclose(H @ H.T, np.eye(3), atol=1e-12)

    def test_penalties_are_least_and_equal(self):
        X = low_rank(60, 12, mean=2.0)
        fitted = model(alpha_W=0.3, alpha_H=0.1, alpha_scaling=0, solver="gd").fit(X)
        W, H = fitted.transform(X), fitted.components_
        grams = 0.3 * W.T @ W, 0.1 * H @ H.T
        np.testing.assert_allclose(*grams, atol=1e-3)
        np.testing.assert_allclose(grams[0], np.diag(np.diag(grams[0])), atol=1e-8)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("ridge", [1e-25, 1e-18, 1e-6])
    def test_components_that_are_mixtures_of_others_beside_strong_biases(self, ridge, seed):
        rng = np.random.RandomState(seed)
        problem = posed(rng.random((6, 3)), 3, (ridge, ridge), [(True, 1e6), (True, 1e6)])
        Ht = rng.standard_normal((3, 4))
        Ht[2] = 0
        W = problem.fold_in(Ht)
        codes, components = canonical(problem, W, Ht)
        assert problem.value(codes, components) <= problem.value(W, Ht) * (1 + 1e-6)
        right, change = canonical_form.least_costly(problem, np.eye(5), Ht, np.ones(3))
        assert np.abs(right).max() <= 1e3 * np.abs(Ht).max()
        assert np.isfinite(change).all()

    def test_factors_that_may_not_be_turned_are_left(self):
        X = np.abs(low_rank(40, 12))
        for parameters in ({"positive": True}, {"positive": "W"}, {"l1_ratio": 0.5}):
            fitted = MatrixFactorization(3, alpha_W=0.1, **parameters).fit(X)
            assert fitted.explained_variance_ is None
            assert fitted.explained_variance_ratio_ is None
            assert fitted.singular_values_ is None

    @pytest.mark.parametrize("alpha_W", [0.0, 0.1])
    def test_few_rows_at_a_time_tell_as_much(self, monkeypatch, alpha_W):
        X = punch_holes(low_rank(60, 12, mean=2.0))
        at_once = model(bias="both", alpha_W=alpha_W).fit(X)
        monkeypatch.setattr(canonical_form, "CHUNK", 20)
        in_parts = model(bias="both", alpha_W=alpha_W).fit(X)
        np.testing.assert_allclose(in_parts.components_, at_once.components_, atol=1e-10)
        for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
            np.testing.assert_allclose(getattr(in_parts, name), getattr(at_once, name), rtol=1e-10)

    @pytest.mark.parametrize("values", [[1, -1, 1], [-1, 1, 0.5], [0.3, -0.9, 0.9]])
    def test_of_entries_equally_large_the_first_is_positive(self, values):
        for noise in np.random.default_rng(0).normal(size=(20, 3, 1)):
            Ht = np.array(values, dtype=float)[:, None] * (1 + 1e-15 * noise)
            first = np.argmax(np.abs(values))
            assert positive_signs(Ht)[0] * values[first] > 0


class TestSolvers:
    @pytest.mark.parametrize("alpha_W", [0.0, 0.1])
    @pytest.mark.parametrize("bias", [False, "features"])
    @pytest.mark.parametrize("solver", SOLVERS)
    def test_codes_and_components_are_those_of_svd(self, wine, solver, bias, alpha_W):
        exact = model(solver="svd", bias=bias, alpha_W=alpha_W)
        other = model(solver=solver, bias=bias, alpha_W=alpha_W)
        X = wine + 0.5
        codes, found = exact.fit_transform(X), other.fit_transform(X)
        np.testing.assert_allclose(found, codes, atol=0.01 * codes.std())
        np.testing.assert_allclose(other.components_, exact.components_, atol=0.01)
        for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
            np.testing.assert_allclose(getattr(other, name), getattr(exact, name), rtol=0.01)
        np.testing.assert_allclose(found, other.transform(X), rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("solver", ["als", "gd", "lbfgs", "adam"])
    @pytest.mark.parametrize("bias", [False, "features"])
    @pytest.mark.parametrize("alpha_W", [0.0, 0.1])
    def test_one_missing_entry_changes_little(self, wine, solver, bias, alpha_W):
        complete = model(bias=bias, alpha_W=alpha_W, solver="svd")
        codes = complete.fit_transform(wine)
        X = wine.copy()
        X[7, 3] = np.nan
        holed = model(bias=bias, alpha_W=alpha_W, solver=solver)
        found = holed.fit_transform(X)
        np.testing.assert_allclose(found.std(axis=0), codes.std(axis=0), rtol=0.01)
        cosines = np.sum(holed.components_ * complete.components_, axis=1)
        cosines /= np.linalg.norm(holed.components_, axis=1)
        cosines /= np.linalg.norm(complete.components_, axis=1)
        assert (cosines > 0.99).all()

    @pytest.mark.parametrize("alpha_W", [0.0, 0.05])
    def test_many_missing_entries_leave_one_form(self, alpha_W):
        X = punch_holes(low_rank(80, 15, mean=1.0), 0.4)
        forms = [
            model(solver=solver, bias="features", alpha_W=alpha_W, init=init).fit(X)
            for solver, init in [("als", "svd"), ("als", "random"), ("gd", "svd"), ("lbfgs", "svd")]
        ]
        for other in forms[1:]:
            np.testing.assert_allclose(other.components_, forms[0].components_, atol=0.01)
            np.testing.assert_allclose(
                other.explained_variance_, forms[0].explained_variance_, rtol=0.01
            )

    @pytest.mark.parametrize("loss", ["huber", "logistic", "poisson", "absolute"])
    @pytest.mark.parametrize("missing", [False, True])
    def test_other_losses(self, loss, missing):
        X = fit_for(loss, low_rank(60, 12))
        X = punch_holes(X) if missing else X
        alone = loss != "poisson" or not missing  # of one local minimum at both starts
        other = {"absolute": "lbfgs", "poisson": "adam"}.get(loss, "als")
        forms = [
            model(2, solver, loss=loss, alpha_W=0.05, bias="features", init=init, tol=1e-9).fit(X)
            for solver, init in [("lbfgs", "svd"), (other, "svd"), (other, "random")][: 2 + alone]
        ]
        for other in forms[1:]:
            np.testing.assert_allclose(other.components_, forms[0].components_, atol=0.02)

    def test_sparse_data_and_weights(self):
        X = punch_holes(low_rank(60, 12, mean=1.0))
        weight = np.random.default_rng(0).integers(1, 4, 60)
        dense = model(bias="features").fit(X, sample_weight=weight)
        repeated = model(bias="features").fit(np.repeat(X, weight, axis=0))
        stored = model(bias="features", unstored="missing")
        stored.fit(store_observed(X), sample_weight=weight)
        for other in (repeated, stored):
            np.testing.assert_allclose(other.components_, dense.components_, atol=1e-4)
            for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
                np.testing.assert_allclose(getattr(other, name), getattr(dense, name), rtol=1e-4)


class TestPrincipalComponents:
    """What scikit-learn asks of the solvers of `PCA`, asked of ours."""

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("n_components", [1, 2, 3])
    def test_attributes_and_codes(self, solver, n_components):
        X = load_iris().data
        pca = PCA(n_components).fit(X)
        ours = model(n_components, solver, bias="features").fit(X)
        np.testing.assert_allclose(ours.components_, pca.components_, atol=1e-3)
        np.testing.assert_allclose(ours.feature_bias_, pca.mean_, rtol=1e-3)
        np.testing.assert_allclose(ours.transform(X), pca.transform(X), atol=1e-2)
        for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_"):
            np.testing.assert_allclose(getattr(ours, name), getattr(pca, name), rtol=1e-3)

    @pytest.mark.parametrize("whiten", [False, True])
    @pytest.mark.parametrize("rank_deficient", [False, True])
    @pytest.mark.parametrize("shape", [(100, 30), (30, 100)])
    @pytest.mark.parametrize("solver", ["svd", "als", "lbfgs"])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_solvers_are_equivalent(self, solver, shape, rank_deficient, whiten, dtype):
        n, p = shape
        if rank_deficient:
            rng = np.random.default_rng(0)
            rank = min(shape) // 2
            X = rng.standard_normal((n + 10, rank)) @ rng.standard_normal((rank, p))
        else:
            X = make_low_rank_matrix(n + 10, p, tail_strength=0.5, random_state=0)
        train, test = np.split(X.astype(dtype), [n])
        pca = PCA(10, svd_solver="full", whiten=whiten)
        ours = model(10, solver, bias="features", whiten=whiten, tol=1e-12, max_iter=20_000)
        if dtype == np.float32:
            ours.set_params(tol=1e-7)
        codes, found = pca.fit_transform(train), ours.fit_transform(train)
        assert found.dtype == dtype
        np.testing.assert_allclose(ours.explained_variance_, pca.explained_variance_, rtol=2e-3)
        np.testing.assert_allclose(
            ours.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=2e-3
        )
        gaps = -np.diff(np.log(pca.singular_values_))
        stable = np.cumprod(gaps > 0.02).astype(bool)  # beyond, close ones may turn in pairs
        first = np.flatnonzero(stable)
        tols = {"rtol": 0, "atol": 0.02 * codes[:, 0].std()}
        np.testing.assert_allclose(found[:, first], codes[:, first], **tols)
        np.testing.assert_allclose(
            ours.transform(test)[:, first], pca.transform(test)[:, first], **tols
        )
        np.testing.assert_allclose(
            ours.inverse_transform(found),
            pca.inverse_transform(codes),
            atol=0.02 * train.std(),
        )

    @pytest.mark.parametrize("solver", ["svd", "als", "lbfgs", "gd"])
    def test_whitened_codes_have_variance_one(self, solver):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((100, 10)) @ np.diag(np.linspace(10.0, 1.0, 10))
        X = X @ rng.standard_normal((10, 30))
        ours = model(5, solver, bias="features", whiten=True)
        codes = ours.fit_transform(X)
        np.testing.assert_allclose(codes, ours.transform(X), rtol=5e-4, atol=1e-9)
        np.testing.assert_allclose(codes.std(ddof=1, axis=0), 1)
        np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-9)
        plain = clone(ours).set_params(whiten=False)
        unwhitened = plain.fit_transform(X)
        np.testing.assert_allclose(
            ours.inverse_transform(codes), plain.inverse_transform(unwhitened)
        )
        np.testing.assert_allclose(
            ours.transform_columns(X, codes), plain.transform_columns(X, unwhitened)
        )
        np.testing.assert_allclose(
            ours.predict_entries(X, [0, 1], [2, 3]), plain.predict_entries(X, [0, 1], [2, 3])
        )
        assert ours.score(X) == pytest.approx(plain.score(X))

    @pytest.mark.parametrize("bias", ["features", "both", False, "samples"])
    def test_whitening_with_holes_and_penalties(self, bias):
        X = punch_holes(low_rank(80, 15, mean=1.0))
        ours = model(3, bias=bias, alpha_W=0.1, whiten=True)
        codes = ours.fit_transform(X)
        squares = codes[:, :3].std(axis=0, ddof=1)
        if bias in (False, "samples"):
            squares = np.sqrt((codes[:, :3] ** 2).sum(axis=0) / 79)
        np.testing.assert_allclose(squares, 1)
        plain = clone(ours).set_params(whiten=False)
        np.testing.assert_allclose(
            ours.inverse_transform(codes), plain.inverse_transform(plain.fit_transform(X))
        )

    @pytest.mark.parametrize("parameters", [{"positive": True}, {"l1_ratio": 0.5, "alpha_W": 1.0}])
    def test_what_may_not_be_turned_is_not_whitened(self, parameters):
        with pytest.raises(ValueError, match="whiten=True needs"):
            MatrixFactorization(2, whiten=True, **parameters).fit(np.abs(low_rank()))

    @pytest.mark.parametrize("shape", [(100, 80), (10, 100)])
    @pytest.mark.parametrize("solver", ["svd", "als", "lbfgs"])
    def test_explained_variance_is_empirical(self, solver, shape):
        X = np.random.default_rng(0).standard_normal(shape)
        ours = model(2, solver, bias="features")
        codes = ours.fit_transform(X)
        np.testing.assert_allclose(ours.explained_variance_, codes.var(ddof=1, axis=0))
        np.testing.assert_allclose(ours.singular_values_, np.linalg.norm(codes, axis=0))
        eigenvalues = np.linalg.eigvalsh(np.cov(X, rowvar=False))[::-1][:2]
        np.testing.assert_allclose(ours.explained_variance_, eigenvalues, rtol=5e-3)

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_singular_values_of_factors_that_have_them(self, solver):
        rng = np.random.default_rng(0)
        U = np.linalg.qr(rng.standard_normal((50, 3)) - 0)[0]
        U = np.linalg.qr(U - U.mean(axis=0))[0]
        V = np.linalg.qr(rng.standard_normal((40, 3)))[0]
        X = U @ np.diag([3.142, 2.718, 1.0]) @ V.T
        ours = model(3, solver, bias="features").fit(X)
        np.testing.assert_allclose(ours.singular_values_, [3.142, 2.718, 1.0], rtol=1e-4)

    def test_without_bias_squares_take_the_place_of_variances(self):
        X = low_rank(60, 12, mean=2.0)
        svd = TruncatedSVD(3, algorithm="arpack").fit(X)
        for solver in ("svd", "als"):
            ours = model(3, solver).fit(X)
            np.testing.assert_allclose(ours.singular_values_, svd.singular_values_, rtol=1e-4)
            shares = svd.singular_values_**2 / np.sum(X**2)
            np.testing.assert_allclose(ours.explained_variance_ratio_, shares, rtol=1e-4)


class TestExplainedShares:
    @pytest.mark.parametrize("alpha_W", [0.0, 0.05, 0.3])
    @pytest.mark.parametrize("bias", [False, "features", "both"])
    def test_they_sum_to_at_most_one(self, bias, alpha_W):
        X = punch_holes(low_rank(60, 12, noise=1.0), 0.3)
        shares = model(3, bias=bias, alpha_W=alpha_W).fit(X).explained_variance_ratio_
        assert (shares >= 0).all()
        assert 0 < shares.sum() <= 1

    def test_and_to_one_where_nothing_is_left(self):
        X = punch_holes(low_rank(60, 12, noise=0.0))
        assert model(3, tol=1e-14).fit(X).explained_variance_ratio_.sum() == pytest.approx(1)

    def test_holes_at_random_change_them_little(self):
        X = low_rank(500, 30, noise=0.5)
        pca = PCA(3).fit(X)
        holed = model(3, bias="features").fit(punch_holes(X, 0.2))
        np.testing.assert_allclose(
            holed.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=0.05
        )
        np.testing.assert_allclose(holed.explained_variance_, pca.explained_variance_, rtol=0.05)

    @pytest.mark.parametrize("solver", ["svd", "als"])
    def test_total_is_that_of_the_data_under_a_penalty(self, solver):
        X = low_rank(60, 12, noise=0.5)
        ours = model(3, solver, bias="features", alpha_W=0.2).fit(X)
        total = X.var(axis=0, ddof=1).sum()
        np.testing.assert_allclose(
            ours.explained_variance_ratio_, ours.explained_variance_ / total, rtol=1e-6
        )

    @pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
    def test_their_unit_is_that_of_the_data(self, unit):
        X = punch_holes(low_rank(60, 12))
        one, other = model(3).fit(X), model(3).fit(unit * X)
        np.testing.assert_allclose(
            other.explained_variance_ / unit**2, one.explained_variance_, rtol=1e-5
        )
        np.testing.assert_allclose(
            other.explained_variance_ratio_, one.explained_variance_ratio_, rtol=1e-5
        )

    def test_losses_with_a_link_have_none(self):
        X = fit_for("logistic", low_rank())
        fitted = MatrixFactorization(2, loss="logistic", alpha_W=0.1, random_state=0).fit(X)
        assert fitted.explained_variance_ratio_ is None
        assert (fitted.explained_variance_ > 0).all()

    @pytest.mark.parametrize("bias", [False, "features"])
    def test_an_exact_share_is_enough(self, bias):
        values = np.sqrt([0.5, 0.3, 0.15, 0.05])
        rng = np.random.default_rng(0)
        U = rng.standard_normal((40, 4))
        U = np.linalg.qr(U - U.mean(axis=0))[0]
        X = U * values @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
        for share, rank in [(0.5, 1), (0.51, 2), (0.8, 2), (0.81, 3), (0.95, 3), (0.96, 4)]:
            fitted = MatrixFactorization(share, bias=bias).fit(X)
            assert fitted.n_components_ == rank
            assert fitted.explained_variance_ratio_.sum() >= share - 1e-12


class TestTheRest:
    """What goes on from a fit, or looks at it while it runs."""

    @pytest.mark.parametrize("bias", [False, "features", "both"])
    @pytest.mark.parametrize("alpha_W", [0.0, 0.1])
    def test_warm_starts_and_streams_go_on(self, bias, alpha_W):
        X = punch_holes(low_rank(60, 12, mean=1.0), 0.1)
        first = model(bias=bias, alpha_W=alpha_W, warm_start=True).fit(X)
        score, components = first.score(X), first.components_
        first.fit(X)
        np.testing.assert_allclose(first.components_, components, atol=1e-3)
        first.partial_fit(X)
        assert first.score(X) == pytest.approx(score, abs=0.02)

    @pytest.mark.parametrize("bias", [False, "features"])
    def test_components_that_were_not_needed_can_be_needed_later(self, bias):
        X = punch_holes(low_rank(60, 12, noise=0.3, mean=1.0), 0.1)
        first = model(bias=bias, warm_start=True).fit(np.outer(np.arange(60.0), np.arange(1.0, 13)))
        assert (first.components_ == 0).all(axis=1).any()
        again, anew = first.fit(X), model(bias=bias).fit(X)
        assert again.loss_curve_[-1] == pytest.approx(anew.loss_curve_[-1], rel=1e-3)

    @pytest.mark.parametrize("solver", ["svd", "als"])
    def test_nor_do_streams_stay_where_they_are_zero(self, solver):
        X = low_rank(200, 12, noise=0.1)
        fitted = model(solver=solver, forget_factor=0.99)
        fitted.fit(low_rank(20, 12, rank=1, noise=0.0, seed=1))
        for start in [*range(0, 200, 20)] * 3:
            fitted.partial_fit(X[start : start + 20])
        assert fitted.score(X) > 0.9

    def test_early_stopping(self):
        X = punch_holes(low_rank(100, 20, noise=0.5), 0.2)
        fitted = MatrixFactorization(4, early_stopping=True, random_state=0, bias="features")
        W = fitted.fit_transform(X)
        np.testing.assert_allclose(W, fitted.transform(X), rtol=1e-10, atol=1e-10)
        covariance = np.cov(W.T)
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-8)

    def test_a_solver_that_leaves_codes_to_the_fold_in(self):
        from sklearn_mf.solvers import ALS

        class OnlyComponents(ALS):
            name = "only-components"

            def _step(self, problem, state):
                W = problem.solve_rows(state.Ht, state.W)
                state.Ht = problem.T.solve_rows(W, state.Ht)
                return problem.value(W, state.Ht)

        X = punch_holes(low_rank(60, 12))
        ours = model(solver=OnlyComponents(), alpha_W=0.1, tol=1e-8, init="random").fit(X)
        als = model(alpha_W=0.1, tol=1e-8).fit(X)
        np.testing.assert_allclose(ours.components_, als.components_, atol=0.01)

    @pytest.mark.parametrize("X", [np.ones((5, 3)), np.zeros((5, 3)), np.eye(4)[:, :2]])
    @pytest.mark.parametrize("solver", ["svd", "als"])
    @pytest.mark.parametrize("alpha_W", [0.0, 0.1])
    def test_data_of_less_than_the_rank(self, X, solver, alpha_W):
        fitted = MatrixFactorization(2, bias="features", solver=solver, alpha_W=alpha_W)
        W = fitted.set_params(whiten=True).fit_transform(X)
        assert np.isfinite(W).all()
        assert np.isfinite(fitted.explained_variance_ratio_).all()
        if alpha_W == 0:
            np.testing.assert_allclose(fitted.inverse_transform(W), X, atol=1e-7)
