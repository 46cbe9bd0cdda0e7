"""ImplicitFactorization: all cells count, and none but the stored ones costs anything."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from sklearn_mf import ImplicitFactorization, MatrixFactorization, kernels
from sklearn_mf.fitting.hidden_ranks import discounted_gains
from sklearn_mf.solvers import ALS

BIASES = pytest.mark.parametrize("bias", [False, "features", "samples", "both"])


def counts(n_samples=60, n_features=40, seed=0, rank=3, share=0.15):
    """Counts of what groups of samples met, more of it in their own group of features."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, rank, n_samples)[:, None] == rng.integers(0, rank, n_features)
    return rng.poisson(np.where(group, 3 * share, share / 3), (n_samples, n_features)) * 1.0


CONFIGURATIONS = [
    ImplicitFactorization(),
    ImplicitFactorization(3, bias="both", confidence="log"),
    ImplicitFactorization(3, positive=True, negative="dislike", alpha_W=0.1),
]


# What loops of Python would take a minute for is tested elsewhere.
@parametrize_with_checks(CONFIGURATIONS[: 1 if kernels.IMPLEMENTATION == "reference" else None])
def test_scikit_learn_agrees(estimator, check):
    check(estimator)


# The objective --------------------------------------------------------------------------------


@BIASES
@pytest.mark.parametrize("positive", [False, "W", True])
def test_the_fit_is_that_of_a_dense_table_with_weights(bias, positive):
    X = counts()
    start = np.abs(np.random.default_rng(0).normal(size=(4, 40)))
    same = {"bias": bias, "positive": positive, "alpha_W": 0.01, "init": start, "tol": 0}
    implicit = ImplicitFactorization(
        4, confidence="linear", confidence_scale=2.0, unobserved_weight=0.2, max_iter=8, **same
    )
    implicit.fit(sparse.csr_array(X))
    weights, wanted = 0.2 + 2 * X, (X > 0) * 1.0
    dense = MatrixFactorization(4, solver="als", max_iter=8, **same)
    dense.fit(wanted, entry_weight=weights)
    for name in ("components_", "feature_bias_", "loss_curve_", "reconstruction_err_"):
        np.testing.assert_allclose(
            getattr(implicit, name), getattr(dense, name), rtol=1e-7, atol=1e-7
        )
    codes = dense.transform(wanted, entry_weight=weights)
    np.testing.assert_allclose(implicit.transform(X), codes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("alpha_scaling", [0.0, 0.5, 1.0])
def test_the_curve_is_the_objective_written_out(alpha_scaling):
    X = counts()
    weight = np.random.default_rng(0).random(60)
    model = ImplicitFactorization(
        5, alpha_W=0.02, alpha_H=0.05, alpha_scaling=alpha_scaling, max_iter=500, tol=1e-13
    )
    W = model.fit_transform(X, sample_weight=weight)
    H, E = model.components_.T, 0.1 + (X > 0)
    errors = weight[:, None] * E * ((X > 0) - W @ H.T) ** 2
    rows = 0.02 * weight * E.sum(axis=1) ** alpha_scaling * np.sum(W**2, axis=1)
    columns = 0.05 * (weight @ E) ** alpha_scaling * np.sum(H**2, axis=1)
    objective = (errors.sum() + rows.sum() + columns.sum()) / 2
    assert model.loss_curve_[-1] == pytest.approx(objective, rel=1e-9)


def test_codes_are_those_of_hu_koren_and_volinsky():
    X = counts()
    model = ImplicitFactorization(3, confidence="linear", alpha_W=0.5, alpha_scaling=0).fit(X)
    Y = model.components_.T
    for counted, code in zip(X[:5], model.transform(X[:5]), strict=True):
        C = np.diag(0.1 + counted)
        expected = np.linalg.solve(Y.T @ C @ Y + 0.5 * np.eye(3), Y.T @ C @ (counted > 0))
        np.testing.assert_allclose(code, expected, rtol=1e-9)


def test_the_model_of_rendle_is_a_multiple():
    # His stored cells have the target 1 and weight 1, beside the background of all cells:
    # at his penalty times 1 + a0, his scores are these divided by 1 + a0.
    X, a0, strength = counts() > 0, 0.3, 0.02
    model = ImplicitFactorization(
        3, unobserved_weight=a0, alpha_W=strength * (1 + a0), max_iter=2000, tol=1e-14
    )
    W = model.fit_transform(X * 1.0)
    U, V = W / np.sqrt(1 + a0), model.components_.T / np.sqrt(1 + a0)
    for scores, sizes, own, other, wanted in (
        (U @ V.T, X.sum(axis=1) + a0 * 40, U, V, X),
        (V @ U.T, X.sum(axis=0) + a0 * 60, V, U, X.T),
    ):
        gradient = ((scores - 1) * wanted + a0 * scores) @ other
        gradient += strength * sizes[:, None] * own
        np.testing.assert_allclose(gradient, 0, atol=1e-4)


@pytest.mark.parametrize(
    ("confidence", "rule"),
    [
        ("binary", lambda x: np.ones_like(x)),
        ("linear", lambda x: x),
        ("log", np.log1p),
        (np.sqrt, np.sqrt),
    ],
)
def test_confidence(confidence, rule):
    X = sparse.csr_array(counts())
    init = np.random.default_rng(0).normal(size=(3, 40))
    model = ImplicitFactorization(3, confidence=confidence, confidence_scale=3.0, init=init).fit(X)
    stated = ImplicitFactorization(3, init=init).fit(
        X, entry_weight=sparse.csr_array((3 * rule(X.data), X.indices, X.indptr), X.shape)
    )
    np.testing.assert_allclose(model.components_, stated.components_, rtol=1e-9)


def test_dislikes_count_as_zeros_with_confidence():
    X = counts()
    X[0, 0], X[1, :3] = -4, -1
    init = np.random.default_rng(0).normal(size=(3, 40))
    model = ImplicitFactorization(3, confidence="linear", negative="dislike", init=init).fit(X)
    dense = MatrixFactorization(3, solver="als", alpha_W=0.003, init=init, max_iter=16, tol=0)
    dense.fit(np.maximum(np.sign(X), 0), entry_weight=0.1 + np.abs(X))
    np.testing.assert_allclose(model.components_, dense.components_, rtol=1e-7, atol=1e-9)


# What it takes, and what it refuses --------------------------------------------------------------


def test_entries_of_weight_zero_are_not_there():
    X = counts()
    E = np.ones_like(X)
    E[:, 3] = 0
    without = X.copy()
    without[:, 3] = 0
    same = {"init": np.random.default_rng(0).normal(size=(3, 40))}
    one = ImplicitFactorization(3, **same).fit(X, entry_weight=sparse.csr_array(E))
    other = ImplicitFactorization(3, **same).fit(without)
    np.testing.assert_array_equal(one.components_, other.components_)


def test_pairs_that_come_twice_are_summed_and_zeros_are_nothing():
    X = counts()
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    twice = sparse.coo_array(
        (
            np.concatenate([values / 4, values * 3 / 4, [0.0]]),
            (np.append(np.tile(rows, 2), 0), np.append(np.tile(columns, 2), np.argmin(X[0]))),
        ),
        shape=X.shape,
    )
    same = {"confidence": "linear", "init": np.random.default_rng(0).normal(size=(3, 40))}
    one, other = (ImplicitFactorization(3, **same).fit(data) for data in (twice, X))
    np.testing.assert_allclose(one.components_, other.components_, rtol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "change", "message"),
    [
        ({}, -2.0, r"row 7, column 5 has -2. Use negative='dislike'"),
        ({}, np.nan, "NaN in row 7, column 5. Remove entries that are not known"),
        ({"confidence": lambda x: x - 1.0}, 1.0, r"confidence 0 for the value 1 in row \d+"),
        ({"confidence": lambda x: x[:3]}, 1.0, "confidence returned an array of shape"),
    ],
)
@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
def test_what_is_refused_is_named(parameters, change, message, container):
    X = counts()
    X[7, 5] = change
    with pytest.raises(ValueError, match=message):
        ImplicitFactorization(3, **parameters).fit(container(X))


