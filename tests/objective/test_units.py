"""The unit of the data does not matter: not to the model, its rank, its errors or iterations."""

from functools import partial

import numpy as np
import pytest
from conftest import minutes_on_reference
from grids import pairwise
from scipy import sparse
from sklearn import decomposition

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    non_negative_factorization,
    select_rank,
)
from sklearn_mf.losses import LOSSES, BetaDivergence, Huber
from sklearn_mf.objective.objective import Objective
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import observe
from sklearn_mf.penalties import PENALTIES, ElasticNet
from sklearn_mf.solvers import ALS, GradientDescent

pytestmark = [
    minutes_on_reference,
    pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:.*hidden entries was still"),
    pytest.mark.filterwarnings("ignore:Maximum number of iterations"),
]

# Units that change no digit, so that nothing at all may change but the unit; they reach beyond
# what 1e-30 and 1e30, in float32 1e-15 and 1e15, ask for.
EXACT = {np.float64: [4.0**-52, 4.0**2, 4.0**52], np.float32: [4.0**-25, 4.0**25]}
# Any other ones.
UNITS = {
    np.float64: [1e-30, 1e-17, 1e-3, 255, 1e17, 1e30],
    np.float32: [1e-15, 255, 1e15],
}
DTYPES = [np.float64, np.float32]
BIASES = [False, "features", "samples", "both"]
KINDS = ["complete", "nan", "stored", "zeros"]
N, P, K = 30, 9, 2


def real(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, K)) @ rng.normal(size=(K, P)) + rng.normal(size=P) + 0.5
    return X + 0.1 * rng.normal(size=X.shape)


