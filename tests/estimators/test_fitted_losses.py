"""What a factorization promises under losses that are not squared."""

import numpy as np
import pytest
from conftest import fit_for, low_rank, minutes_on_reference, punch_holes, store_observed
from grids import pairwise
from scipy import sparse
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.scores import HIDDEN_SEED
from sklearn_mf.losses import Absolute, Huber, Logistic, Quantile
from sklearn_mf.solvers import ALS, LBFGS, GradientDescent
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils.discovery import all_losses

BIASES = [False, "features", "samples", "both"]
NAMES = [name for name, _ in all_losses() if name != "squared"]
SIGNS = Logistic(classes=(-1, 1))


def model(loss, n_components=2, **parameters):
    defaults = {"alpha_W": 0.05, "random_state": 0, "max_iter": 5000}
    return MatrixFactorization(n_components, loss=loss, **{**defaults, **parameters})


def model_values(fitted, W):
    """On the scale of the factors, the link left out."""
    k = fitted.n_components_
    own = W[:, k:] if W.shape[1] > k else 0
    return W[:, :k] @ fitted.components_ + own + fitted.feature_bias_


def planted(loss, n_samples=150, n_features=30, seed=0):
    """What to expect of low-rank data, and the data."""
    rng = np.random.default_rng(seed)
    m = low_rank(n_samples, n_features, rank=2, noise=0.0, seed=seed)
    if loss == "poisson":
        mean = np.exp(0.5 * m + 1)
        return mean, rng.poisson(mean).astype(float)
    mean = expit(2 * m - 0.5)
    return mean, (rng.random(mean.shape) < mean).astype(float)


# Codes are the regressions that scikit-learn has --------------------------------------------


@pytest.mark.parametrize("loss", ["logistic", SIGNS], ids=["0/1", "-1/1"])
@pytest.mark.parametrize("scaling", [0.0, 1.0])
def test_codes_of_binary_data_are_logistic_regressions(loss, scaling):
    X = punch_holes(fit_for(loss, low_rank(25, 20)))
    fitted = model(loss, 3, alpha_W=0.03, alpha_scaling=scaling)
    W = fitted.fit_transform(X)
    assert isinstance(fitted.solver_, ALS)
    for x, w in zip(X, W, strict=True):
        seen = ~np.isnan(x)
        strength = 1 / (0.03 * seen.sum() ** scaling)
        regression = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=1000)
        regression.fit(fitted.components_[:, seen].T, x[seen])
        np.testing.assert_allclose(w, regression.coef_[0], rtol=1e-3, atol=1e-4)


def test_codes_of_counts_are_poisson_regressions():
    X = np.random.default_rng(0).poisson(np.exp(low_rank(40, 15, 2, noise=0) / 2)).astype(float)
    X = punch_holes(X)
    fitted = model("poisson", alpha_W=0.01)
    W = fitted.fit_transform(X)
    assert isinstance(fitted.solver_, LBFGS)
    for x, w in zip(X, W, strict=True):
        seen = ~np.isnan(x)
        glm = PoissonRegressor(alpha=0.01, fit_intercept=False, tol=1e-10, max_iter=1000)
        glm.fit(fitted.components_[:, seen].T, x[seen])
        np.testing.assert_allclose(w, glm.coef_, rtol=1e-3, atol=1e-4)


@minutes_on_reference
@pytest.mark.parametrize("quantile", [0.3, 0.5, 0.8])
def test_codes_at_a_quantile_are_quantile_regressions(quantile):
    X = punch_holes(low_rank(30, 40, noise=1.0))
    fitted = model(Quantile(quantile, smoothing=1e-4), alpha_W=0.0, max_iter=300, tol=0)
    W = fitted.fit_transform(X)
    for x, w in zip(X, W, strict=True):
        seen = ~np.isnan(x)
        design = fitted.components_[:, seen].T
        regression = QuantileRegressor(quantile=quantile, alpha=0, fit_intercept=False)
        expected = regression.fit(design, x[seen]).predict(design)
        best = mean_pinball_loss(x[seen], expected, alpha=quantile)
        found = mean_pinball_loss(x[seen], design @ w, alpha=quantile)
        assert best - 1e-12 <= found < best + 1e-3


# Biases alone are the constants that the loss asks for ---------------------------------------


