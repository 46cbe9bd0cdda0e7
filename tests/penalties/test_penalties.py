"""Penalties beyond squares and absolute values, against closed forms and SciPy."""

import numpy as np
import pytest
from conftest import above_kernels, low_rank, punch_holes, store_observed
from grids import pairwise
from scipy import sparse
from scipy.linalg import block_diag
from scipy.optimize import approx_fprime, minimize

from sklearn_mf import MatrixFactorization
from sklearn_mf.losses import Huber, Squared
from sklearn_mf.objective import Problem, Side
from sklearn_mf.objective.canonical_form import canonical
from sklearn_mf.objective.factor_penalty import FactorPenalty
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import observe
from sklearn_mf.penalties import BasePenalty, ElasticNet, GroupLasso, Ridge, Smoothness
from sklearn_mf.solvers import (
    ALS,
    LBFGS,
    SGD,
    Adam,
    CoordinateDescent,
    GradientDescent,
    MultiplicativeUpdate,
    Spectral,
)
from sklearn_mf.starts.start import start
from sklearn_mf.systems import RowSystems, descend_proximally

QUIET = pytest.mark.filterwarnings("ignore:.*did not converge")
HOLED = punch_holes(low_rank(25, 12, rank=2, noise=0.3), share=0.2)
ALL = [
    GroupLasso(0.05),
    GroupLasso(0.05, "rows"),
    GroupLasso(0.05, "rows", positive=True),
    Smoothness(0.05),
    Smoothness(0.05, 1, positive=True),
]


def differences(n, order):
    """The matrix of differences of n numbers."""
    matrix = np.eye(n)
    for _ in range(order):
        matrix = matrix[1:] - matrix[:-1]
    return matrix


def posed(columns, rows=None, data=HOLED, loss=None, k=3, bias=False, **parameters):
    rows = Ridge(0.05) if rows is None else rows
    sides = Side(rows, bias, bias * 0.05), Side(columns, bias, bias * 0.05)
    return Problem(observe(data, **parameters), loss or Squared(), *sides, k)


def solved(solver, problem, max_iter=3000, tol=1e-8):
    W, Ht = start(problem, "svd", np.random.RandomState(0))
    return solver.solve(problem, W, Ht, max_iter=max_iter, tol=tol, random_state=0)


# The penalties themselves ---------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 9])
def test_smoothness_is_the_square_of_differences(order, n_rows):
    V = np.random.default_rng(0).normal(size=(n_rows, 2))
    D = differences(n_rows, min(order, n_rows)) if order < n_rows else np.zeros((0, n_rows))
    penalty = Smoothness(0.7, order)
    np.testing.assert_allclose(penalty.value(V), 0.35 * np.sum((D @ V) ** 2))
    np.testing.assert_allclose(penalty.gradient(V), 0.7 * D.T @ D @ V, atol=1e-12)
    assert np.linalg.eigvalsh(D.T @ D).max(initial=0) * 0.7 <= penalty.curvature


@pytest.mark.parametrize("groups", ["rows", "components"])
@pytest.mark.parametrize("positive", [False, True])
def test_group_lasso_prefers_what_scipy_finds(groups, positive):
    V = np.random.default_rng(0).normal(size=(4, 3))
    V = V[:, :1] if groups == "components" else V[:1]
    penalty = GroupLasso(0.6, groups, positive)

    def cost(u):
        return 0.5 * np.sum((u - V.ravel()) ** 2) + 0.5 * 0.6 * np.sqrt(np.sum(u**2) + 1e-20)

    bounds = [(0 if positive else None, None)] * V.size
    best = minimize(cost, np.abs(V.ravel()) + 0.1, bounds=bounds, tol=1e-14).x
    np.testing.assert_allclose(penalty.prox(V, 0.5).ravel(), best, atol=1e-5)
    assert not penalty.prox(V, 1e3).any()