def positive(seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(1, size=(N, K)) @ rng.gamma(1, size=(K, P)) * rng.gamma(20, 0.05, size=(N, P))


def contained(X, kind, dtype, unit):
    """Data in a unit and a container, a fifth of them missing or zero."""
    X, absent = (X * unit).astype(dtype), np.random.default_rng(1).random(X.shape) < 0.2
    if kind == "complete":
        return X
    if kind == "nan":
        return np.where(absent, dtype(np.nan), X)
    return sparse.csr_array(np.where(absent, dtype(0), X))


def outcome(model, X, unit):
    """What a fit says of the data, in the unit one, and what has no unit."""
    model = model()
    W = model.fit_transform(X)
    restored = W if isinstance(model, FactorizationImputer) else model.inverse_transform(W)
    numbers = {"values": np.asarray(restored, dtype=np.float64) / unit}
    if hasattr(model, "score"):
        numbers["score"] = model.score(X)
    if hasattr(model, "feature_bias_"):
        numbers["bias"] = model.feature_bias_.astype(np.float64) / unit
    if hasattr(model, "reconstruction_err_") and getattr(model, "beta_loss", 2) == 2:
        numbers["error"] = model.reconstruction_err_ / unit
    counts = [getattr(model, name, None) for name in ("n_iter_", "n_components_", "best_rank_")]
    return numbers, counts


def check(make, X, kind, dtype):
    """The same, digit by digit, in units that are powers of four; nearly so in any other."""
    numbers, counts = outcome(make, contained(X, kind, dtype, 1), 1)
    for unit in EXACT[dtype]:
        others, other_counts = outcome(make, contained(X, kind, dtype, unit), unit)
        assert other_counts == counts, unit
        for name, value in numbers.items():
            atol = (1e-10 if dtype == np.float64 else 1e-5) * np.abs(value).max()
            np.testing.assert_allclose(others[name], value, rtol=0, atol=atol, err_msg=str(unit))


SOLVERS = {
    "auto": "auto",
    "svd": "svd",
    "als": "als",
    "als-cg": ALS(inner="cg"),
    "gd": "gd",
    "gd-accelerated": GradientDescent(momentum="auto"),
    "gd-scaled": GradientDescent(preconditioned=True),
    "adam": "adam",
    "lbfgs": "lbfgs",
    "sgd": "sgd",
}


@pytest.mark.parametrize(("solver", "bias", "dtype"), pairwise([*SOLVERS], BIASES, DTYPES))
def test_every_solver_knows_no_unit(solver, bias, dtype):
    kinds = KINDS if solver in ("auto", "als") else ["complete", "nan"]
    if solver == "svd":
        if bias in ("samples", "both"):
            pytest.skip("svd has no sample bias")
        kinds = ["complete", "zeros"]
    for kind in kinds:
        unstored = "missing" if kind == "stored" else "zero"
        parameters = {"bias": bias, "unstored": unstored, "max_iter": 12, "random_state": 0}
        check(
            lambda p=parameters: MatrixFactorization(K, solver=SOLVERS[solver], **p),
            real(),
            kind,
            dtype,
        )


@pytest.mark.parametrize(
    ("solver", "side", "dtype"),
    pairwise(["als", "cd", "gd", "lbfgs", "mu"], [True, "W", "H"], DTYPES),
)
def test_positive_factors_know_no_unit(solver, side, dtype):
    if solver == "mu" and side is not True:
        pytest.skip("mu multiplies both factors")
    parameters = {"positive": side, "solver": solver, "max_iter": 12, "random_state": 0}
    for kind in ("complete", "nan"):
        check(lambda: MatrixFactorization(K, **parameters), positive(), kind, dtype)


@pytest.mark.parametrize(
    ("solver_and_beta", "init", "dtype"),
    pairwise(
        [("cd", 2), ("mu", 2), ("mu", 1), ("mu", 0), ("mu", -1), ("mu", 3)],
        ["nndsvd", "nndsvda", "nndsvdar", "random"],
        DTYPES,
    ),
)
def test_nmf_knows_no_unit(solver_and_beta, init, dtype):
    solver, beta = solver_and_beta
    if solver == "mu" and init == "nndsvd":
        pytest.skip("mu cannot move zeros")
    parameters = {"beta_loss": beta, "init": init, "max_iter": 25, "random_state": 0}
    for kind in ["complete", "nan"] + ["zeros"] * (beta > 0):
        check(lambda: NMF(K, solver=solver, **parameters), positive() + 1e-3, kind, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [2, 1, 0])
def test_batches_know_no_unit(beta, dtype):
    def streamed():
        model = MiniBatchNMF(K, beta_loss=beta, random_state=0)
        model.fit_transform = lambda X: model.partial_fit(X).partial_fit(X).transform(X)
        return model

    parameters = {"beta_loss": beta, "batch_size": 10, "max_iter": 5, "random_state": 0}
    for make in (lambda: MiniBatchNMF(K, **parameters), streamed):
        for kind in ("complete", "nan"):
            check(make, positive(), kind, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", BIASES)
def test_streams_know_no_unit(bias, dtype):
    def streamed(unstored):
        model = MatrixFactorization(K, bias=bias, unstored=unstored, random_state=0)
        model.fit_transform = lambda X: model.partial_fit(X[:15]).partial_fit(X).transform(X)
        return model

    for kind in KINDS[:3]:
        check(lambda k=kind: streamed("missing" if k == "stored" else "zero"), real(), kind, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["als", "gd", "adam", "lbfgs", "sgd"])
def test_early_stopping_knows_no_unit(solver, dtype):
    parameters = {"solver": solver, "bias": "features", "max_iter": 12, "random_state": 0}
    for kind in ("complete", "nan"):
        check(
            lambda: MatrixFactorization(K, early_stopping=True, **parameters), real(), kind, dtype
        )


@pytest.mark.parametrize(
    ("kind", "dtype"), [("complete", np.float64), ("nan", np.float32), ("stored", np.float64)]
)
def test_the_choice_of_a_rank_knows_no_unit(kind, dtype):
    model = {"unstored": "missing" if kind == "stored" else "zero", "random_state": 0}
    search = {"ranks": [1, 2, 3], "random_state": 0}
    check(lambda: RankSearchCV(MatrixFactorization(**model), **search), real(), kind, dtype)
    check(lambda: MatrixFactorization("auto", bias="features", **model), real(), kind, dtype)
    if kind == "complete":
        check(lambda: MatrixFactorization(0.9, bias="features"), real(), kind, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_imputer_knows_no_unit(dtype):
    check(lambda: FactorizationImputer(random_state=0), real(), "nan", dtype)


@pytest.mark.parametrize("loss", ["huber", "absolute", "quantile"])
def test_losses_with_a_parameter_in_the_unit_of_the_data_follow_it(loss):
    X = contained(real(), "nan", np.float64, 1)
    expected = None
    for unit in (1, 1e-12, 1e12):
        stated = LOSSES[loss]().in_unit(1 / unit)
        model = MatrixFactorization(K, loss=stated, solver="als", max_iter=20, random_state=0)
        found = model.inverse_transform(model.fit_transform(X * unit)) / unit
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert model.loss_ is not None


# Any unit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bias", "dtype"), pairwise(KINDS, BIASES, DTYPES))
def test_the_default_fit_is_the_same_in_any_unit(kind, bias, dtype):
    parameters = {"bias": bias, "max_iter": 200, "random_state": 0}
    parameters["unstored"] = "missing" if kind == "stored" else "zero"
    data = real()
    if bias == "samples":  # which converges slowly where the features have means
        data -= data.mean(axis=0)
    X = contained(data, kind, dtype, 1)
    expected, _ = outcome(lambda: MatrixFactorization(K, **parameters), X, 1)
    limit = (1e-3 if dtype == np.float64 else 2e-2) * data.std()
    for unit in UNITS[dtype]:
        X = contained(data, kind, dtype, unit)
        found, _ = outcome(lambda: MatrixFactorization(K, **parameters), X, unit)
        np.testing.assert_allclose(found["values"], expected["values"], rtol=0, atol=limit)
        np.testing.assert_allclose(found["bias"], expected["bias"], rtol=0, atol=limit)
        assert found["score"] == pytest.approx(expected["score"], abs=1e-3)


def test_a_bias_is_not_lost_in_single_precision():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 10)) + 3 * rng.normal(size=10)
    X += 0.1 * rng.normal(size=X.shape)
    X[rng.random(X.shape) < 0.2] = np.nan
    model = MatrixFactorization(2, bias="features", random_state=0)
    for unit in (1, 1e-9, 1e9):
        data = (X * unit).astype(np.float32)
        assert model.fit(data).score(data) > 0.97


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e8, 1e15])
@pytest.mark.parametrize("beta", [2, 1, 0, -0.5, -1, -2])
def test_nmf_ends_at_or_below_the_objective_of_scikit_learn_in_any_unit(beta, unit):
    rng = np.random.default_rng(0)
    X = rng.gamma(0.5, size=(60, 4)) @ rng.gamma(0.5, size=(4, 20))
    X *= rng.gamma(20, 0.05, size=X.shape)
    X += 1e-3
    solver = "cd" if beta == 2 else "mu"
    parameters = {"solver": solver, "beta_loss": beta, "init": "nndsvda", "random_state": 0}
    theirs = decomposition.NMF(4, **parameters).fit(X)
    ours = NMF(4, **parameters)
    once, then = ours.fit(X).n_iter_, ours.fit(X * unit).n_iter_
    assert once == then
    # In a unit of its choice: in some scikit-learn's does not descend at all.
    assert ours.reconstruction_err_ * unit ** (-beta / 2) <= 1.0001 * theirs.reconstruction_err_