@pytest.mark.parametrize(
    ("loss", "constant"),
    [
        ("logistic", lambda X: logit(np.nanmean(X, axis=0))),
        (SIGNS, lambda X: logit((np.nanmean(X, axis=0) + 1) / 2)),
        ("poisson", lambda X: np.log(np.nanmean(X, axis=0))),
        ("absolute", lambda X: np.nanmedian(X, axis=0)),
        (Quantile(0.8), lambda X: np.nanquantile(X, 0.8, axis=0)),
    ],
    ids=["logistic", "signs", "poisson", "absolute", "quantile"],
)
def test_feature_biases_alone_are_the_best_constants(loss, constant):
    X = punch_holes(fit_for(loss, low_rank(300, 6)))
    X[0, :], X[1, :] = fit_for(loss, np.ones(6)), fit_for(loss, -np.ones(6))
    fitted = model(loss, 1, bias="features", alpha_W=1e6, tol=1e-12).fit(X)
    np.testing.assert_allclose(fitted.feature_bias_, constant(X), atol=0.03)


def test_sample_biases_are_counted_from_a_constant_on_the_scale_of_the_model():
    X = punch_holes(low_rank(60, 10))
    for loss, constant in [("logistic", logit), ("poisson", np.log)]:
        data = fit_for(loss, X)
        fitted = model(loss, bias="samples").fit(data)
        np.testing.assert_allclose(fitted.feature_bias_, constant(np.nanmean(data)))


@pytest.mark.parametrize("loss", ["absolute", "huber"])
def test_one_wild_entry_does_not_move_what_biases_are_counted_from(loss):
    X = low_rank(60, 10, mean=3.0)
    X[7, 3] = 1e6
    fitted = model(loss, bias="samples").fit(X)
    np.testing.assert_allclose(fitted.feature_bias_, 3, atol=0.5)


# Predictions are on the scale of the data ----------------------------------------------------


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(
    ("loss", "link"),
    [
        ("logistic", expit),
        (SIGNS, lambda m: np.tanh(m / 2)),
        ("poisson", np.exp),
        ("absolute", lambda m: m),
    ],
    ids=["logistic", "signs", "poisson", "absolute"],
)
def test_reconstructions_and_predicted_entries_are_expected_data(loss, link, bias):
    X = punch_holes(fit_for(loss, low_rank(25, 12)))
    fitted = model(loss, bias=bias, tol=1e-3)
    W = fitted.fit_transform(X)
    values = fitted.inverse_transform(W)
    np.testing.assert_allclose(values, link(model_values(fitted, W)))
    rows, columns = [3, 0, 3, 24], [1, 11, 0, 2]
    np.testing.assert_allclose(
        fitted.predict_entries(X, rows, columns), values[rows, columns], rtol=1e-6
    )
    np.testing.assert_allclose(
        fitted.reconstruction_err_, np.sqrt(np.nansum((X - values) ** 2)), rtol=1e-8
    )


@pytest.mark.parametrize("bias", BIASES)
def test_both_codings_of_binary_data_are_the_same_model(bias):
    X = punch_holes(fit_for("logistic", low_rank()))
    zeros, signs = model("logistic", bias=bias), model(SIGNS, bias=bias)
    W = zeros.fit_transform(X)
    np.testing.assert_allclose(signs.fit_transform(2 * X - 1), W, atol=1e-6)
    np.testing.assert_allclose(
        signs.inverse_transform(W), 2 * zeros.inverse_transform(W) - 1, atol=1e-8
    )
    np.testing.assert_allclose(signs.score(2 * X - 1), zeros.score(X))


def test_booleans_and_integers_are_binary_data():
    X = low_rank() > 0
    expected = model("logistic").fit_transform(X.astype(float))
    np.testing.assert_array_equal(model("logistic").fit_transform(X), expected)
    np.testing.assert_array_equal(model("logistic").fit_transform(X.astype(int)), expected)


def test_a_loss_is_not_changed_by_a_fit_and_can_be_cloned():
    X = fit_for(SIGNS, low_rank())
    before = dict(vars(SIGNS))
    fitted = clone(model(SIGNS)).fit(X)
    assert vars(SIGNS) == before
    assert fitted.loss.classes == (-1, 1)


# Planted structure is found ------------------------------------------------------------------


@minutes_on_reference
@pytest.mark.parametrize(
    ("loss", "bias", "init"),
    pairwise(["logistic", "poisson"], ["features", "both"], ["random", "svd"]),
)
def test_hidden_entries_are_predicted_better_than_by_the_means(loss, bias, init):
    mean, X = planted(loss)
    X = punch_holes(X)
    fitted = model(loss, bias=bias, init=init)
    values = fitted.inverse_transform(fitted.fit_transform(X))
    hidden = np.isnan(X)
    error = np.sqrt(np.mean((values - mean)[hidden] ** 2))
    marginal = np.sqrt(np.mean((np.nanmean(X, axis=0) - mean)[hidden] ** 2))
    assert error < 0.6 * marginal
    assert fitted.score(X) > 0.15