# The objective ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("loss", [Squared(), Huber(0.5)], ids=str)
def test_gradients_of_a_smooth_penalty_of_columns(loss, bias):
    weight = np.random.default_rng(1).random(25) + 0.5
    problem = posed(Smoothness(0.3), loss=loss, bias=bias, sample_weight=weight)
    rng = np.random.default_rng(0)
    W, Ht = rng.normal(size=(25, 3 + bias)), rng.normal(size=(12, 3 + bias))
    value, W_gradient, Ht_gradient = problem.value_and_gradient(W, Ht)
    np.testing.assert_allclose(value, problem.value(W, Ht), rtol=1e-12)

    def at(h):
        return problem.value(W, h.reshape(Ht.shape))

    numeric = approx_fprime(Ht.ravel(), at, 1e-7).reshape(Ht.shape)
    np.testing.assert_allclose(Ht_gradient, numeric, rtol=1e-4, atol=1e-4)
    numeric = approx_fprime(W.ravel(), lambda w: problem.value(w.reshape(W.shape), Ht), 1e-7)
    np.testing.assert_allclose(
        (weight[:, None] * W_gradient).ravel(), numeric, rtol=1e-4, atol=1e-4
    )


def test_the_penalty_is_the_documented_one():
    rng = np.random.default_rng(0)
    W, Ht = rng.normal(size=(25, 3)), rng.normal(size=(12, 3))
    seen = ~np.isnan(HOLED)
    of_W = seen.sum(axis=1) @ np.linalg.norm(W, axis=1)
    D = differences(12, 2)
    of_H = seen.sum(axis=0).mean() * 0.5 * np.sum((D @ Ht) ** 2)
    problem = posed(Smoothness(0.3), GroupLasso(0.2, "rows"))
    np.testing.assert_allclose(problem.penalty(W, Ht), 0.2 * of_W + 0.3 * of_H)
    np.testing.assert_allclose(problem.T.penalty(Ht, W), problem.penalty(W, Ht))


@pytest.mark.parametrize("size", [1e-3, 1e4])
@pytest.mark.parametrize("penalty", ALL, ids=str)
def test_a_unit_changes_nothing_but_the_unit(penalty, size):
    problem = posed(penalty)
    unit = Unit(size)
    inside = unit.problem(problem)
    rng = np.random.default_rng(0)
    W, Ht = np.abs(rng.normal(size=(25, 3))), np.abs(rng.normal(size=(12, 3)))
    there = unit.inside(W, 3), unit.inside(Ht, 3)
    np.testing.assert_allclose(inside.value(*there) * size**2, problem.value(W, Ht))
    _, *gradients = problem.value_and_gradient(W, Ht)
    for found, expected in zip(inside.value_and_gradient(*there)[1:], gradients, strict=True):
        np.testing.assert_allclose(found * size**1.5, expected, rtol=1e-8, atol=1e-12)


# Rows, the other factor fixed ------------------------------------------------------------------


@pytest.mark.parametrize("loss", [Squared(), Huber(0.5)], ids=str)
@pytest.mark.parametrize("kind", ["dense", "stored", "zero-filled", "complete"])
def test_codes_under_a_group_lasso_are_those_of_scipy(kind, loss):
    X = low_rank(6, 8, rank=2, noise=0.3) if kind in ("complete", "zero-filled") else HOLED[:6, :8]
    data = {"stored": store_observed, "zero-filled": sparse.csr_array}.get(kind, np.asarray)(X)
    unstored = "missing" if kind == "stored" else "zero"
    alpha = 0.2 if loss.is_squared else 0.1
    problem = posed(Ridge(0.1), GroupLasso(alpha, "rows"), data, loss, 2, unstored=unstored)
    Ht = np.random.default_rng(1).normal(size=(8, 2))
    W = problem.fold_in(Ht)
    if loss.is_squared:
        assert not np.linalg.norm(W, axis=1).all()  # some are zero
    assert W.any()
    for row, w in zip(X, W, strict=True):
        seen = ~np.isnan(row)

        def cost(v, row=row, seen=seen):
            length = np.sqrt(v @ v + 1e-18)
            return loss.value(row[seen], Ht[seen] @ v).sum() + alpha * seen.sum() * length

        best = min((minimize(cost, at, tol=1e-12) for at in (w, w + 0.1)), key=lambda r: r.fun)
        assert cost(w) <= best.fun + 1e-7
        np.testing.assert_allclose(w, best.x, atol=1e-4)