def test_the_rank_of_complete_data_has_no_unit():
    X = real()
    for unit in UNITS[np.float64]:
        assert select_rank(X * unit) == select_rank(X)


def test_uncertainty_has_the_unit_of_the_data():
    X = contained(real(), "nan", np.float64, 1)
    for bias in BIASES:
        model = MatrixFactorization(K, bias=bias, alpha_W=0.0, random_state=0)
        expected = model.fit(X).predict_entries(X, [0, 5], [1, 2], return_std=True)
        found = model.fit(X * 4.0**30).predict_entries(X * 4.0**30, [0, 5], [1, 2], return_std=True)
        np.testing.assert_allclose(np.array(found) / 4.0**30, expected, rtol=1e-8)


def test_penalties_follow_their_law():
    X = contained(real(), "nan", np.float64, 1)
    unit, alpha = 1e12, 0.02
    for bias in BIASES:
        parameters = {"bias": bias, "random_state": 0, "max_iter": 2000, "tol": 1e-12}
        model = MatrixFactorization(K, alpha_W=alpha, **parameters)
        expected = model.inverse_transform(model.fit_transform(X))
        model = MatrixFactorization(K, alpha_W=alpha * unit, **parameters)
        if bias in ("samples", "both"):
            continue  # their biases carry a ridge that has no unit
        found = model.inverse_transform(model.fit_transform(X * unit)) / unit
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    lasso = {"l1_ratio": 1.0, "positive": True, "random_state": 0, "max_iter": 5000, "tol": 1e-12}
    model = MatrixFactorization(K, alpha_W=alpha, **lasso)
    expected = model.inverse_transform(model.fit_transform(np.abs(X)))
    model = MatrixFactorization(K, alpha_W=alpha * unit**1.5, **lasso)
    found = model.inverse_transform(model.fit_transform(np.abs(X) * unit)) / unit
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_a_denormal_entry_is_nearly_zero_under_kullback_leibler():
    X = positive() + 0.1
    X[3, 4] = 0.0
    expected = NMF(K, solver="mu", beta_loss=1, random_state=0).fit(X)
    X[3, 4] = 1e-323
    found = NMF(K, solver="mu", beta_loss=1, random_state=0).fit(X)
    np.testing.assert_allclose(found.components_, expected.components_, rtol=1e-6)