def test_samples_and_features_without_an_entry():
    X = counts()
    X[3] = 0
    X[:, 4] = 0
    model = ImplicitFactorization(3).fit(X)
    np.testing.assert_allclose(model.components_[:, 4], 0, atol=1e-12)
    codes = model.transform(X)
    # Of a row that stores nothing is expected what is of all.
    np.testing.assert_allclose(codes[3], np.delete(codes, 3, axis=0).mean(axis=0))
    popular = ImplicitFactorization(3, bias="features").fit(X)
    scores = popular.inverse_transform(popular.transform(np.zeros((1, 40))))
    assert np.corrcoef(scores[0], (X > 0).sum(axis=0))[0, 1] > 0.6


def test_standard_deviations_are_refused():
    model = ImplicitFactorization(3).fit(counts())
    assert model.predict_entries(counts(), [0], [1]).shape == (1,)
    with pytest.raises(ValueError, match="no error to speak of"):
        model.predict_entries(counts(), [0], [1], return_std=True)


# Digits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "dtype"), [("cholesky", np.float32), ("cg", np.float64), ("cd", np.float32)]
)
def test_the_same_bits_for_any_number_of_threads(dtype, inner, monkeypatch):
    monkeypatch.setattr("sklearn_mf.utils._threads.WORK_PER_THREAD", 1)
    X = sparse.csr_array(counts(1500, 150).astype(dtype))
    found = []
    for limit in (1, 2):
        with threadpool_limits(limit):
            model = ImplicitFactorization(
                20, solver=ALS(inner=inner), init="random", random_state=0, max_iter=3
            )
            found.append((model.fit_transform(X), model.components_, model.loss_curve_))
    assert found[0][0].dtype == dtype
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_single_precision_is_near_double():
    X = counts()
    init = np.random.default_rng(0).normal(size=(3, 40))
    one, other = (
        ImplicitFactorization(3, init=init, max_iter=100).fit(X.astype(dtype))
        for dtype in (np.float32, np.float64)
    )
    assert one.components_.dtype == np.float32
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-5)