def test_codes_of_orthonormal_components_are_shrunk_least_squares():
    X = low_rank(40, 12, rank=3)
    Ht = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 3)))[0]
    plain = X @ Ht
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    expected = plain * np.maximum(1 - 0.2 * 12 / lengths, 0)
    found = posed(Ridge(1.0), GroupLasso(0.2, "rows"), X).fold_in(Ht)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_code_depends_on_its_own_row_alone():
    problem = posed(Ridge(0.1), GroupLasso(0.02, "rows"))
    Ht = np.random.default_rng(0).normal(size=(12, 3))
    alone = [posed(Ridge(0.1), GroupLasso(0.02, "rows"), row[None]).fold_in(Ht) for row in HOLED]
    np.testing.assert_allclose(problem.fold_in(Ht), np.vstack(alone), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_smooth_components_solve_their_joint_system(bias):
    problem = posed(Smoothness(0.3), bias=bias)
    W = np.random.default_rng(0).normal(size=(25, 3 + bias))
    Ht = np.zeros((12, 3 + bias))
    for _ in range(20):
        Ht = problem.T.solve_rows(W, Ht)
    systems = problem.T.observations.systems(*problem.T.layout.design(W))
    counts = (~np.isnan(HOLED)).sum(axis=0)
    D = differences(12, 2)
    of_components = np.kron(D.T @ D, np.diag([1.0] * 3 + [0.0] * bias))
    matrix = block_diag(*systems.grams) + 0.3 * counts.mean() * of_components
    if bias:
        matrix += np.kron(np.diag(0.05 * counts), np.diag([0.0] * 3 + [1.0]))
    expected = np.linalg.solve(matrix, systems.moments.ravel()).reshape(Ht.shape)
    np.testing.assert_allclose(Ht, expected, rtol=1e-4, atol=1e-5)


def test_a_feature_without_entries_lies_between_its_neighbours():
    X = HOLED.copy()
    X[:, 5] = np.nan
    state = solved(ALS(), posed(Smoothness(0.3), data=X), tol=1e-10)
    D = differences(12, 2)
    at_rest = (D.T @ D @ state.Ht)[5]
    np.testing.assert_allclose(at_rest, 0, atol=1e-3 * np.abs(state.Ht).max())


def test_rows_that_nothing_is_known_of_are_zero():
    X = HOLED.copy()
    X[:, 5] = np.nan
    problem, rng = posed(GroupLasso(0.01, "rows"), data=X), np.random.default_rng(0)
    Ht = problem.T.solve_rows(rng.normal(size=(25, 3)), rng.normal(size=(12, 3)))
    assert not Ht[5].any()
    assert Ht[[4, 6]].all()


class StifferThanItSays(Smoothness):
    """Steps that trust its curvature lead ever further away."""

    curvature = 0.0


def test_steps_that_lead_astray_are_taken_back():
    problem, rng = posed(StifferThanItSays(1e3)), np.random.default_rng(0)
    W, Ht = rng.normal(size=(25, 3)), rng.normal(size=(12, 3))
    assert problem.value(W, problem.T.solve_rows(W, Ht)) <= problem.value(W, Ht)


def test_components_that_may_not_be_turned_stay_in_the_canonical_form():
    problem, Ht = posed(GroupLasso(0.01)), np.random.default_rng(0).normal(size=(12, 3))
    W, same = canonical(problem, None, Ht)
    np.testing.assert_array_equal(same, Ht)
    np.testing.assert_array_equal(W, problem.fold_in(Ht))


def test_momentum_starts_anew_where_it_turns_back():
    """Of condition 1e4 plain gradients would need some 1e5 steps, momentum that goes on 1e4."""
    gram = np.diag(np.geomspace(1, 1e-4, 6))
    target = np.random.default_rng(0).normal(size=(1, 6))
    penalty = FactorPenalty(GroupLasso(0.0, "rows"), np.ones(1), 6)
    systems = RowSystems(gram[None], target @ gram, penalty)
    found = descend_proximally(systems, np.zeros((1, 6)), (1e-12, 3000))
    np.testing.assert_allclose(found.rows, target, rtol=1e-6)


# Factorizations --------------------------------------------------------------------------------


@above_kernels
@QUIET
@pytest.mark.parametrize(
    ("columns", "rows", "loss"),
    pairwise(ALL, [Ridge(0.05), GroupLasso(0.05, "rows")], [Squared(), Huber(0.5)]),
    ids=str,
)
def test_solvers_agree_and_never_rise(columns, rows, loss):
    problem = posed(columns, rows, loss=loss, bias=True)
    found = {}
    for solver in (ALS(), GradientDescent(momentum="auto"), Adam(), LBFGS()):
        try:
            solver.check(problem)
        except ValueError:
            continue
        state = solved(solver, problem, max_iter=200, tol=1e-6)
        assert np.diff(state.history).max() <= 1e-9 * state.history[0]
        np.testing.assert_allclose(state.objective, problem.value(state.W, state.Ht), rtol=1e-10)
        found[solver.name] = state.objective
    assert {"als", "gd"} <= set(found)
    # Positive factors have minima that differ a little.
    assert max(found.values()) < (1.03 if columns.positive else 1.01) * min(found.values())


@pytest.mark.parametrize("solver", [ALS(), GradientDescent()], ids=str)
@pytest.mark.parametrize("groups", ["rows", "components"])
def test_a_strong_group_lasso_leaves_nothing(solver, groups):
    rows = GroupLasso(5.0, "rows")
    state = solved(solver, posed(GroupLasso(5.0, groups), rows))
    assert not state.Ht.any()
    np.testing.assert_allclose(state.objective, 0.5 * np.nansum(HOLED**2), rtol=1e-6)


@pytest.mark.parametrize("solver", [ALS(), GradientDescent(momentum="auto")], ids=str)
def test_components_that_are_not_needed_vanish(solver):
    X = low_rank(60, 20, rank=2, noise=0.1)
    state = solved(solver, posed(GroupLasso(0.03), Ridge(0.03), X, k=5))
    lengths = np.linalg.norm(state.Ht, axis=0)
    assert np.count_nonzero(lengths) == 2


@QUIET
def test_smooth_components_recover_spectra_better():
    rng, wavelengths = np.random.default_rng(0), np.linspace(0, 1, 60)
    spectra = np.exp(-((wavelengths - np.array([[0.3], [0.6]])) ** 2) / 0.02)
    X = rng.random((40, 2)) @ spectra
    noisy = X + 0.5 * rng.normal(size=X.shape)
    error = {}
    for penalty in (Ridge(0.01), Smoothness(1.0)):
        problem = posed(penalty, Ridge(0.01), noisy, k=2)
        state = solved(LBFGS(), problem, max_iter=500, tol=1e-6)
        error[penalty.name] = np.sqrt(np.mean((problem.fold_in(state.Ht) @ state.Ht.T - X) ** 2))
    assert error["smoothness"] < 0.8 * error["ridge"]


# Who cannot ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver", [SGD(), CoordinateDescent(), MultiplicativeUpdate(), Spectral()], ids=str
)
@pytest.mark.parametrize("penalty", [GroupLasso(), Smoothness()], ids=str)
def test_solvers_refuse_what_they_cannot_serve(solver, penalty):
    message = f"{solver.name}.*is_elastic.*{type(penalty).__name__}.*'als'.*'gd'"
    loss = Squared()
    with pytest.raises(ValueError, match=message):
        solved(solver, posed(penalty, data=np.abs(low_rank(6, 5)), loss=loss, k=2))
    with pytest.raises(ValueError, match=type(penalty).__name__):  # in a unit, too
        solver.check(Unit(4.0).problem(posed(penalty, data=np.abs(low_rank(6, 5)), k=2)))