@minutes_on_reference
def test_score_chooses_the_planted_rank_of_binary_data():
    _, X = planted("logistic", 300, 60)
    train, test = X[:200], X[200:]
    scores = [model("logistic", k, bias="features").fit(train).score(test) for k in (1, 2, 4, 8)]
    assert np.argmax(scores) == 1


@pytest.mark.parametrize("loss", ["absolute", Huber(0.1), Quantile(), Absolute(0.1)], ids=str)
def test_gross_outliers_are_ignored(loss):
    X = low_rank(60, 30, rank=2, noise=0.05)
    dirty = X + np.where(np.random.default_rng(0).random(X.shape) < 0.05, 50, 0)
    errors = []
    for name in (loss, "squared"):
        fitted = model(name, bias="both", alpha_W=0.01)
        values = fitted.inverse_transform(fitted.fit_transform(dirty))
        errors.append(np.sqrt(np.mean((values - X) ** 2)))
    assert errors[0] < errors[1] / 10


@minutes_on_reference
@pytest.mark.parametrize("quantile", [0.2, 0.9])
def test_the_share_of_data_below_a_quantile_is_that_quantile(quantile):
    X = low_rank(300, 40, rank=2, noise=1.0)
    fitted = model(Quantile(quantile), bias="features", alpha_W=0.01)
    values = fitted.inverse_transform(fitted.fit_transform(X))
    assert abs(np.mean(values > X) - quantile) < 0.03
    assert np.corrcoef(values.ravel(), X.ravel())[0, 1] > 0.7


# The score is the explained share of the loss ------------------------------------------------

METRICS = [
    ("logistic", lambda x, m: log_loss(x, m, labels=[0, 1]), np.nanmean),
    ("poisson", mean_poisson_deviance, np.nanmean),
    ("absolute", lambda x, m: np.abs(x - m).mean(), np.nanmedian),
    (
        Quantile(0.75),
        lambda x, m: mean_pinball_loss(x, m, alpha=0.75),
        lambda X, axis: np.nanquantile(X, 0.75, axis=axis),
    ),
]


@pytest.mark.parametrize(
    ("loss", "metric", "constant"), METRICS, ids=[str(loss) for loss, *_ in METRICS]
)
def test_score_is_the_explained_share_of_the_loss_of_hidden_entries(loss, metric, constant):
    X = punch_holes(fit_for(loss, low_rank(101, 15, noise=0.5)))
    fitted = model(loss, bias="features").fit(X)
    draws = np.full(X.shape, -1.0)
    draws[~np.isnan(X)] = hiding_stream(HIDDEN_SEED).random((~np.isnan(X)).sum())
    hidden = (draws >= 0) & (draws < 0.2)
    hidden[np.arange(len(X)), draws.argmax(axis=1)] = False
    values = fitted.inverse_transform(fitted.transform(np.where(hidden, np.nan, X)))
    baseline = np.broadcast_to(constant(X, axis=0), X.shape)
    expected = 1 - metric(X[hidden], values[hidden]) / metric(X[hidden], baseline[hidden])
    # Constants of an even number of entries are not unique, and corners are rounded.
    exact = loss in ("logistic", "poisson")
    np.testing.assert_allclose(fitted.score(X), expected, atol=1e-9 if exact else 0.01)


@pytest.mark.parametrize("name", NAMES)
def test_score_is_zero_for_constants(name):
    X = fit_for(name, low_rank(400, 5))
    fitted = model(name, bias="features", alpha_W=1e6).fit(X)
    assert abs(fitted.score(X)) < 0.02


# Containers, dtypes, weights -----------------------------------------------------------------


@minutes_on_reference
@pytest.mark.parametrize("bias", [False, "both"])
@pytest.mark.parametrize("name", NAMES)
def test_sparse_data_are_those_of_the_dense_twin(name, bias):
    X = fit_for(name, low_rank())
    X[:, ::3] = np.where(np.random.default_rng(0).random((30, 7)) < 0.5, 0, X[:, ::3])
    holed = punch_holes(X)
    for dense, stored, unstored in [
        (holed, store_observed(holed), "missing"),
        (X, sparse.csr_array(X), "zero"),
    ]:
        expected, actual = (model(name, bias=bias, tol=0, max_iter=8) for _ in range(2))
        W = expected.fit_transform(dense)
        actual.set_params(unstored=unstored)
        np.testing.assert_allclose(actual.fit_transform(stored), W, rtol=1e-4, atol=1e-5)
    # Of the same entries, so that the same are hidden.
    assert actual.score(stored) == pytest.approx(expected.score(dense), abs=1e-4)