def test_data_of_millions_of_cells_are_never_made_dense():
    rng = np.random.default_rng(0)
    shape, n = (60_000, 50_000), 20_000
    X = sparse.coo_array(
        (np.ones(n), (rng.integers(shape[0], size=n), rng.integers(shape[1], size=n))), shape
    )
    model = ImplicitFactorization(2, max_iter=2, init="random", random_state=0).fit(X)
    assert np.all(np.diff(model.loss_curve_) < 0)
    assert 0 <= model.score(X) <= 1


# New rows and columns ----------------------------------------------------------------------------


@BIASES
def test_new_columns_are_those_of_fit(bias):
    X = counts()
    model = ImplicitFactorization(3, bias=bias, max_iter=1000, tol=1e-14)
    W = model.fit_transform(X)
    H = model.transform_columns(X[:, :5], W)
    np.testing.assert_allclose(H[:, :3], model.components_[:, :5].T, atol=1e-3)
    if bias in ("features", "both"):
        np.testing.assert_allclose(H[:, 3], model.feature_bias_[:5], atol=1e-3)


def test_batches_come_near_to_a_fit():
    X = counts(600)
    whole = ImplicitFactorization(3, alpha_W=0.01, max_iter=100).fit(X)
    model = ImplicitFactorization(3, alpha_W=0.01)
    for start in range(0, 600, 60):
        model.partial_fit(X[start : start + 60])
    assert model.n_samples_seen_ == 600
    assert model.score(X) == pytest.approx(whole.score(X), abs=0.02)


def test_batches_go_on_from_a_fit_and_leave_no_trace_of_the_unit():
    X = counts(300)
    model = ImplicitFactorization(3).fit(X[:200])
    before = model.score(X)
    model.partial_fit(X[200:])
    assert model.score(X) == pytest.approx(before, abs=0.05)


def test_a_warm_start_goes_on_and_takes_more_columns():
    X = counts()
    cold = ImplicitFactorization(3, max_iter=30).fit(X)
    warm = ImplicitFactorization(3, max_iter=5, warm_start=True).fit(X[:, :30])
    for _ in range(5):
        warm.fit(X)
    assert warm.loss_curve_[-1] == pytest.approx(cold.loss_curve_[-1], rel=1e-2)


# Scores ------------------------------------------------------------------------------------------


def test_score_is_that_of_a_loop():
    X = counts()
    model = ImplicitFactorization(3).fit(X)
    visible, hidden = model._observe(X, None).split(0.2, np.random.default_rng(0))
    problem = model._problem(visible)
    W = model.transform(visible.corrections.matrix(visible.corrections.values).toarray())
    rows = np.flatnonzero(np.diff(hidden.indptr))
    found = discounted_gains(problem, (W, model.components_.T), (visible, hidden), rows)
    for row, gain in zip(rows, found, strict=True):
        scores = W[row] @ model.components_
        seen = visible.of_row(row)[0]
        order = [j for j in np.argsort(-scores) if j not in seen]
        wanted = hidden.of_row(row)[0]
        gains = sum(1 / np.log2(2 + order.index(j)) for j in wanted)
        best = sum(1 / np.log2(2 + rank) for rank in range(len(wanted)))
        assert gain == pytest.approx(gains / best)


def test_groups_are_found_by_grid_search():
    X = counts(200, share=0.4)
    search = GridSearchCV(ImplicitFactorization(max_iter=8), {"n_components": [1, 3]}).fit(X)
    assert search.best_params_ == {"n_components": 3}
    assert search.best_score_ > 0.4


def test_a_model_that_knows_nothing_gains_nothing():
    X = counts()
    model = ImplicitFactorization(3).fit(X)
    model.components_ = np.zeros_like(model.components_)
    assert model.score(X) < 1 / np.log2(20)


def test_early_stopping_keeps_what_ranked_hidden_entries_highest():
    X = counts(300, share=0.3)
    model = ImplicitFactorization(
        20, alpha_W=1e-5, early_stopping=True, tol=1e-4, max_iter=60, random_state=0
    ).fit(X)
    scores = model.validation_scores_
    assert model.n_iter_ == len(scores) < 60
    assert model.best_validation_score_ == max(scores) > 0.3
    assert clone(model).set_params(early_stopping=False).fit(X).validation_scores_ is None