@pytest.mark.parametrize(
    ("solver", "penalty", "message"),
    [
        (Adam(), GroupLasso(), "takes_any_step"),
        (LBFGS(), GroupLasso(), "smooth"),
        (ALS(inner="cd"), Smoothness(), "inner='auto'"),
        (ALS(inner="cg"), GroupLasso(), "inner='auto'"),
        (GradientDescent(preconditioned=True), Smoothness(), "ridge"),
    ],
    ids=str,
)
def test_options_that_cannot_serve_say_so(solver, penalty, message):
    with pytest.raises(ValueError, match=message):
        solved(solver, posed(penalty))


def test_codes_are_not_compared_with_one_another():
    problem = posed(Ridge(0.1), GroupLasso())
    with pytest.raises(ValueError, match=r"GroupLasso compares rows.*not for W"):
        problem.fold_in(np.ones((12, 3)))


def test_weighted_rows_cannot_be_compared():
    problem = posed(Ridge(0.1), Smoothness(), sample_weight=np.full(25, 2.0))
    with pytest.raises(ValueError, match=r"Smoothness compares rows.*sample_weight"):
        GradientDescent().check(problem)


def test_batches_of_rows_cannot_be_compared():
    problem = posed(Ridge(0.1), Smoothness())
    with pytest.raises(ValueError, match=r"Smoothness.*entries"):
        Adam(batch_size=5).check(problem)


