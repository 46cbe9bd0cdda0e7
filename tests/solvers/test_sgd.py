"""Stochastic gradient descent: its kernel, its steps, and where they lead."""

from itertools import pairwise

import numpy as np
import pytest
from conftest import fit_for, low_rank, minutes_on_reference, punch_holes, store_observed
from scipy import sparse
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from sklearn_mf import MatrixFactorization, kernels
from sklearn_mf.kernels import reference
from sklearn_mf.losses import Squared
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import ZeroFilledObservations, observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.solvers import SGD, sgd
from sklearn_mf.utils import _threads

SCHEDULES = ["adagrad", "constant", "invscaling", "adaptive"]
BIASES = [False, "features", "samples", "both"]
MODULES = [kernels, reference]
SMOOTH, GENERAL = (0.3, 0.0, -np.inf, None), (0.3, 0.02, 0.0, None)


def work(dtype=np.float64, k=3, penalty=SMOOTH, weighted=False, n=400, n_groups=3, bias=False):
    """Arguments of the kernel: entries in blocks, one block empty."""
    rng = np.random.default_rng(0)
    shape = (20, 14)
    rows, columns = (rng.integers(size, size=n).astype(np.int32) for size in shape)
    blocks = rows % n_groups * n_groups + columns % n_groups
    keep = blocks != 4
    rows, columns, blocks = rows[keep], columns[keep], blocks[keep]
    order = np.argsort(blocks, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(blocks, minlength=n_groups**2))])
    groups = np.arange(n_groups)
    strata = n_groups * groups + (groups + groups[::-1, None]) % n_groups
    targets = rng.normal(size=len(rows)).astype(dtype)
    weights = [rng.random(len(rows)).astype(dtype) if weighted else None for _ in range(2)]
    sides = [
        (
            rng.normal(size=(size, k + bias)).astype(dtype),
            1 + rng.random(size).astype(dtype),
            rng.random(size).astype(dtype),
            (*penalty[:3], 0.1 if bias else None),
        )
        for size in shape
    ]
    return (rows[order], columns[order], targets, *weights), (starts, strata), *sides


def close(dtype):
    return {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [SMOOTH, GENERAL], ids=["smooth", "general"])
@pytest.mark.parametrize("k", [1, 5, 33])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kernel_equals_its_reference(dtype, k, penalty, weighted, bias):
    arguments = work(dtype, k, penalty, weighted, bias=bias)
    for adapt in (0.0, 1.0):
        found = kernels.sgd_epoch(*arguments, 0.1, adapt, 2)
        expected = reference.sgd_epoch(*arguments, 0.1, adapt, 1)
        for side, expected_side in zip(found[:2], expected[:2], strict=True):
            for part, expected_part in zip(side, expected_side, strict=True):
                assert part.dtype == dtype
                np.testing.assert_allclose(part, expected_part, **close(dtype))
        np.testing.assert_allclose(found[2], expected[2], **close(dtype))


@pytest.mark.parametrize("module", MODULES)
def test_a_step_is_the_proximal_point_of_the_entry(module):
    rng = np.random.default_rng(0)
    w, h, target, rate, ridge, weight = *rng.normal(size=(2, 4)), 1.7, 0.6, 0.3, 2.0
    side = np.ones(1), np.full(1, 0.5)
    (W, _), (Ht, _), _ = module.sgd_epoch(
        (
            np.zeros(1, np.int32),
            np.zeros(1, np.int32),
            np.array([target]),
            np.array([weight]),
            None,
        ),
        (np.array([0, 1]), np.array([[0]])),
        (w[None], *side, (ridge, 0.0, -np.inf, None)),
        (h[None], *side, (0.0, 0.0, -np.inf, None)),
        rate,
        0.0,
        1,
    )
    # argmin_v weight/2 (target - v.h)^2 + |v - w|^2 / (2 rate), then the ridge's proximal point
    moved = np.linalg.solve(
        weight * np.outer(h, h) + np.eye(4) / rate, weight * target * h + w / rate
    )
    expected_w = moved / (1 + 0.5 * rate * ridge)
    expected_h = np.linalg.solve(
        np.outer(expected_w, expected_w) + np.eye(4) / rate, target * expected_w + h / rate
    )
    np.testing.assert_allclose(W[0], expected_w, rtol=1e-12)
    np.testing.assert_allclose(Ht[0], expected_h, rtol=1e-12)


