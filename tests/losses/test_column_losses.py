"""A loss for each column: what a table of numbers, yes or no, and counts promises."""

import pickle
from itertools import cycle

import numpy as np
import pytest
from conftest import fit_for, low_rank, minutes_on_reference, punch_holes, store_observed
from scipy import sparse
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, huber
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.scores import HIDDEN_SEED
from sklearn_mf.losses import Huber, Logistic, Quantile
from sklearn_mf.losses.columns import resolve
from sklearn_mf.objective.constants import column_constants
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import _base, observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.solvers import ALS, LBFGS
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils.discovery import all_losses

# Two numbers, three answers of yes or no, two counts, two numbers with outliers, interleaved.
NUMBERS, ANSWERS, COUNTS, DIRTY = [0, 5], [1, 2, 8], [3, 6], [4, 7]
LOSS = {"squared": NUMBERS, "logistic": ANSWERS, "poisson": COUNTS, Huber(0.5): DIRTY}
BOUNDED = [("squared", [0, 5, 3, 6]), (Huber(0.5), DIRTY), (Logistic((-1, 1)), ANSWERS)]


def table(n_samples=40, seed=0, n_components=2):
    """Data that LOSS takes, complete."""
    X = low_rank(n_samples, 9, n_components, seed=seed)
    X[:, ANSWERS] = fit_for("logistic", X[:, ANSWERS])
    X[:, COUNTS] = fit_for("poisson", X[:, COUNTS])
    X[::7, DIRTY] += 30
    return X


def signs(X):
    """The same data for BOUNDED, answers coded as -1 and 1."""
    X = X.copy()
    X[:, ANSWERS] = 2 * X[:, ANSWERS] - 1
    return X


def model(loss=LOSS, n_components=2, **parameters):
    defaults = {"alpha_W": 0.05, "random_state": 0, "max_iter": 5000, "tol": 1e-3}
    return MatrixFactorization(n_components, loss=loss, **{**defaults, **parameters})


def total_loss(X, m, sample_weight=None):
    """The sum of LOSS over the observed entries, by the functions of other packages."""
    total = 0.0
    rows = np.ones(len(X)) if sample_weight is None else sample_weight
    for j in range(X.shape[1]):
        seen = ~np.isnan(X[:, j])
        x, z, w = X[seen, j], m[seen, j], rows[seen]
        if not seen.any():
            continue
        if j in ANSWERS:
            total += w.sum() * log_loss(x, expit(z), sample_weight=w, labels=[0, 1])
        elif j in COUNTS:
            total += w.sum() * mean_poisson_deviance(x, np.exp(z), sample_weight=w) / 2
        else:
            total += w @ huber(0.5 if j in DIRTY else 1e9, x - z)
    return total


def stored_as(kind, X):
    """Data in one of the four ways to store them, and their dense twin."""
    if kind == "complete":
        return X, X
    if kind == "zero-filled":
        stored = sparse.csr_array(X)
        stored.data[::11] = np.nan  # holes that are stored
        twin = stored.toarray()
        return stored, twin
    holed = punch_holes(X)
    return (store_observed(holed) if kind == "stored" else holed), holed


KINDS = ["complete", "holed", "stored", "zero-filled"]


def problem_of(data, kind, loss=LOSS, row_bias=False, column_bias=False, sample_weight=None):
    loss = resolve(loss, data)
    unstored = "missing" if kind == "stored" else "zero"
    return Problem(
        observe(data, unstored=unstored, sample_weight=sample_weight, column_kinds=loss.kinds),
        loss,
        rows=Side(Ridge(0.3), row_bias),
        columns=Side(Ridge(0.2), column_bias),
        n_components=2,
        alpha_scaling=0.7,
        offset=0.4,
    )


