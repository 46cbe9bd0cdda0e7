"""Forms of the same product, against the singular value decomposition; pairs; stability."""

from itertools import combinations, permutations

import joblib
import numpy as np
import pytest
import sklearn
from conftest import low_rank, minutes_on_reference, punch_holes, store_observed
from scipy import sparse
from scipy.linalg import subspace_angles
from scipy.stats import ortho_group
from sklearn.base import clone
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import svd_flip

from sklearn_mf import MatrixFactorization
from sklearn_mf.components import (
    align_components,
    canonical_form,
    component_stability,
    sort_components,
    subspace_stability,
)


def factors(n_samples=30, n_components=4, n_features=12, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n_samples, n_components)) * [1, 5, 2, 0.3][:n_components]
    return W, rng.standard_normal((n_components, n_features))


def flipped_svd(X, n_components):
    """Truth: singular vectors of the product that was built."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    U, Vt = svd_flip(U[:, :n_components], Vt[:n_components], u_based_decision=False)
    return U * s[:n_components], Vt


class TestCanonicalForm:
    @pytest.mark.parametrize("shape", [(30, 12), (5, 12), (30, 4), (4, 4)])
    def test_it_is_the_svd_of_the_product(self, shape):
        W, H = factors(shape[0], 4, shape[1])
        codes, components = canonical_form(W, H)
        U, Vt = flipped_svd(W @ H, 4)
        np.testing.assert_allclose(codes, U, atol=1e-10)
        np.testing.assert_allclose(components, Vt, atol=1e-10)

    @pytest.mark.parametrize("seed", range(3))
    def test_every_factorization_of_a_product_has_the_same_form(self, seed):
        W, H = factors()
        A = np.random.default_rng(seed).standard_normal((4, 4))
        for one, other in zip(
            canonical_form(W, H), canonical_form(W @ np.linalg.inv(A), A @ H), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-8)

    def test_the_form_of_the_form_is_itself(self):
        form = canonical_form(*factors())
        for one, other in zip(form, canonical_form(*form), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)

    def test_the_largest_entry_of_each_component_is_positive(self):
        _, H = canonical_form(*factors())
        assert (H[np.arange(4), np.abs(H).argmax(axis=1)] > 0).all()

    def test_two_starts_end_in_the_components_of_pca(self):
        X = low_rank(60, 15, rank=3, mean=2.0)
        pca = PCA(3).fit(X)
        for seed in (0, 1):
            model = MatrixFactorization(
                3, bias="features", solver="als", init="random", random_state=seed
            ).set_params(max_iter=500, tol=1e-12)
            W = model.fit_transform(X)
            codes, components = canonical_form(W, model.components_)
            expected, truth = svd_flip(pca.transform(X), pca.components_, u_based_decision=False)
            np.testing.assert_allclose(components, truth, atol=1e-4)
            np.testing.assert_allclose(codes, expected, atol=1e-2)

    def test_two_starts_end_alike_under_a_penalty_with_holes(self, holed):
        found = []
        for seed in (0, 1):
            model = MatrixFactorization(3, alpha_W=0.05, init="random", random_state=seed)
            W = model.set_params(max_iter=5000, tol=1e-13).fit_transform(holed)
            mix = np.random.default_rng(seed).normal(size=(3, 3))  # as any other factors may be
            H = mix @ model.components_
            found.append((H, *canonical_form(W @ np.linalg.inv(mix), H)))
        assert np.abs(found[0][0] - found[1][0]).max() > 0.1
        np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-3)
        np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-3)

    def test_codes_of_new_samples_go_with_the_same_components(self, holed):
        model = MatrixFactorization(3, alpha_W=0.05, bias="features", random_state=0)
        H = model.fit(holed).components_
        W, canonical = canonical_form(model.transform(holed), H)
        turn = H @ canonical.T
        np.testing.assert_allclose(model.transform(holed) @ turn, W, atol=1e-10)
        new = model.transform(punch_holes(low_rank(seed=5), seed=6))
        np.testing.assert_allclose(new @ turn @ canonical, new @ H, atol=1e-10)

    def test_biases_of_samples_stay(self, holed):
        model = MatrixFactorization(2, bias="both", alpha_W=0.1, random_state=0)
        W = model.fit_transform(holed)
        codes, H = canonical_form(W, model.components_)
        np.testing.assert_array_equal(codes[:, -1], W[:, -1])
        U, Vt = flipped_svd(W[:, :2] @ model.components_, 2)
        np.testing.assert_allclose(codes[:, :2], U, atol=1e-10)
        np.testing.assert_allclose(H, Vt, atol=1e-10)

    def test_fewer_directions_than_components(self):
        W, H = factors()
        H[3] = H[0] + H[1]
        codes, components = canonical_form(W, H)
        np.testing.assert_allclose(components @ components.T, np.eye(4), atol=1e-12)
        np.testing.assert_allclose(codes @ components, W @ H, atol=1e-12)
        np.testing.assert_allclose(codes[:, 3], 0, atol=1e-12)

    def test_too_many_components_are_refused(self):
        with pytest.raises(ValueError, match=r"W has 3 rows.*sort_components"):
            canonical_form(*factors(n_samples=3))
        with pytest.raises(ValueError, match="H has 2 columns"):
            canonical_form(*factors(n_features=2))


class TestSortedComponents:
    def test_it_undoes_scales_signs_and_order(self):
        W, H = factors()
        scales, order = np.array([2.0, -0.1, 30, -4]), [2, 0, 3, 1]
        once = sort_components(W, H)
        again = sort_components((W / scales)[:, order], (H * scales[:, np.newaxis])[order])
        np.testing.assert_allclose(once[0], again[0], atol=1e-12)
        np.testing.assert_allclose(once[1], again[1], atol=1e-12)
        np.testing.assert_allclose(once[0] @ once[1], W @ H, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(once[1], axis=1), 1)
        assert (np.diff(np.linalg.norm(once[0], axis=0)) < 0).all()

    def test_singular_vectors_are_sorted_already(self, complete):
        svd = TruncatedSVD(3, algorithm="arpack", random_state=0)
        W = svd.fit_transform(complete)
        expected = svd_flip(W.copy(), svd.components_.copy(), u_based_decision=False)
        for one, other in zip(sort_components(W, svd.components_), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-10)

    def test_zeros_and_signs_stay(self):
        X = np.abs(low_rank(40, 15, rank=4))
        model = MatrixFactorization(4, positive=True, alpha_W=0.05, l1_ratio=1.0, random_state=0)
        W = model.fit_transform(X)
        codes, H = sort_components(W, model.components_)
        assert (model.components_ == 0).any()
        assert (H >= 0).all()
        assert (codes >= 0).all()
        assert sorted((H == 0).sum(axis=1)) == sorted((model.components_ == 0).sum(axis=1))
        np.testing.assert_allclose(codes @ H, W @ model.components_, atol=1e-12)

    def test_a_component_of_zeros_comes_last(self):
        W, H = factors()
        H[1] = 0
        codes, components = sort_components(W, H)
        assert not components[3].any()
        np.testing.assert_allclose(codes @ components, W @ H, atol=1e-12)

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    def test_extreme_lengths_are_no_trouble(self, scale):
        W, H = factors()
        expected = sort_components(W, H)
        W, H = (W / scale).astype(np.float32), (H * scale).astype(np.float32)
        for one, other in zip(sort_components(W, H), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4)

    def test_biases_of_samples_stay(self):
        W, H = factors()
        bias = np.arange(len(W))
        codes, _ = sort_components(np.column_stack([W, bias]), H)
        np.testing.assert_array_equal(codes[:, 4], bias)


@pytest.mark.parametrize("form", [canonical_form, sort_components])
class TestEveryForm:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtype_is_kept_and_nothing_is_changed(self, form, dtype):
        given = [factor.astype(dtype) for factor in factors()]
        kept = [factor.copy() for factor in given]
        for factor in given:
            factor.flags.writeable = False  # a write would raise
        codes, H = form(*given)
        assert codes.dtype == H.dtype == dtype
        tolerance = 1e-4 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(codes @ H, kept[0] @ kept[1], atol=tolerance)

    def test_codes_may_be_a_data_frame(self, form):
        pandas = pytest.importorskip("pandas")
        W, H = factors()
        codes, _ = form(pandas.DataFrame(W), H)
        np.testing.assert_array_equal(codes, form(W, H)[0])

    def test_what_does_not_fit_is_refused(self, form):
        W, H = factors()
        with pytest.raises(ValueError, match="W has 4 columns, but H has 2 rows"):
            form(W, H[:2])
        with pytest.raises(ValueError, match="W has 3 columns, but H has 4 rows"):
            form(W[:, :3], H)
        with pytest.raises(ValueError, match="Input H contains NaN"):
            form(W, np.where(H > 1, np.nan, H))


class TestAlignment:
    @pytest.mark.parametrize("seed", range(5))
    def test_order_signs_and_lengths_are_undone(self, seed):
        rng = np.random.default_rng(seed)
        _, a = factors(seed=seed)
        order, signs = rng.permutation(4), rng.choice([-1, 1], 4)
        b = (signs * [1.0, 2, 0.5, 3])[:, np.newaxis] * a[order]
        aligned = align_components(a, b)
        np.testing.assert_array_equal(order[aligned.order], np.arange(4))
        np.testing.assert_array_equal(aligned.signs, signs[aligned.order])
        np.testing.assert_allclose(aligned.similarities, 1)
        lengths = np.linalg.norm(aligned.components, axis=1) / np.linalg.norm(a, axis=1)
        np.testing.assert_allclose(aligned.components, a * lengths[:, np.newaxis])

    @pytest.mark.parametrize("seed", range(5))
    def test_no_other_pairs_are_nearer(self, seed):
        _, a = factors(seed=seed)
        _, b = factors(seed=seed + 50)
        b = np.vstack([b, a.sum(axis=0)])
        lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
        cosines = np.abs(a @ b.T) / lengths
        best = max(cosines[np.arange(4), list(order)].sum() for order in permutations(range(5), 4))
        aligned = align_components(a, b)
        assert aligned.similarities.sum() == pytest.approx(best)
        pairs = cosines[np.arange(4), aligned.order]
        np.testing.assert_allclose(aligned.similarities, pairs)
        assert ((a * aligned.components).sum(axis=1) >= 0).all()

    def test_codes_are_aligned_by_the_same(self):
        W, H = factors()
        aligned = align_components(H[::-1], -H)
        codes = W[:, aligned.order] * aligned.signs
        np.testing.assert_allclose(codes @ aligned.components, W @ -H)

    def test_zeros_are_like_nothing(self):
        aligned = align_components([[0.0, 0, 0], [1, 0, 0]], [[2.0, 0, 0], [0, 0, 0]])
        np.testing.assert_array_equal(aligned.similarities, [0, 1])
        np.testing.assert_array_equal(aligned.order, [1, 0])
        np.testing.assert_array_equal(aligned.signs, [1, 1])

    def test_dtype_is_kept(self):
        H = factors()[1].astype(np.float32)
        aligned = align_components(H, H)
        assert aligned.components.dtype == aligned.similarities.dtype == np.float32
        assert (aligned.similarities <= 1).all()

    def test_what_does_not_fit_is_refused(self):
        _, H = factors()
        with pytest.raises(ValueError, match="b has 3 components, fewer than the 4"):
            align_components(H, H[:3])
        with pytest.raises(ValueError, match="a has 12 features, but b has 11"):
            align_components(H, H[:, 1:])
        with pytest.raises(ValueError, match="Input b contains infinity"):
            align_components(H, np.where(H > 1, np.inf, H))


def planted(n_samples=200, share=0.0, seed=0):
    """Rank 3, with signs, and holes where a share is missing."""
    X = low_rank(n_samples, 15, rank=3, noise=0.5, seed=seed)
    return punch_holes(X, share) if share else X


class Alternating(PCA):
    """One component more where the number of samples is odd; the same ones always."""

    def fit(self, X, y=None):
        self.components_ = np.eye(15)[: 2 + len(X) % 2]
        return self


@minutes_on_reference
class TestComponentStability:
    def test_it_is_the_mean_over_pairs_of_fits(self):
        X, cv, pca = planted(), KFold(3), PCA(2)
        fits = [clone(pca).fit(X[train]).components_ for train, _ in cv.split(X)]
        pairs = [align_components(a, b).similarities for a, b in combinations(fits, 2)]
        stability = component_stability(pca, X, cv=cv)
        assert type(stability) is float
        assert stability == pytest.approx(np.mean(pairs))
        assert stability == component_stability(pca, X, cv=3)
        assert not hasattr(pca, "components_")

    @pytest.mark.parametrize("share", [0, 0.4])
    def test_it_falls_beyond_the_planted_rank(self, share):
        rng = np.random.default_rng(1)
        X = rng.standard_normal((200, 3)) * [8, 4, 2] @ ortho_group.rvs(15, random_state=0)[:3]
        X += 0.5 * rng.standard_normal(X.shape)
        X = punch_holes(X, share) if share else X
        cv = ShuffleSplit(5, train_size=0.5, random_state=0)
        stable, unstable = (
            component_stability(
                MatrixFactorization(k, alpha_W=0.02, random_state=0), X, cv=cv, form=canonical_form
            )
            for k in (3, 5)
        )
        assert 0 < unstable < 0.9
        assert 0.97 < stable <= 1

    def test_turned_components_are_one_in_the_canonical_form(self):
        class Turned(PCA):
            """PCA, its components turned by an orthogonal matrix that is another every time."""

            def fit(self, X, y=None):
                super().fit(X)
                self.turn_ = ortho_group.rvs(self.n_components_, random_state=len(X))
                self.components_ = self.turn_ @ self.components_
                return self

        X = planted()
        cv = [(np.arange(n), [0]) for n in (150, 160, 170)]
        turned = component_stability(Turned(3), X, cv=cv)
        straight = component_stability(PCA(3), X, cv=cv)
        assert straight > 0.98
        assert turned < straight - 0.05
        formed = component_stability(Turned(3), X, cv=cv, form=canonical_form)
        assert formed == pytest.approx(straight, abs=1e-6)

    def test_a_component_without_a_partner_counts_as_zero(self):
        cv = [(np.arange(n), [0]) for n in (100, 101)]
        assert component_stability(Alternating(), planted(), cv=cv) == pytest.approx(2 / 3)

    @pytest.mark.parametrize("container", ["pandas", "sparse"])
    def test_containers(self, container):
        X = planted(share=0.3)
        model = MatrixFactorization(2, alpha_W=0.05, unstored="missing", random_state=0)
        expected = component_stability(model, X, form=canonical_form)
        if container == "pandas":
            X = pytest.importorskip("pandas").DataFrame(X, columns=[f"c{i}" for i in range(15)])
        else:
            X = store_observed(X, sparse.csr_array)
        assert component_stability(model, X, form=canonical_form) == pytest.approx(
            expected, abs=1e-6
        )

    def test_the_end_of_a_pipeline_counts(self):
        X = planted()
        pipeline = make_pipeline(StandardScaler(), PCA(2))
        assert component_stability(pipeline, X, form=canonical_form) > 0.9

    def test_two_jobs_find_the_same(self):
        X = planted(share=0.3)
        model = MatrixFactorization(2, alpha_W=0.05, random_state=0)
        expected = component_stability(model, X, cv=3, form=canonical_form)
        with joblib.parallel_config("threading"):  # processes take seconds to start
            found = component_stability(model, X, cv=3, form=canonical_form, n_jobs=2)
        assert found == expected

    @pytest.mark.parametrize("routing", [False, True])
    def test_weights_reach_the_fits(self, routing):
        X = planted()
        weight = np.arange(len(X)) % 2.0
        with sklearn.config_context(enable_metadata_routing=routing):
            model = MatrixFactorization(3, random_state=0)
            if routing:
                model.set_fit_request(sample_weight=True)
            weighted = component_stability(model, X, params={"sample_weight": weight})
        half = [(train[train % 2 == 1], test) for train, test in KFold(5).split(X)]
        expected = component_stability(MatrixFactorization(3, random_state=0), X, cv=half)
        assert weighted == pytest.approx(expected, abs=1e-6)
        assert weighted != component_stability(MatrixFactorization(3, random_state=0), X)

    def test_non_negative_factors_of_scikit_learn(self):
        X = np.abs(planted())
        nmf = NMF(3, init="nndsvda", max_iter=1000, random_state=0)
        as_is = component_stability(nmf, X, cv=3)
        assert component_stability(nmf, X, cv=3, form=sort_components) == pytest.approx(as_is)

    def test_what_cannot_be_compared_is_refused(self):
        X = planted()
        with pytest.raises(ValueError, match="cv makes a single split"):
            component_stability(PCA(2), X, cv=ShuffleSplit(1))
        with pytest.raises(ValueError, match="This LinearRegression has no components_"):
            component_stability(LinearRegression(), X, y=X[:, 0])
        with pytest.raises(ValueError, match="n_components=99"):
            component_stability(MatrixFactorization(99), X)


@minutes_on_reference
class TestSubspaceStability:
    def test_it_is_the_mean_cosine_of_the_principal_angles(self):
        X, cv, pca = planted(), KFold(3), PCA(4)
        fits = [clone(pca).fit(X[train]).components_.T for train, _ in cv.split(X)]
        angles = [subspace_angles(a, b) for a, b in combinations(fits, 2)]
        expected = np.mean(np.cos(angles))
        assert subspace_stability(pca, X, cv=cv) == pytest.approx(expected)
        assert 0.5 < expected < 0.95

    @pytest.mark.parametrize("share", [0, 0.4])
    @pytest.mark.parametrize("seed", range(3))
    def test_it_is_highest_at_the_planted_rank(self, seed, share):
        X = planted(share=share, seed=seed)
        stabilities = [
            subspace_stability(MatrixFactorization(k, alpha_W=0.02, tol=1e-3, random_state=0), X)
            for k in range(1, 6)
        ]
        assert 1 + np.argmax(stabilities) == 3
        assert 0.97 < stabilities[2] <= 1

    def test_what_one_fit_has_more_counts_as_zero(self):
        cv = [(np.arange(n), [0]) for n in (100, 101)]
        assert subspace_stability(Alternating(), planted(), cv=cv) == pytest.approx(2 / 3)

    def test_nothing_agrees_with_nothing(self):
        class Empty(PCA):
            def fit(self, X, y=None):
                self.components_ = np.zeros((2, X.shape[1]))
                return self

        assert subspace_stability(Empty(), planted()) == 0
        assert component_stability(Empty(), planted()) == 0

    def test_all_directions_are_all_the_same_ones(self):
        assert subspace_stability(PCA(15), planted()) == pytest.approx(1)

    def test_what_cannot_be_compared_is_refused(self):
        with pytest.raises(ValueError, match="cv makes a single split"):
            subspace_stability(PCA(2), planted(), cv=ShuffleSplit(1))
        with pytest.raises(ValueError, match="This LinearRegression has no components_"):
            subspace_stability(LinearRegression(), planted(), y=planted()[:, 0])