@pytest.mark.parametrize("module", MODULES)
def test_without_penalty_short_steps_are_the_textbook_rule(module):
    entries, blocks, rows, columns = work(penalty=(0.0, 0.0, -np.inf, None))
    rate = 1e-5
    (W, _), (Ht, _), errors = module.sgd_epoch(entries, blocks, rows, columns, rate, 0.0, 1)
    expected_W, expected_Ht = rows[0].copy(), columns[0].copy()
    starts, strata = blocks
    for block in strata.ravel():
        for p in range(starts[block], starts[block + 1]):
            i, j = entries[0][p], entries[1][p]
            error = entries[2][p] - expected_W[i] @ expected_Ht[j]
            step_W, step_Ht = rate * error * expected_Ht[j], rate * error * expected_W[i]
            expected_W[i] += step_W / np.sqrt(rows[1][i])
            expected_Ht[j] += step_Ht / np.sqrt(columns[1][j])
    assert np.abs(W - rows[0]).max() > 1e-5
    np.testing.assert_allclose(W, expected_W, atol=1e-7)
    np.testing.assert_allclose(Ht, expected_Ht, atol=1e-7)
    left = (entries[2] - np.sum(W[entries[0]] * Ht[entries[1]], axis=1)) ** 2
    expected = [left[a:b].sum() for a, b in pairwise(starts)]
    np.testing.assert_allclose(errors, expected, rtol=1e-10)