@pytest.fixture(params=[1 << 20, 16], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(_base, "BLOCK_ENTRIES", request.param)


# The objective is the sum of the parts -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_is_the_sum_of_the_losses_of_the_columns(kind, blocks):
    data, X = stored_as(kind, table())
    rng = np.random.default_rng(0)
    weight = rng.random(len(X)) + 0.5
    W, Ht = rng.normal(size=(len(X), 2)), rng.normal(size=(9, 2))
    problem = problem_of(data, kind, sample_weight=weight)
    seen = ~np.isnan(X)
    penalty = 0.15 * (weight * seen.sum(axis=1) ** 0.7) @ (W**2).sum(axis=1)
    penalty += 0.1 * (weight @ seen) ** 0.7 @ (Ht**2).sum(axis=1)
    expected = total_loss(X, W @ Ht.T + 0.4, weight) + penalty
    np.testing.assert_allclose(problem.value(W, Ht), expected, rtol=1e-9)
    np.testing.assert_allclose(problem.T.value(Ht, W), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("biases", [(False, False), (True, True)])
def test_gradients_are_the_derivatives_of_the_objective(kind, biases, blocks):
    data, X = stored_as(kind, table(5))
    rng = np.random.default_rng(0)
    weight = rng.random(len(X)) + 0.5
    problem = problem_of(data, kind, LOSS, *biases, sample_weight=weight)
    W, Ht = rng.normal(size=(5, 2 + biases[0])), rng.normal(size=(9, 2 + biases[1]))
    _, W_gradient, Ht_gradient = problem.value_and_gradient(W, Ht)
    numeric_W = approx_fprime(W.ravel(), lambda w: problem.value(w.reshape(W.shape), Ht), 1e-7)
    numeric_Ht = approx_fprime(Ht.ravel(), lambda h: problem.value(W, h.reshape(Ht.shape)), 1e-7)
    np.testing.assert_allclose(
        (weight[:, None] * W_gradient).ravel(), numeric_W, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(Ht_gradient.ravel(), numeric_Ht, rtol=1e-4, atol=1e-4)
    plain = problem_of(data, kind, LOSS, *biases)
    _, W_gradient, Ht_gradient = plain.value_and_gradient(W, Ht)
    _, Ht_again, W_again = plain.T.value_and_gradient(Ht, W)
    np.testing.assert_allclose(Ht_again, Ht_gradient, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(W_again, W_gradient, rtol=1e-8, atol=1e-10)


@minutes_on_reference
@pytest.mark.parametrize(
    ("name", "kind"),
    zip(
        [name for name, _ in all_losses()],
        cycle(["holed", "stored", "zero-filled"]),
        strict=False,  # the second has no end
    ),
)
def test_columns_of_one_loss_are_that_loss(name, kind):
    X = fit_for(name, low_rank())
    X[:, ::3] = np.where(np.random.default_rng(0).random((30, 7)) < 0.5, 0, X[:, ::3])
    data = {
        "holed": punch_holes(X),
        "stored": store_observed(punch_holes(X)),
        "zero-filled": sparse.csr_array(X),
    }[kind]
    cls = dict(all_losses())[name]
    twin = type("Twin", (cls,), {})  # equal losses would work as one
    apart = [(cls(), slice(0, None, 2)), (twin(), slice(1, None, 2))]
    together = {name: slice(None)}
    unstored = "missing" if kind == "stored" else "zero"
    parameters = {"bias": "features", "tol": 0, "max_iter": 8, "unstored": unstored}
    parameters["solver"] = "als" if hasattr(cls, "quadratic") else "gd"
    plain, *others = (model(loss, **parameters) for loss in (name, apart, together))
    W = plain.fit_transform(data)
    for other in others:
        codes = other.fit_transform(data)
        np.testing.assert_allclose(other.loss_curve_, plain.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(codes, W, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(
            other.inverse_transform(W), plain.inverse_transform(W), rtol=1e-6, atol=1e-9
        )
        np.testing.assert_allclose(other.score(data), plain.score(data), rtol=1e-6)
        np.testing.assert_allclose(other.reconstruction_err_, plain.reconstruction_err_, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seen_by", ["rows", "columns"])
def test_parts_of_the_data_keep_the_losses_of_their_columns(kind, seen_by, blocks):
    data, X = stored_as(kind, table())
    rng, draws = np.random.default_rng(0), hiding_stream(0)
    W, Ht = rng.normal(size=(len(X), 2)), rng.normal(size=(9, 2))
    whole = total_loss(X, W @ Ht.T)
    problem = problem_of(data, kind)
    seen = problem.observations
    if seen_by == "columns":
        seen, W, Ht = seen.T, Ht, W
    everything, halves = slice(None), np.array_split(np.arange(len(W)), 2)
    partitions = {
        "stored": [(everything, seen.stored())],
        "dealt": [(everything, part) for part in seen.stored().deal(50, draws)],
        "taken": [(rows, seen.take(rows)) for rows in halves],
        "subsets": [(rows, seen.subset(rows)) for rows in halves],
        "split": [(rows, p) for rows, block in seen.blocks() for p in block.split(0.3, rng)],
    }
    if kind != "zero-filled":  # which does not hide cells one by one
        held_out = seen.hold_out(0.3, draws)
        partitions["held out"] = [(everything, p) for p in (held_out.visible, held_out.hidden)]
    for way, parts in partitions.items():
        total = sum(part.total_loss(W[rows], Ht, problem.loss) for rows, part in parts)
        np.testing.assert_allclose(total, whole, rtol=1e-9, err_msg=way)


def test_cells_hidden_for_early_stopping_keep_the_losses_of_their_columns():
    problem = problem_of(sparse.csr_array(table()), "zero-filled")
    held_out = problem.observations.hold_out(0.5, hiding_stream(0))
    part = held_out.hidden
    W, Ht = np.ones((part.shape[0], 1)), np.full((9, 1), 0.3)[held_out.columns]
    cells = np.concatenate([block.values for _, block in part.blocks()])
    padded = np.full((len(cells), 9), np.nan)
    padded[:, held_out.columns] = cells
    expected = total_loss(padded, np.full(padded.shape, 0.3))
    np.testing.assert_allclose(part.total_loss(W, Ht, problem.loss), expected, rtol=1e-9)


def test_losses_refuse_data_that_they_were_not_cut_for():
    loss = resolve(LOSS, table())
    with pytest.raises(
        ValueError, match=r"loss indices have shape \(9,\), but the data have shape \(5,\)"
    ):
        loss.value(np.zeros(5), np.zeros(5))


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs", "sgd"])
def test_every_solver_serves_a_table(solver):
    X = signs(punch_holes(table(80)))
    fitted, als = (
        model(BOUNDED, bias="features", solver=name, max_iter=500).fit(X)
        for name in (solver, "als")
    )
    assert fitted.loss_curve_[-1] < 1.03 * als.loss_curve_[-1]


def test_equal_losses_work_as_one():
    X = low_rank(20, 6)
    loss = [("huber", [0]), (Huber(), [1]), (Huber(1), 2), (Huber(2.0), 3), ("squared", [4, 5])]
    parts = model(loss).fit(X).loss_.parts
    assert [str(part) for part in parts] == ["Huber()", "Huber(delta=2.0)", "Squared()"]


def test_columns_of_squared_losses_are_solved_exactly():
    X = low_rank(40, 6)
    ours, plain = model({"squared": slice(0, 6)}), model("squared")
    np.testing.assert_array_equal(ours.fit_transform(X), plain.fit_transform(X))
    assert str(ours.solver_) == str(plain.solver_) == "Spectral()"


# Codes and components ------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [0.0, 1.0])
def test_codes_minimise_the_summed_loss_of_their_row(scaling):
    X = punch_holes(table(30))
    fitted = model(alpha_scaling=scaling, bias="features").fit(X)
    H, b = fitted.components_, fitted.feature_bias_
    for x, w in zip(X[:8], fitted.transform(X[:8]), strict=True):
        strength = 0.05 * (~np.isnan(x)).sum() ** scaling

        def cost(v, x=x, strength=strength):
            return total_loss(x[None], (v @ H + b)[None]) + strength / 2 * v @ v

        best = minimize(cost, np.zeros(2), method="BFGS")
        assert cost(w) <= best.fun + 1e-7 * (1 + best.fun)
        np.testing.assert_allclose(w, best.x, rtol=1e-3, atol=1e-3)


def test_codes_of_answers_beside_missing_numbers_are_logistic_regressions():
    X = punch_holes(table(30))
    fitted = model(alpha_scaling=0.0).fit(X)
    others = np.setdiff1d(np.arange(9), ANSWERS)
    X[:, others] = np.nan
    X = X[(X == 1).any(axis=1) & (X == 0).any(axis=1)]
    assert len(X) > 5
    for x, w in zip(X, fitted.transform(X), strict=True):
        seen = ~np.isnan(x)
        regression = LogisticRegression(C=1 / 0.05, fit_intercept=False, tol=1e-10)
        regression.fit(fitted.components_[:, seen].T, x[seen])
        np.testing.assert_allclose(w, regression.coef_[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
def test_als_never_raises_the_objective(bias):
    X = signs(punch_holes(table()))
    fitted = model(BOUNDED, bias=bias, tol=0, max_iter=60).fit(X)
    assert isinstance(fitted.solver_, ALS)
    curve = np.array(fitted.loss_curve_)
    assert (np.diff(curve) <= 1e-10 * curve[0]).all()


def test_gradient_descent_reaches_the_objective_of_als():
    X = signs(punch_holes(table()))
    als, gd = (
        model(BOUNDED, solver=solver, init="svd", tol=1e-7, max_iter=20_000).fit(X)
        for solver in ("als", "gd")
    )
    assert gd.loss_curve_[-1] < 1.01 * als.loss_curve_[-1]


@pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
def test_counts_in_the_mix_are_left_to_gradient_descent(bias):
    X = punch_holes(table())
    fitted = model(bias=bias).fit(X)
    assert isinstance(fitted.solver_, LBFGS)
    assert (np.diff(fitted.loss_curve_) <= 0).all()
    with pytest.raises(
        ValueError,
        match=r"als.*'quadratic', which Poisson does not have.*\['adam', 'gd', 'lbfgs'\]",
    ):
        model(solver="als").fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_the_constant_of_each_column_is_what_its_loss_asks_for(kind):
    data, X = stored_as(kind, table(400))
    loss = {"squared": NUMBERS, "logistic": ANSWERS, "poisson": COUNTS, Quantile(0.8): DIRTY}
    problem = problem_of(data, kind, loss)
    constants = problem.loss.mean(column_constants(problem))
    expected = np.nanmean(X, axis=0)
    expected[DIRTY] = np.nanquantile(X[:, DIRTY], 0.8, axis=0)
    np.testing.assert_allclose(constants, expected, atol=0.02)


# Predictions and score are on the scale of each column ----------------------------------------


@pytest.mark.parametrize("bias", [False, "both"])
def test_predictions_are_what_to_expect_of_each_column(bias):
    X = punch_holes(table())
    fitted = model(bias=bias, tol=1e-3)
    W = fitted.fit_transform(X)
    m = W[:, :2] @ fitted.components_ + W[:, 2:].sum(axis=1)[:, None] + fitted.feature_bias_
    expected = m.copy()
    expected[:, ANSWERS], expected[:, COUNTS] = expit(m[:, ANSWERS]), np.exp(m[:, COUNTS])
    values = fitted.inverse_transform(W)
    np.testing.assert_allclose(values, expected)
    rows, columns = [3, 0, 3, 24, 0, 3], [1, 8, 0, 3, 4, 1]  # one of them twice
    np.testing.assert_allclose(fitted.predict_entries(X, rows, columns), values[rows, columns])
    np.testing.assert_allclose(
        fitted.reconstruction_err_, np.sqrt(np.nansum((X - values) ** 2)), rtol=1e-7
    )


def test_score_is_the_explained_share_of_the_summed_loss_of_hidden_entries():
    X = punch_holes(table(101))
    loss = {"squared": NUMBERS + DIRTY, "logistic": ANSWERS, "poisson": COUNTS}
    fitted = model(loss, bias="features").fit(X)
    draws = np.full(X.shape, -1.0)
    draws[~np.isnan(X)] = hiding_stream(HIDDEN_SEED).random((~np.isnan(X)).sum())
    hidden = (draws >= 0) & (draws < 0.2)
    hidden[np.arange(len(X)), draws.argmax(axis=1)] = False
    values = fitted.inverse_transform(fitted.transform(np.where(hidden, np.nan, X)))

    def cost(predicted):
        total = 0
        for j in range(9):
            x, p = X[hidden[:, j], j], predicted[hidden[:, j], j]
            if j in ANSWERS:
                total += len(x) * log_loss(x, p, labels=[0, 1])
            elif j in COUNTS:
                total += len(x) * mean_poisson_deviance(x, p) / 2
            else:
                total += 0.5 * np.sum((x - p) ** 2)
        return total

    baseline = cost(np.broadcast_to(np.nanmean(X, axis=0), X.shape))
    np.testing.assert_allclose(fitted.score(X), 1 - cost(values) / baseline, rtol=1e-9)


def test_score_counts_from_the_constant_of_each_loss():
    X = low_rank(201, 4)
    loss = {Quantile(0.8, smoothing=1e-4): [0, 2], "squared": [1, 3]}
    fitted = model(loss, 1, bias="features", alpha_W=1e6, tol=1e-12).fit(X)
    assert abs(fitted.score(X)) < 0.02
    constants = fitted.inverse_transform(np.zeros((1, 1)))[0]
    best = mean_pinball_loss(X[:, 0], np.full(201, np.quantile(X[:, 0], 0.8)), alpha=0.8)
    found = mean_pinball_loss(X[:, 0], np.full(201, constants[0]), alpha=0.8)
    assert found == pytest.approx(best, rel=1e-3)


def test_hidden_entries_are_predicted_better_than_by_the_means():
    rng = np.random.default_rng(0)
    m = low_rank(300, 30, rank=2, noise=0)
    mean = np.hstack([m[:, :10], expit(2 * m[:, 10:20]), np.exp(0.5 * m[:, 20:] + 1)])
    X = mean + 0.3 * rng.normal(size=mean.shape)
    X[:, 10:20] = rng.random((300, 10)) < mean[:, 10:20]
    X[:, 20:] = rng.poisson(mean[:, 20:])
    X = punch_holes(X)
    hidden = np.isnan(X)
    loss = {"squared": slice(0, 10), "logistic": slice(10, 20), "poisson": slice(20, 30)}
    fitted = model(loss, bias="features", alpha_W=0.02)
    values = fitted.inverse_transform(fitted.fit_transform(X))
    for part in loss.values():
        error = np.sqrt(np.mean((values - mean)[:, part][hidden[:, part]] ** 2))
        marginal = np.sqrt(np.mean((np.nanmean(X, axis=0) - mean)[:, part][hidden[:, part]] ** 2))
        assert error < 0.5 * marginal


# Containers, dtypes, weights -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["holed", "stored", "zero-filled"])
@pytest.mark.parametrize("bias", [False, "both"])
def test_sparse_data_are_those_of_the_dense_twin(kind, bias):
    data, X = stored_as(kind, table())
    unstored = "missing" if kind == "stored" else "zero"
    expected, actual = (model(bias=bias, tol=0, max_iter=20) for _ in range(2))
    W = expected.fit_transform(X)
    actual.set_params(unstored=unstored)
    np.testing.assert_allclose(actual.fit_transform(data), W, rtol=1e-4, atol=1e-5)
    assert actual.predict_entries(data, [3, 7], [1, 3]) == pytest.approx(
        expected.predict_entries(X, [3, 7], [1, 3]), rel=1e-4
    )


@pytest.mark.parametrize("bias", [False, "both"])
def test_float32_is_kept_and_close_to_float64(bias):
    X = punch_holes(table())
    fitted, expected = (model(bias=bias, tol=1e-2) for _ in range(2))
    W = fitted.fit_transform(X.astype(np.float32))
    values = fitted.inverse_transform(W)
    assert W.dtype == fitted.components_.dtype == fitted.feature_bias_.dtype == np.float32
    assert values.dtype == fitted.predict_entries(X.astype(np.float32), [0], [0]).dtype
    assert values.dtype == np.float32
    objective = expected.fit(X).loss_curve_[-1]
    np.testing.assert_allclose(fitted.loss_curve_[-1], objective, rtol=0.05)


@pytest.mark.parametrize("loss", ["mixed", "bounded"])
@pytest.mark.parametrize("bias", [False, "features", "both"])
def test_sample_weights_are_repetitions(loss, bias):
    X = punch_holes(table())
    loss, X = (LOSS, X) if loss == "mixed" else (BOUNDED, signs(X))
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = model(loss, bias=bias, tol=0, max_iter=15).fit(X, sample_weight=weight)
    repeated = model(loss, bias=bias, tol=0, max_iter=15).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)


def test_a_row_is_solved_as_if_alone(blocks):
    X = punch_holes(table())
    fitted = model(bias="both", tol=0, max_iter=5).fit(X)
    W = fitted.transform(X)
    some = [17, 3, 29, 0]
    np.testing.assert_allclose(fitted.transform(X[some]), W[some], atol=1e-7)
    np.testing.assert_allclose(fitted.transform(X[[5]]), W[[5]], atol=1e-7)


def test_the_order_of_the_columns_does_not_matter():
    X, order = punch_holes(table()), np.random.default_rng(0).permutation(9)
    places = {name: [int(np.flatnonzero(order == j)[0]) for j in LOSS[name]] for name in LOSS}
    H = np.random.default_rng(1).normal(size=(2, 9))
    here = model(init=H, tol=0, max_iter=20).fit(X)
    there = model(places, init=H[:, order], tol=0, max_iter=20).fit(X[:, order])
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(there.components_, here.components_[:, order], rtol=1e-5, atol=1e-8)


# As scikit-learn addresses columns -----------------------------------------------------------

COLUMNS = ["age", "member", "smoker", "visits", "income", "height", "children", "weight", "owner"]


def frame(X=None):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(punch_holes(table()) if X is None else X, columns=COLUMNS)


def masked(columns):
    return np.isin(np.arange(9), columns)


ADDRESSES = {
    "pairs": [
        ("squared", NUMBERS),
        ("logistic", ANSWERS),
        ("poisson", COUNTS),
        (Huber(0.5), DIRTY),
    ],
    "arrays": [(name, np.array(columns)) for name, columns in LOSS.items()],
    "negative": {name: [j - 9 for j in columns] for name, columns in LOSS.items()},
    "masks": [(name, masked(columns)) for name, columns in LOSS.items()],
    "lists of booleans": {name: masked(columns).tolist() for name, columns in LOSS.items()},
    "slices and numbers": [
        ("squared", 0),
        ("squared", 5),
        ("logistic", slice(1, 3)),
        ("logistic", slice(8, None)),
        ("poisson", slice(3, 9, 3)),  # 3 and 6
        (Huber(0.5), (4, -2)),
    ],
    "one each": [next(name for name, columns in LOSS.items() if j in columns) for j in range(9)],
}
NAMED = {
    "names": {name: [COLUMNS[j] for j in columns] for name, columns in LOSS.items()},
    "slices of names": [
        ("squared", "age"),
        ("logistic", slice("member", "smoker")),
        ("poisson", ["visits", "children"]),
        (Huber(0.5), ["income", "weight"]),
        ("squared", ["height"]),
        ("logistic", slice("owner", None)),
    ],
    "selectors": [
        ("squared", make_column_selector("age|height")),
        ("logistic", make_column_selector("r$")),
        ("poisson", lambda X: [name for name in X.columns if name in ("visits", "children")]),
        (Huber(0.5), make_column_selector("income|weight")),
    ],
}


@pytest.mark.parametrize("way", [*ADDRESSES, *NAMED])
def test_columns_are_addressed_as_in_column_transformer(way):
    loss = {**ADDRESSES, **NAMED}[way]
    X = frame() if way in NAMED else punch_holes(table())
    expected = model(tol=1e-2).fit_transform(punch_holes(table()))
    fitted = clone(model(loss, tol=1e-2))
    np.testing.assert_allclose(fitted.fit_transform(X), expected, rtol=1e-5)
    again = pickle.loads(pickle.dumps(fitted.set_params(loss="squared")))
    np.testing.assert_allclose(again.transform(X), expected, rtol=1e-5)  # what was fitted counts


def test_names_and_reordering():
    X = frame()
    fitted = model(NAMED["names"], tol=1e-2).set_output(transform="pandas")
    W = fitted.fit_transform(X)
    assert list(W.columns) == ["matrixfactorization0", "matrixfactorization1"]
    assert list(fitted.inverse_transform(W).columns) == COLUMNS
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(X[COLUMNS[::-1]])
    # Refitted by name, the same columns have the same losses.
    reordered = clone(fitted).set_params(solver="gd").fit(X[COLUMNS[::-1]])
    kinds = reordered.loss_.kinds
    assert [str(reordered.loss_.parts[k]) for k in kinds[::-1]] == [
        str(fitted.loss_.parts[k]) for k in fitted.loss_.kinds
    ]


def test_clones_share_nothing_that_a_fit_changes():
    before = clone(model())
    state = {key: dict(vars(key)) for key in LOSS if not isinstance(key, str)}
    fitted = clone(before).fit(table())
    assert all(vars(key) == value for key, value in state.items())
    assert fitted.loss.keys() == LOSS.keys()
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(table()), fitted.transform(table()))
    np.testing.assert_array_equal(clone(again).fit(table()).components_, fitted.components_)


@minutes_on_reference
def test_grid_search_chooses_among_losses():
    X = low_rank(80, 12, rank=2, noise=0.3)
    y = X[:, 0] + X[:, 7] > 0
    X[:, 6:] = fit_for("logistic", X[:, 6:])
    X = punch_holes(X)
    losses = [
        "squared",
        {"squared": slice(0, 6), "logistic": slice(6, 12)},
        [(Huber(0.5), slice(0, 6)), (Logistic(), slice(6, 12))],
        ["squared"] * 6 + ["logistic"] * 6,
    ]
    pipeline = make_pipeline(model(bias="features", tol=1e-2), LogisticRegression())
    search = GridSearchCV(pipeline, {"matrixfactorization__loss": losses}, cv=3).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] == scores[3]
    assert min(scores) > 0.6
    assert list(search.cv_results_["param_matrixfactorization__loss"]) == losses
    alone = GridSearchCV(model(bias="features"), {"loss": losses[1:3], "n_components": [1, 2]})
    assert alone.fit(X).best_params_["n_components"] == 2


def test_the_tag_of_positive_data_is_that_of_any_column():
    tags = [model(loss).__sklearn_tags__() for loss in (LOSS, BOUNDED, ["poisson"], ["?", 3, ()])]
    assert [tag.input_tags.positive_only for tag in tags] == [True, False, True, False]


# What cannot be served is refused by name ----------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            {"squared": slice(0, 6)},
            "loss assigns no loss to column 6, column 7, column 8: name every",
        ),
        ({"squared": [0]}, "loss assigns no loss to column 1, .* and 3 more"),
        ({}, "loss is a list of 0 losses, but X has 9 columns"),
        ([], "loss is a list of 0 losses, but X has 9 columns"),
        (["squared"] * 8, "loss is a list of 8 losses, but X has 9 columns"),
        ([("squared", slice(None)), ("huber", [4])], "more than one loss to column 4:"),
        ([("squared", slice(None)), ("squared", [-1])], "more than one loss to column 8:"),
        ([("squared", [0, *range(9)])], "more than one loss to column 0:"),
        (
            {"squared": [0, 9], "huber": slice(1, 9)},
            r"loss assigns 'squared' to the columns \[0, 9\]",
        ),
        ({"squared": [-10]}, r"loss assigns 'squared' to the columns \[-10\]"),
        ({"squared": ["age"]}, r"loss assigns 'squared' to the columns \['age'\].*dataframes"),
        ({"squared": [0.5]}, r"loss assigns 'squared' to the columns \[0.5\]"),
        ({"squared": [True, False]}, r"loss assigns 'squared' to the columns \[True, False\]"),
        ({"squared": [0, "age"]}, r"loss assigns 'squared' to the columns \[0, 'age'\]"),
        ({"squared": None}, "loss assigns 'squared' to the columns None"),
        ({"squarred": slice(None)}, "loss='squarred' is unknown"),
        (["squared"] * 8 + ["squarred"], "loss='squarred' is unknown"),
        (["squared"] * 8 + [3], "loss contains 3, but must contain the name of a loss"),
        ([(Huber, slice(None))], "loss contains <class .* must contain the name of a loss"),
        ([("squared", slice(0, 8)), "huber"], "loss contains 'huber' in a list of pairs"),
        ([("squared", 0, 8)], r"loss contains \('squared', 0, 8\) in a list of pairs"),
        ({Huber(-1.0): slice(None)}, "'delta' parameter of Huber"),
        ({"squared": [0], Quantile(2.0): slice(1, 9)}, "'quantile' parameter of Quantile"),
        (("squared", "huber"), "'loss' parameter of MatrixFactorization"),
    ],
    ids=str,
)
def test_bad_losses_of_columns_are_refused_by_name(loss, message):
    with pytest.raises(ValueError, match=message):
        model(loss).fit(low_rank(20, 9))


def test_bad_names_are_refused_by_name():
    X = frame()
    with pytest.raises(
        ValueError, match=r"loss assigns 'squared' to the columns \['agge'\].*'agge'"
    ):
        model({"squared": ["agge"]}).fit(X)
    with pytest.raises(ValueError, match="loss assigns no loss to 'income', 'height'"):
        model({"squared": slice("age", "visits"), "huber": slice("children", None)}).fit(X)
    with pytest.raises(ValueError, match="loss assigns more than one loss to 'age':"):
        model([("squared", slice(None)), ("huber", "age")]).fit(X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (2, 3.0, "Column 2 of X: loss='logistic'.*X contains 3. Encode X as 0 and 1"),
        (6, -2.0, "Column 6 of X: Negative values in data: loss='poisson'.*contains -2"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform", "score"])
def test_data_that_a_loss_cannot_take_are_refused_with_their_column(
    kind, column, value, message, method
):
    good, _ = stored_as(kind, table())
    X = table()
    X[column, column] = value  # where `punch_holes` makes no hole
    bad, twin = stored_as(kind, X)
    assert twin[column, column] == value
    estimator = model(unstored="missing" if kind == "stored" else "zero", tol=0.1)
    if method != "fit":
        estimator.fit(good)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(bad)
    assert before.keys() | {"n_features_in_"} == vars(estimator).keys() | {"n_features_in_"}


def test_the_column_that_a_loss_cannot_take_is_named():
    X = frame()
    X.loc[3, "smoker"] = 2
    with pytest.raises(ValueError, match="Column 'smoker' of X: loss='logistic'"):
        model(NAMED["names"]).fit(X)


def test_zeros_that_are_not_stored_are_checked():
    X = signs(table())
    stored = sparse.csr_array(X)
    model(BOUNDED, tol=0.1).fit(stored)
    dense = stored.toarray()
    dense[4, 2] = 0
    with pytest.raises(ValueError, match=r"Column 2 of X: .*unstored='missing'"):
        model(BOUNDED).fit(sparse.csr_array(dense))
    model(BOUNDED, unstored="missing", tol=0.1).fit(sparse.csr_array(dense))