# What nobody has declared ----------------------------------------------------------------------


class Undeclared(BasePenalty):
    """Says nothing of itself."""

    def value(self, V):
        return np.abs(V).sum(axis=1)

    def prox(self, V, step):
        return V


class WithoutParts(BasePenalty):
    """Has a value alone."""

    separable = "rows"

    def value(self, V):
        return np.abs(V).sum(axis=1)


class WithoutValue(BasePenalty):
    """Has a derivative of who knows what."""

    separable = "rows"

    def gradient(self, V):
        return V


class NotSmooth(WithoutParts):
    """Says that it is not smooth, and stops there."""

    is_smooth = False

    def gradient(self, V):
        return np.sign(V)


@pytest.mark.parametrize(
    ("penalty", "error", "message"),
    [
        (Undeclared(), ValueError, "Undeclared.separable is None. Declare"),
        (WithoutParts(), ValueError, "WithoutParts defines neither gradient"),
        (WithoutValue(), ValueError, "WithoutValue does not define value"),
        (NotSmooth(), ValueError, "not smooth. Define prox"),
        ("ridge", TypeError, "an object of type str"),
    ],
)
def test_what_is_not_declared_is_refused(penalty, error, message):
    with pytest.raises(error, match=message):
        Side(penalty)


class WrongShape(BasePenalty):
    """One number for all rows, where there should be one for each."""

    separable = "rows"

    def value(self, V):
        return float(np.abs(V).sum())

    def prox(self, V, step):
        return V


def test_answers_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"WrongShape.value returned .*\(25,\)"):
        posed(Ridge(0.1), WrongShape()).value(np.ones((25, 3)), np.ones((12, 3)))


def test_elastic_sides_are_solved_as_before_beside_another_penalty():
    problem = posed(Smoothness(0.1), ElasticNet(0.05, positive=True))
    Ht = np.abs(np.random.default_rng(0).normal(size=(12, 3)))
    expected = posed(Ridge(0.1), ElasticNet(0.05, positive=True)).fold_in(Ht)
    np.testing.assert_array_equal(problem.fold_in(Ht), expected)


@pytest.mark.filterwarnings("ignore::sklearn_mf.utils._warnings.EmptyFeatures")
def test_a_channel_without_an_entry_lies_between_its_neighbours():
    """The mean of all entries came on top of what the components say."""
    rng = np.random.default_rng(0)
    X = 5 + rng.normal(size=(60, 2)) @ rng.normal(size=(2, 8))
    X[:, 3] = np.nan
    model = MatrixFactorization(3, penalty=Smoothness(0.1), alpha_W=0.01, random_state=0).fit(X)
    assert model.feature_bias_[3] == 0
    predicted = model.inverse_transform(model.transform(X)).mean(axis=0)
    neighbours = predicted[[2, 4]]
    assert neighbours.min() - 0.5 < predicted[3] < neighbours.max() + 0.5