@pytest.mark.parametrize("module", MODULES)
def test_the_kernel_honours_bounds_and_sets_to_zero(module):
    entries, blocks, rows, columns = work(penalty=(0.0, 1.0, 0.0, None), bias=True)
    (W, _), _, _ = module.sgd_epoch(entries, blocks, rows, columns, 0.3, 1.0, 1)
    visited = np.unique(entries[0])
    assert (W[visited, :-1] >= 0).all()
    assert (W[visited, -1] < 0).any()  # a bias has no bound
    assert 0.2 < np.mean(W[visited, :-1] == 0) < 1


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("penalty", [SMOOTH, GENERAL], ids=["smooth", "general"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_step_is_too_long_for_the_kernel(module, penalty, dtype):
    entries, blocks, rows, columns = work(dtype, penalty=penalty, weighted=True, bias=True)
    for rate in (1e3, 1e6):
        (W, _), (Ht, _), errors = module.sgd_epoch(entries, blocks, rows, columns, rate, 0.0, 1)
        assert np.isfinite(W).all()
        assert np.isfinite(Ht).all()
        assert np.isfinite(errors).all()


@pytest.mark.parametrize("module", MODULES)
def test_the_kernel_leaves_its_arguments_alone_and_takes_nothing(module):
    entries, blocks, rows, columns = work()
    before = [part.copy() for part in (*entries[:3], *rows[:3], *columns[:3])]
    module.sgd_epoch(entries, blocks, rows, columns, 0.1, 1.0, 1)
    for part, kept in zip((*entries[:3], *rows[:3], *columns[:3]), before, strict=True):
        np.testing.assert_array_equal(part, kept)
    nothing = tuple(part[:0] for part in entries[:3])
    (W, _), (Ht, _), errors = module.sgd_epoch(
        (*nothing, None, None), (np.array([0, 0]), np.array([[0]])), rows, columns, 0.1, 1.0, 1
    )
    np.testing.assert_array_equal(W, rows[0])
    np.testing.assert_array_equal(Ht, columns[0])
    np.testing.assert_array_equal(errors, [0])


@pytest.mark.parametrize("n_groups", [1, 2, 7])
def test_blocks_of_a_stratum_share_no_row_and_no_column(monkeypatch, n_groups):
    monkeypatch.setattr(sgd, "GROUPS", n_groups)
    monkeypatch.setattr(sgd, "BLOCK_ENTRIES", 1)
    seen = []

    def watched(entries, blocks, *others):
        seen.append((entries, blocks))
        return reference.sgd_epoch(entries, blocks, *others)

    monkeypatch.setattr(kernels, "sgd_epoch", watched)
    X = punch_holes(low_rank())
    MatrixFactorization(2, solver="sgd", max_iter=2, tol=0, random_state=0).fit(X)
    (first, (starts, strata)), (_, (_, other_strata)) = seen
    assert strata.shape == (n_groups, n_groups)
    assert n_groups < 7 or (strata != other_strata).any()
    np.testing.assert_array_equal(np.sort(strata.ravel()), np.arange(n_groups**2))
    visited = np.full(X.shape, np.nan)
    visited[first[0], first[1]] = first[2]
    np.testing.assert_array_equal(np.isnan(visited), np.isnan(X))
    assert len(first[0]) == np.sum(~np.isnan(X))
    for stratum in strata:
        for index in first[:2]:
            parts = [np.unique(index[starts[block] : starts[block + 1]]) for block in stratum]
            together = np.concatenate(parts)
            assert len(together) == len(np.unique(together))
            assert n_groups == 7 or min(map(len, parts)) > 0


@minutes_on_reference
@pytest.mark.parametrize(("schedule", "dtype"), [("adagrad", np.float32), ("adaptive", np.float64)])
def test_the_same_bits_for_any_number_of_threads(monkeypatch, schedule, dtype):
    monkeypatch.setattr(_threads, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(sgd, "BLOCK_ENTRIES", 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    X = store_observed(punch_holes(low_rank(120, 70, mean=1.0))).astype(dtype)
    found = []
    for n in (1, 2, 3):
        with threadpool_limits(1, user_api="blas"), threadpool_limits(n, user_api="openmp"):
            model = MatrixFactorization(
                3, solver=SGD(schedule=schedule), bias="both", alpha_W=0.1, unstored="missing"
            ).set_params(max_iter=6, tol=0, random_state=0)
            found.append((model.fit_transform(X), model.components_, model.loss_curve_))
    for other in found[1:]:
        for one, expected in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(one, expected)


def test_holes_in_dense_data_and_entries_not_stored_are_the_same_to_the_bit():
    X = punch_holes(low_rank(mean=1.0))
    rng = np.random.default_rng(0)
    W, Ht = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    states = []
    for data in (observe(X), observe(store_observed(X), unstored="missing")):
        problem = Problem(data, Squared(), Side(Ridge(0.1)), Side(Ridge(0.1)), 3)
        states.append(SGD().solve(problem, W, Ht, max_iter=5, tol=0, random_state=0))
    np.testing.assert_array_equal(states[0].W, states[1].W)
    np.testing.assert_array_equal(states[0].Ht, states[1].Ht)


def test_zeros_that_are_not_stored_are_entries():
    X = np.where(np.random.default_rng(0).random((30, 20)) < 0.7, 0, low_rank())
    settings = {"solver": "sgd", "init": np.eye(2, 20), "alpha_W": 0.1, "random_state": 0}
    found = [
        MatrixFactorization(2, max_iter=5, tol=0, **settings).fit(data)
        for data in (X, sparse.csr_array(X))
    ]
    np.testing.assert_allclose(found[0].components_, found[1].components_, rtol=1e-10)


def test_too_many_zeros_are_refused_with_the_alternatives():
    X = sparse.csr_array(([1.0, 2.0], ([0, 3999], [1, 2999])), shape=(4000, 3000))
    assert isinstance(observe(X), ZeroFilledObservations)
    with pytest.raises(ValueError, match=r"unstored='missing'\. Otherwise use solver='als'"):
        MatrixFactorization(2, solver="sgd").fit(X)


@minutes_on_reference
@pytest.mark.parametrize("bias", [False, "both"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_reaches_the_objective_of_als(schedule, bias):
    X = punch_holes(low_rank(mean=1.0))
    settings = {"bias": bias, "alpha_W": 0.05, "random_state": 1, "tol": 0, "max_iter": 500}
    als = MatrixFactorization(3, solver="als", **settings).fit(X)
    model = MatrixFactorization(3, solver=SGD(schedule=schedule), **settings).fit(X)
    assert 0.999 * als.loss_curve_[-1] < model.loss_curve_[-1] < 1.01 * als.loss_curve_[-1]


@minutes_on_reference
@pytest.mark.parametrize("scaling", [0.0, 1.0])
@pytest.mark.parametrize("weigh", ["samples", "entries", "both"])
def test_weights_count_as_they_do_for_als(weigh, scaling):
    rng = np.random.default_rng(0)
    X = punch_holes(low_rank(mean=1.0))
    weights = {}
    if weigh != "entries":
        weights["sample_weight"] = 50 * rng.integers(0, 4, len(X)).astype(float)
    if weigh != "samples":
        weights["entry_weight"] = 0.01 * rng.integers(1, 9, X.shape).astype(float)
    settings = {
        "alpha_W": 0.5 if scaling == 0 else 0.05,
        "alpha_scaling": scaling,
        "bias": "both",
        "random_state": 0,
        "tol": 0,
    }
    if scaling == 0 and weigh == "samples":
        settings["alpha_H"] = 50.0
    if scaling == 0 and weigh == "entries":
        settings["alpha_W"] = 0.02
    als = MatrixFactorization(3, solver="als", max_iter=300, **settings).fit(X, **weights)
    model = MatrixFactorization(3, solver="sgd", max_iter=500, **settings).fit(X, **weights)
    assert 0.999 * als.loss_curve_[-1] < model.loss_curve_[-1] < 1.01 * als.loss_curve_[-1]


@minutes_on_reference
@pytest.mark.parametrize("loss", ["huber", "logistic", "absolute"])
def test_other_losses_come_near_the_objective_of_als(loss):
    X = fit_for(loss, punch_holes(low_rank(mean=1.0)))
    settings = {"loss": loss, "bias": "both", "alpha_W": 0.05, "random_state": 0, "tol": 0}
    als = MatrixFactorization(3, solver="als", max_iter=500, **settings).fit(X)
    model = MatrixFactorization(3, solver="sgd", max_iter=500, **settings).fit(X)
    slack = 1.05 if loss == "absolute" else 1.01
    assert model.loss_curve_[-1] < slack * als.loss_curve_[-1]


def test_a_loss_without_a_bound_is_refused():
    X = np.floor(np.exp(np.clip(low_rank(), -3, 3)))
    with pytest.raises(ValueError, match=r"sgd.*quadratic.*Poisson"):
        MatrixFactorization(2, loss="poisson", solver="sgd").fit(X)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_the_curve_is_the_objective(monkeypatch, bias, loss):
    values = []

    def remember(solver, problem, state, step=SGD._step):
        objective = step(solver, problem, state)
        values.append((objective, problem.value(state.W, state.Ht)))
        return objective

    monkeypatch.setattr(SGD, "_step", remember)
    X = punch_holes(low_rank(mean=1.0))
    weight = np.arange(30) % 3 + 0.5
    MatrixFactorization(
        3, solver="sgd", loss=loss, bias=bias, alpha_W=0.1, max_iter=4, tol=0, random_state=0
    ).fit(X, sample_weight=weight)
    np.testing.assert_allclose(*zip(*values, strict=True), rtol=1e-12)


@minutes_on_reference
def test_held_out_entries_are_predicted_as_well_as_by_als():
    X = low_rank(300, 200, rank=4, noise=0.5, mean=3.0)
    hidden = np.random.default_rng(1).random(X.shape) < 0.8
    error = {}
    for solver in ("als", "sgd"):
        model = MatrixFactorization(4, solver=solver, bias="both", alpha_W=0.02, random_state=0)
        filled = model.inverse_transform(model.fit_transform(np.where(hidden, np.nan, X)))
        error[solver] = np.sqrt(np.mean((filled - X)[hidden] ** 2))
    assert error["sgd"] < 1.02 * error["als"]


@minutes_on_reference
@pytest.mark.parametrize("loss", ["squared", "absolute", "logistic"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rate", [1e2, 1e6])
def test_a_huge_learning_rate_recovers_or_is_named(rate, schedule, loss):
    X = fit_for(loss, punch_holes(low_rank(mean=1.0)))
    model = MatrixFactorization(
        3, solver=SGD(rate, schedule=schedule), loss=loss, alpha_W=0.05, max_iter=30, tol=0
    ).set_params(random_state=0)
    try:
        W = model.fit_transform(X)
    except ValueError as error:
        assert "learning_rate" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(W).all()
        assert np.isfinite(model.components_).all()
        assert np.isfinite(model.loss_curve_).all()


def test_the_adaptive_schedule_never_raises_the_objective():
    X = punch_holes(low_rank(mean=1.0))
    solver = SGD(learning_rate=10.0, schedule="adaptive")
    model = MatrixFactorization(3, solver=solver, tol=0, max_iter=60, random_state=0).fit(X)
    assert (np.diff(model.loss_curve_) <= 0).all()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_units_of_the_data_do_not_matter(factor):
    X = punch_holes(low_rank(mean=1.0))
    model = MatrixFactorization(3, solver="sgd", bias="features", tol=0, max_iter=20)
    model.set_params(random_state=0)
    expected = model.inverse_transform(model.fit_transform(X))
    scaled = clone(model)
    found = scaled.inverse_transform(scaled.fit_transform(factor * X))
    np.testing.assert_allclose(found / factor, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("schedule", "cosine"),
        ("power_t", -1),
    ],
)
def test_bad_parameters_are_refused_by_name(name, value):
    model = MatrixFactorization(2, solver=SGD(**{name: value}))
    with pytest.raises(ValueError, match=f"'{name}' parameter of SGD"):
        model.fit(low_rank())