def test_single_precision_bears_data_whose_squares_it_does_not():
    X = positive()
    for estimator in (MatrixFactorization(K), NMF(K, init="nndsvda")):
        expected = estimator.fit(X).inverse_transform(estimator.transform(X))
        for unit in (1e-25, 1e25):
            data = (X * unit).astype(np.float32)
            found = estimator.fit(data).inverse_transform(estimator.transform(data))
            np.testing.assert_allclose(found / unit, expected, rtol=0, atol=2e-3)


def test_codes_at_given_components_have_the_unit_of_the_data():
    X = positive()
    _, H, _ = non_negative_factorization(X, n_components=K, random_state=0)
    for beta in (2, 1):
        parameters = {"update_H": False, "solver": "mu", "beta_loss": beta}
        expected, *_ = non_negative_factorization(X, H=H, **parameters)
        found, *_ = non_negative_factorization(X * 1e12, H=H * 1e6, **parameters)
        np.testing.assert_allclose(found, expected * 1e6, rtol=1e-4)


# The pieces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*(cls() for cls in LOSSES.values()), BetaDivergence(0.5)])
def test_a_loss_of_some_degree_is_the_same_in_another_unit(loss):
    if loss.degree is None:
        pytest.skip("its data have no other units")
    rng = np.random.default_rng(0)
    x, m = rng.gamma(1, size=(2, 50))
    found = 7.0**loss.degree * loss.in_unit(7.0).value(x / 7, m / 7)
    np.testing.assert_allclose(found, loss.value(x, m), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("penalty", [*(cls() for cls in PENALTIES.values()), ElasticNet(2, 0.3)])
def test_a_penalty_is_the_same_in_another_unit(penalty):
    V = np.random.default_rng(0).normal(size=(5, 3))
    found = 11.0 * penalty.in_unit(7.0, 11.0).value(V / 7)
    np.testing.assert_allclose(found, penalty.value(V), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_size_of_data_is_their_root_mean_square(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5))
    for unit in (1e-30, 1e-10, 1.0, 1e10, 1e30):
        data = (X * unit).astype(dtype)
        problem = Objective(LOSSES["squared"]()).problem(observe(data), 2)
        expected = np.sqrt(np.mean(data.astype(np.float64) ** 2))
        assert problem.observations.typical_size == pytest.approx(expected, rel=1e-5)
        assert np.log2(Unit.of(problem).size) % 2 == 0
        assert Unit.of_size(problem).size == pytest.approx(expected, rel=1e-5)


def test_data_of_ordinary_size_are_not_copied():
    X = real()
    problem = Objective(LOSSES["squared"]()).problem(observe(X), 2)
    assert Unit.of(problem).problem(problem) is problem
    assert Unit.of(problem).size == 1


def test_the_parameter_of_a_fitted_loss_stays_in_the_unit_of_the_data():
    model = MatrixFactorization(1, loss=Huber(1e6), random_state=0).fit(real() * 1e6)
    assert model.loss_.delta == 1e6


# The ends of the numbers ---------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_single_precision_at_its_ends(unit):
    X = contained(real(), "nan", np.float64, 1)
    short = (X * unit).astype(np.float32)
    expected, found = (FactorizationImputer(random_state=0).fit(data) for data in (X, short))
    assert found.n_components_ == expected.n_components_
    np.testing.assert_allclose(found.transform(short) / unit, expected.transform(X), atol=1e-4)
    assert MatrixFactorization(K, random_state=0).fit(short).alpha_W_ > 0
    assert NMF(K, init="random", random_state=0).fit(np.abs(short)).n_iter_ > 1


@pytest.mark.parametrize("kind", ["complete", "nan"])
def test_what_cannot_be_squared_is_refused(kind):
    with pytest.raises(ValueError, match="X is too large: its squares overflow"):
        MatrixFactorization(K).fit(contained(real(), kind, np.float64, 1e160))


@pytest.mark.parametrize("side", [True, "W", "H"])
@pytest.mark.parametrize("solver", ["als", "cd"])
def test_positive_factors_beside_biases_know_no_unit(side, solver):
    parameters = {"positive": side, "solver": solver, "bias": "features", "random_state": 0}
    make = partial(MatrixFactorization, K, alpha_W=0.0, max_iter=12, **parameters)
    for dtype, kind in [(np.float64, "nan"), (np.float64, "zeros"), (np.float32, "complete")]:
        check(make, positive(), kind, dtype)
        if dtype == np.float64:
            X = contained(positive(), kind, dtype, 1)
            expected, counts = outcome(make, X, 1)
            for unit in (1e-30, 1e-3, 1e30):
                found, others = outcome(make, contained(positive(), kind, dtype, unit), unit)
                np.testing.assert_allclose(found["values"], expected["values"], rtol=0, atol=1e-6)
                assert others == counts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.0, "auto"])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_a_descent_that_starts_at_the_minimum_ends_there_in_any_unit(
    preconditioned, momentum, dtype
):
    solver = GradientDescent(momentum=momentum, preconditioned=preconditioned)
    for kind in ("complete", "zeros"):
        for unit in (1, *UNITS[dtype]):
            X = contained(real(), kind, dtype, unit)
            assert MatrixFactorization(K, solver=solver, init="svd").fit(X).n_iter_ == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.filterwarnings("ignore:.*fewer observed entries", "ignore:.*no observed entry")
def test_rows_of_too_few_entries_know_no_unit(bias, dtype):
    """Of all solutions they take that of least norm, of codes and biases together."""
    parameters = {"bias": bias, "alpha_W": 0.0, "max_iter": 12, "random_state": 0}
    for kind in ("nan", "stored"):
        unstored = "missing" if kind == "stored" else "zero"
        check(
            lambda u=unstored: MatrixFactorization(8, unstored=u, **parameters),
            real(),
            kind,
            dtype,
        )
    X = contained(real(), "complete", dtype, 1)
    few = np.where(np.random.default_rng(0).random(X.shape) < 0.3, X, dtype(np.nan))
    expected = None
    for unit in (1, *EXACT[dtype]):
        model = MatrixFactorization(4, solver="als", **parameters).fit(X * dtype(unit))
        found = model.inverse_transform(model.transform(few * dtype(unit))) / unit
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