@pytest.mark.parametrize("bias", [False, "both"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_is_kept_and_close_to_float64(name, bias):
    X = punch_holes(fit_for(name, low_rank()))
    fitted, expected = (model(name, bias=bias, tol=1e-4) for _ in range(2))
    W = fitted.fit_transform(X.astype(np.float32))
    values = fitted.inverse_transform(W)
    assert W.dtype == fitted.components_.dtype == fitted.feature_bias_.dtype == np.float32
    assert values.dtype == fitted.predict_entries(X.astype(np.float32), [0], [0]).dtype
    assert values.dtype == np.float32
    # Where corners are sharp, rounding error may choose another factorization as good.
    objective = expected.fit(X).loss_curve_[-1]
    np.testing.assert_allclose(fitted.loss_curve_[-1], objective, rtol=0.05)


@minutes_on_reference
@pytest.mark.parametrize("bias", ["features", "both"])
@pytest.mark.parametrize("name", NAMES)
def test_sample_weights_are_repetitions(name, bias):
    X = punch_holes(fit_for(name, low_rank()))
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = model(name, bias=bias, tol=0, max_iter=15).fit(X, sample_weight=weight)
    repeated = model(name, bias=bias, tol=0, max_iter=15).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("name", ["logistic", "poisson"])
def test_a_feature_without_entries_is_expected_at_the_mean(name):
    X = punch_holes(fit_for(name, low_rank()))
    X[:, 4] = np.nan
    fitted = model(name, bias="features")
    with pytest.warns(UserWarning, match="1 of 20 features have no observed entry"):
        W = fitted.fit_transform(X)
    np.testing.assert_allclose(fitted.inverse_transform(W)[:, 4], np.nanmean(X))


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
@pytest.mark.parametrize("bias", [False, "both"])
def test_columns_of_zeros_and_rows_of_zeros_have_finite_codes(loss, bias):
    X = fit_for(loss, low_rank())
    X[:, 3], X[5] = 0, 0
    fitted = model(loss, bias=bias, alpha_W=0.0, max_iter=30, tol=0)
    values = fitted.inverse_transform(fitted.fit_transform(X))
    assert np.isfinite(values).all()
    if bias == "both":
        assert (values[:, 3] < 0.2).all()


# What cannot be served is refused by name ----------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "X", "message"),
    [
        ("logistic", 2 * np.eye(3) - 1, r"loss='logistic'.*Logistic\(classes=\(-1, 1\)\)"),
        ("logistic", 3 * np.eye(3), "loss='logistic'.*Encode X as 0 and 1"),
        (SIGNS, np.eye(3), r"classes=\(-1, 1\).*For data of 0 and 1"),
        (SIGNS, sparse.csr_array(np.eye(3)), "unstored='missing'"),
        ("poisson", -np.eye(3), r"Negative values.*loss='poisson'.*-1"),
        ("poisson", sparse.csr_array(-np.eye(3)), r"Negative values.*loss='poisson'.*-1"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform", "score", "predict_entries"])
def test_data_that_the_loss_cannot_take_are_refused_before_any_work(loss, X, message, method):
    estimator, arguments = model(loss, 1), [X]
    if method != "fit":
        estimator.fit(fit_for(loss, low_rank(6, 3)))
    if method == "predict_entries":
        arguments += [[0, 1, 2], [0, 1, 2]]
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(*arguments)
    after = dict(vars(estimator))
    assert before.keys() | {"n_features_in_"} == after.keys() | {"n_features_in_"}


def test_only_observed_entries_must_suit_the_loss():
    binary = fit_for("logistic", low_rank())
    X = np.where(np.random.default_rng(0).random(binary.shape) < 0.2, -5, binary)
    expected = model("logistic").fit_transform(np.where(X == -5, np.nan, X))
    marked = model("logistic", missing_values=-5).fit_transform(X)
    weighted = model("logistic").fit_transform(X, entry_weight=(X != -5).astype(float))
    np.testing.assert_allclose(marked, expected)
    np.testing.assert_allclose(weighted, expected, rtol=1e-6)
    signs = sparse.csr_array(2 * binary - 1)  # stores every entry: no zero is meant
    model(SIGNS).fit(signs)
    signs.data[3] = 0
    signs.eliminate_zeros()
    model(SIGNS, unstored="missing").fit(signs)


def test_als_refuses_counts_and_names_what_serves_them():
    with pytest.raises(ValueError, match=r"als.*'quadratic'.*Poisson.*\['adam', 'gd', 'lbfgs'\]"):
        model("poisson", solver="als").fit(fit_for("poisson", low_rank()))


def test_a_step_out_of_range_is_an_error_and_never_nan():
    X = 50 * fit_for("poisson", low_rank())
    with pytest.raises(ValueError, match=r"diverged.*learning_rate"):
        model("poisson", solver=GradientDescent(learning_rate=1.0)).fit(X)


def test_a_start_at_singular_vectors_of_large_counts_is_finite():
    X = np.random.default_rng(0).poisson(np.exp(low_rank(40, 15, 2) + 6)).astype(float)
    for bias in BIASES:
        fitted = model("poisson", bias=bias, init="svd", tol=0, max_iter=50).fit(X)
        curve = np.array(fitted.loss_curve_)
        assert (np.diff(curve) <= 0).all()
        assert curve[-1] < curve[0]


@pytest.mark.parametrize(
    ("loss", "parameter"),
    [
        (Absolute(smoothing=0), "'smoothing' parameter of Absolute"),
        (Quantile(smoothing=-1.0), "'smoothing' parameter of Quantile"),
        (Quantile(quantile=1.0), "'quantile' parameter of Quantile"),
        (Quantile(quantile=0), "'quantile' parameter of Quantile"),
        (Logistic(classes=(1, 2)), "'classes' parameter of Logistic"),
        (Logistic(classes="0/1"), "'classes' parameter of Logistic"),
    ],
    ids=str,
)
def test_bad_parameters_of_losses_are_refused_by_name(loss, parameter):
    with pytest.raises(ValueError, match=parameter):
        model(loss).fit(low_rank())


@pytest.mark.parametrize("name", ["logistic", "absolute", "quantile"])
def test_gradient_descent_reaches_the_objective_of_als(name):
    X = punch_holes(fit_for(name, low_rank()))
    loss = {"logistic": "logistic", "absolute": Absolute(0.1), "quantile": Quantile(0.7, 0.1)}[name]
    curves = {
        solver: model(loss, solver=solver, init="svd", tol=1e-7, max_iter=20_000).fit(X).loss_curve_
        for solver in ("als", "gd")
    }
    assert curves["gd"][-1] < 1.01 * curves["als"][-1]


# What the losses are for: each with the best penalty of the same grid, on hidden entries --------

GRID = [0.001, 0.01, 0.1]


def best_hidden(loss, X, hidden, measure):
    """Of the penalties in the grid the lowest measure of what is expected of hidden entries."""
    fits = (model(loss, bias="features", alpha_W=alpha, max_iter=500, tol=1e-3) for alpha in GRID)
    holed = np.where(hidden, np.nan, X)
    return min(measure(fit.inverse_transform(fit.fit_transform(holed))[hidden]) for fit in fits)


def test_gross_outliers_cost_huber_a_third_of_what_they_cost_the_squared_loss():
    clean = low_rank(200, 50, rank=2, noise=0.2)
    rng = np.random.default_rng(0)
    dirty = np.where(
        rng.random(clean.shape) < 0.05, clean + 20 * rng.normal(size=clean.shape), clean
    )
    hidden = rng.random(clean.shape) < 0.2

    def error(values):
        return np.sqrt(np.mean((values - clean[hidden]) ** 2))

    huber, squared = (best_hidden(loss, dirty, hidden, error) for loss in (Huber(0.5), "squared"))
    print(f"hidden entries: huber {huber:.3f}, squared {squared:.3f}, noise 0.2")
    assert 3 * huber < squared


@minutes_on_reference
def test_log_odds_predict_binary_data_better_than_the_squared_loss():
    _, X = planted("logistic", 300, 60)
    hidden = np.random.default_rng(1).random(X.shape) < 0.2

    def cost(values):
        return log_loss(X[hidden], np.clip(values, 0.01, 0.99))

    logistic, squared = (best_hidden(loss, X, hidden, cost) for loss in ("logistic", "squared"))
    print(f"log-loss of hidden entries: logistic {logistic:.3f}, squared {squared:.3f}")
    assert logistic < squared
