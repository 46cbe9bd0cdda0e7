"""What `MatrixFactorization` promises: equivalences between data that say the same thing."""

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes, store_observed
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.scores import HIDDEN_SEED
from sklearn_mf.solvers import ALS, GradientDescent, Spectral
from sklearn_mf.utils._hiding import hiding_stream

BIASES = [False, "features", "samples", "both"]
MATRICES = [
    sparse.csr_array,
    sparse.csc_array,
    sparse.coo_array,
    sparse.csr_matrix,
    sparse.csc_matrix,
    sparse.coo_matrix,
]


def model_values(model, X, **fit_parameters):
    return model.inverse_transform(model.fit_transform(X, **fit_parameters))


def model(solver="als", **parameters):
    defaults = {"alpha_W": 0.01, "tol": 1e-10, "max_iter": 5000, "random_state": 0}
    return MatrixFactorization(3, solver=solver, **{**defaults, **parameters})


@pytest.mark.parametrize("container", MATRICES)
@pytest.mark.parametrize("bias", BIASES)
def test_nan_in_a_dense_array_is_not_stored_in_a_sparse_one(holed, container, bias):
    stored = store_observed(holed, container)
    np.testing.assert_allclose(
        model_values(model(bias=bias, unstored="missing"), stored),
        model_values(model(bias=bias), holed),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("container", MATRICES)
@pytest.mark.parametrize("bias", BIASES)
def test_zero_in_a_dense_array_is_not_stored_in_a_sparse_one(complete, container, bias):
    X = np.where(np.random.default_rng(0).random(complete.shape) < 0.6, 0, complete)
    np.testing.assert_allclose(
        model_values(model(bias=bias), container(X)),
        model_values(model(bias=bias), X),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("unstored", ["zero", "missing"])
def test_a_stored_nan_is_missing_and_a_stored_zero_is_observed(holed, unstored):
    X = np.where(np.random.default_rng(0).random(holed.shape) < 0.2, 0, holed)
    full = sparse.csr_array(np.ones(X.shape))
    full.data = X.ravel()  # stores every entry: numbers, zeros and NaN
    np.testing.assert_allclose(
        model_values(model(unstored=unstored), full), model_values(model(), X), atol=1e-6
    )


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_index_types_of_sparse_data(holed, index):
    stored = store_observed(holed)
    stored.indices, stored.indptr = stored.indices.astype(index), stored.indptr.astype(index)
    np.testing.assert_allclose(
        model_values(model(unstored="missing"), stored), model_values(model(), holed), atol=1e-6
    )


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("solver", ["als", "gd"])
def test_entry_weight_zero_is_missing(complete, solver, bias):
    holed = punch_holes(complete)
    weight = (~np.isnan(holed)).astype(float)
    settings = {"solver": solver, "bias": bias, "tol": 0, "max_iter": 30}
    np.testing.assert_allclose(
        model_values(model(**settings), complete, entry_weight=weight),
        model_values(model(**settings), holed),
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("solver", ["als", "gd"])
def test_sample_weights_are_repetitions(holed, solver, bias):
    weight = np.random.default_rng(0).integers(0, 4, len(holed))
    settings = {"solver": solver, "bias": bias, "tol": 0, "max_iter": 30}
    weighted = model(**settings).fit(holed, sample_weight=weight)
    repeated = model(**settings).fit(np.repeat(holed, weight, axis=0))
    np.testing.assert_allclose(
        weighted.transform(holed), repeated.transform(holed), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-8)


def test_spectral_sample_weights_are_repetitions(complete):
    weight = np.random.default_rng(0).integers(0, 4, len(complete))
    weighted = model("svd", bias="features").fit(complete, sample_weight=weight)
    repeated = model("svd", bias="features").fit(np.repeat(complete, weight, axis=0))
    np.testing.assert_allclose(weighted.transform(complete), repeated.transform(complete))


def test_a_code_does_not_depend_on_the_weight_of_its_row(holed):
    fitted = model().fit(holed)
    weights = np.linspace(0.5, 3, len(holed))
    codes = model(max_iter=40, tol=0).fit_transform(holed, sample_weight=weights)
    again = model(max_iter=40, tol=0).fit(holed, sample_weight=weights).transform(holed)
    np.testing.assert_allclose(codes, again, rtol=1e-12)
    assert codes.shape == fitted.transform(holed).shape


@pytest.mark.parametrize("bias", BIASES)
def test_codes_minimise_the_objective_of_their_row(holed, bias):
    fitted = model(bias=bias, alpha_W=0.05, max_iter=20, tol=0).fit(holed)
    W = fitted.transform(holed)
    with_bias = bias in ("samples", "both")
    design = fitted.components_.T
    if with_bias:
        design = np.column_stack([design, np.ones(len(design))])
    for x, w in zip(holed, W, strict=True):
        seen = ~np.isnan(x)
        residual = x[seen] - fitted.feature_bias_[seen] - design[seen] @ w
        gradient = design[seen].T @ residual - 0.05 * seen.sum() * w
        np.testing.assert_allclose(gradient, 0, atol=1e-10)


def test_biases_shrink_towards_the_mean_of_all_entries(holed):
    strong = model(bias="both", alpha_W=1e6).fit(holed)
    np.testing.assert_allclose(strong.feature_bias_, np.nanmean(holed), rtol=1e-4)
    samples = model(bias="samples").fit(holed)
    np.testing.assert_allclose(samples.feature_bias_, np.nanmean(holed))


def test_a_constant_added_to_the_data_moves_only_the_feature_bias(holed):
    for bias in ("features", "samples", "both"):
        first, second = model(bias=bias).fit(holed), model(bias=bias).fit(holed + 100)
        np.testing.assert_allclose(first.feature_bias_ + 100, second.feature_bias_, atol=1e-4)
        np.testing.assert_allclose(
            first.inverse_transform(first.transform(holed)) + 100,
            second.inverse_transform(second.transform(holed + 100)),
            atol=1e-4,
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["als", "gd", "svd"])
def test_dtype_is_kept(complete, solver, dtype):
    X = complete.astype(dtype)
    fitted = model(solver, bias="features", tol=1e-4).fit(X)
    W = fitted.transform(X)
    assert fitted.components_.dtype == fitted.feature_bias_.dtype == W.dtype == dtype
    assert fitted.inverse_transform(W).dtype == dtype
    expected = model(solver, bias="features", tol=1e-4).fit(complete)
    np.testing.assert_allclose(
        fitted.inverse_transform(W),
        expected.inverse_transform(expected.transform(complete)),
        atol=2e-2,
    )


def test_reconstruction_err_is_the_root_of_the_squared_error(holed):
    fitted = model(bias="both")
    values = model_values(fitted, holed)
    np.testing.assert_allclose(
        fitted.reconstruction_err_, np.sqrt(np.nansum((values - holed) ** 2)), rtol=1e-8
    )


@pytest.mark.parametrize("bias", BIASES)
def test_predicted_entries_are_those_of_the_reconstruction(holed, bias):
    fitted = model(bias=bias)
    values = model_values(fitted, holed)
    rows, columns = np.array([3, 0, 3, 29, 3]), np.array([1, 19, 0, 2, 1])
    for X, unstored in ((holed, "zero"), (store_observed(holed), "missing")):
        fitted.set_params(unstored=unstored)
        np.testing.assert_allclose(
            fitted.predict_entries(X, rows, columns), values[rows, columns], rtol=1e-9
        )
    assert fitted.predict_entries(holed[:2], [], []).shape == (0,)


def hidden_by_hand(fitted, X):
    """The score as documented, on the entries that the seed of `score` hides."""
    draws = np.full(X.shape, -1.0)
    draws[~np.isnan(X)] = hiding_stream(HIDDEN_SEED).random((~np.isnan(X)).sum())
    hidden = (draws >= 0) & (draws < 0.2)
    hidden[np.arange(len(X)), draws.argmax(axis=1)] = False
    visible = np.where(hidden, np.nan, X)
    values = fitted.inverse_transform(fitted.transform(visible))
    baseline = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
    return 1 - ((values - X)[hidden] ** 2).sum() / ((baseline - X)[hidden] ** 2).sum()


def test_score_is_r2_of_hidden_entries(holed):
    fitted = model(bias="features").fit(holed)
    np.testing.assert_allclose(fitted.score(holed), hidden_by_hand(fitted, holed), rtol=1e-10)
    assert 0.8 < fitted.score(holed) < 1


def test_score_of_sparse_data(holed):
    fitted = model(unstored="missing").fit(store_observed(holed))
    assert 0.5 < fitted.score(store_observed(holed)) < 1
    zeros = model().fit(np.nan_to_num(holed))
    np.testing.assert_allclose(
        zeros.score(sparse.csr_array(np.nan_to_num(holed))), zeros.score(np.nan_to_num(holed))
    )


def test_score_is_zero_for_the_feature_means():
    X = np.random.default_rng(0).normal(size=(400, 5)) + np.arange(5)
    fitted = model(bias="features", alpha_W=1e6).fit(X)
    assert abs(fitted.score(X)) < 0.01


@minutes_on_reference
@pytest.mark.parametrize("holes", [False, True])
def test_score_chooses_the_planted_rank(holes):
    X = low_rank(300, 40, rank=4, noise=0.7)
    if holes:
        X = punch_holes(X)
    grid = GridSearchCV(
        MatrixFactorization(alpha_W=0.01, random_state=0), {"n_components": [1, 2, 3, 4, 6, 9]}
    )
    assert grid.fit(X).best_params_["n_components"] == 4


def test_score_is_not_defined_without_entries_to_spare():
    fitted = MatrixFactorization(1).fit(low_rank(5, 3))
    with pytest.warns(UserWarning, match="score is not defined"):
        score = fitted.score(np.diag([1.0, 2.0, 3.0]) + np.where(np.eye(3) == 1, 0, np.nan))
    assert np.isnan(score)


def test_init_may_be_an_array_or_a_callable(holed):
    H = np.random.default_rng(0).normal(size=(3, holed.shape[1]))
    seen = {}

    def draw(X, n_components, random_state):
        seen.update(shape=X.shape, n_components=n_components)
        return H

    one = model(init=H, max_iter=5, tol=0).fit(holed)
    two = model(init=draw, max_iter=5, tol=0).fit(holed)
    np.testing.assert_array_equal(one.components_, two.components_)
    assert seen == {"shape": holed.shape, "n_components": 3}


@pytest.mark.parametrize("bias", BIASES)
def test_warm_start_goes_on_where_the_last_fit_stopped(holed, bias):
    halves = model(bias=bias, max_iter=10, tol=0, warm_start=True).fit(holed).fit(holed)
    whole = model(bias=bias, max_iter=20, tol=0).fit(holed)
    np.testing.assert_allclose(halves.loss_curve_[-1], whole.loss_curve_[-1], rtol=1e-3)
    cold = model(bias=bias, max_iter=10, tol=0).fit(holed)
    assert halves.loss_curve_[-1] < cold.loss_curve_[-1]


@pytest.mark.filterwarnings("ignore:alpha_W=0.1 has hardly any effect")
@pytest.mark.parametrize(
    ("parameters", "make", "expected"),
    [
        ({}, low_rank, Spectral),
        ({"bias": "features"}, low_rank, Spectral),
        ({"alpha_W": 0.1}, low_rank, Spectral),
        ({"alpha_W": 0.1, "alpha_H": 0.0}, low_rank, ALS),
        ({"bias": "both"}, low_rank, ALS),
        ({"loss": "huber"}, low_rank, ALS),
        ({}, lambda: punch_holes(low_rank()), ALS),
        ({}, lambda: sparse.csr_array(low_rank()), Spectral),
        ({"unstored": "missing"}, lambda: sparse.csr_array(low_rank()), ALS),
    ],
)
def test_auto_takes_the_exact_solver_where_it_serves(parameters, make, expected):
    fitted = MatrixFactorization(2, random_state=0, max_iter=1000, **parameters).fit(make())
    assert type(fitted.solver_) is expected


def test_n_components_none_is_ten_or_what_fits():
    assert MatrixFactorization().fit(low_rank(30, 20)).n_components_ == 10
    assert MatrixFactorization().fit(low_rank(30, 4)).n_components_ == 4


def test_holes_in_a_pipeline_inside_a_grid_search():
    X = low_rank(120, 30, rank=3)
    y = (X[:, 0] > 0).astype(int)
    pipeline = make_pipeline(
        MatrixFactorization(bias="features", random_state=0, max_iter=2000), LogisticRegression()
    )
    grid = GridSearchCV(
        pipeline,
        {
            "matrixfactorization__n_components": [1, 3],
            "matrixfactorization__alpha_W": [0.01],
            "matrixfactorization__solver": ["als", "gd", GradientDescent(momentum=0.9)],
        },
        error_score="raise",
    )
    grid.fit(punch_holes(X, 0.4), y)
    assert grid.best_params_["matrixfactorization__n_components"] == 3
    assert grid.best_score_ > 0.8


def test_penalties_are_those_of_nmf():
    """With nothing missing and alpha_scaling=1: alpha_W * n_features, alpha_H * n_samples."""
    X = np.abs(low_rank(20, 8, 2))
    fitted = model(alpha_W=0.3, alpha_H=0.2).fit(X)
    W, H = fitted.transform(X), fitted.components_
    expected = (
        0.5 * np.linalg.norm(X - W @ H) ** 2
        + 0.5 * 0.3 * 8 * np.linalg.norm(W) ** 2
        + 0.5 * 0.2 * 20 * np.linalg.norm(H) ** 2
    )
    np.testing.assert_allclose(fitted.loss_curve_[-1], expected, rtol=1e-6)


class TestRankOfTheData:
    def test_hidden_entries_choose_a_planted_rank(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 20))
        X = punch_holes(X + 0.5 * rng.normal(size=X.shape))
        model = MatrixFactorization("auto", alpha_W=0.01, random_state=0).fit(X)
        assert model.n_components_ == 3
        assert model.components_.shape == (3, 20)
        stored = MatrixFactorization("auto", alpha_W=0.01, unstored="missing", random_state=0)
        assert stored.fit(store_observed(X)).n_components_ == 3

    def test_where_no_other_is_possible_it_is_one(self):
        assert MatrixFactorization("auto").fit([[1.0, 2.0, 3.0]]).n_components_ == 1

    @pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
    def test_a_share_of_the_variance_is_that_of_pca(self, share):
        X = np.random.default_rng(0).normal(size=(50, 12)) * 0.7 ** np.arange(12) + 5
        model = MatrixFactorization(share, bias="features").fit(X)
        assert model.n_components_ == PCA(share, svd_solver="full").fit(X).n_components_

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"n_components": 0.9}, "n_components=0.9 needs complete data"),
            ({"n_components": "auto", "positive": True}, "Use RankSearchCV"),
            ({"n_components": "auto", "solver": "adam"}, "Use RankSearchCV"),
        ],
    )
    def test_what_has_no_such_rank_is_refused(self, parameters, message):
        X = punch_holes(low_rank(20, 2, seed=0) @ low_rank(2, 10, seed=1))
        with pytest.raises(ValueError, match=message):
            MatrixFactorization(**parameters).fit(X)

    @pytest.mark.parametrize("n_components", ["auto", 0.9])
    def test_batches_have_no_rank_of_their_own(self, n_components):
        model = MatrixFactorization(n_components).partial_fit(np.eye(5))
        assert model.partial_fit(np.eye(5)).n_components_ == 5

    def test_scikit_learn_checks(self):
        name = "check_sample_weight_equivalence_on_{}_data"
        reason = "which entries are hidden is drawn, and a row twice is drawn twice"
        expected = {name.format(kind): reason for kind in ("dense", "sparse")}
        results = check_estimator(
            MatrixFactorization("auto", alpha_W=0.1, max_iter=300),
            expected_failed_checks=expected,
            on_skip=None,
            on_fail=None,
        )
        failed = [r["check_name"] for r in results if r["status"] == "failed"]
        assert failed == []
