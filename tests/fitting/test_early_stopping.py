"""Hidden entries stop a fit, and the factors that predicted them best are kept."""

import tracemalloc

import numpy as np
import pytest
from conftest import (
    fit_for,
    low_rank,
    minutes_on_reference,
    punch_holes,
    random_csr,
    store_observed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from sklearn_mf import MatrixFactorization
from sklearn_mf.fitting.early_stopping import EarlyStopping, HiddenScore
from sklearn_mf.losses import LOSSES
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import ZeroFilledObservations, observe
from sklearn_mf.penalties import Ridge
from sklearn_mf.solvers import ALS, SOLVERS, BaseSolver, Monitor
from sklearn_mf.starts.start import start
from sklearn_mf.utils._hiding import hiding_stream

# "mu" takes neither signed factors nor biases.
ITERATIVE = [name for name, cls in SOLVERS.items() if cls.allows_missing and name != "mu"]
KINDS = ["dense", "stored", "zero-filled"]


def data(kind, X):
    """X with holes or zeros, its container and what that does not store."""
    if kind == "zero-filled":
        return sparse.csr_array(np.where(np.random.default_rng(3).random(X.shape) < 0.5, 0, X))
    X = punch_holes(X)
    return store_observed(X) if kind == "stored" else X


def unstored(kind):
    return "missing" if kind == "stored" else "zero"


def overfitting(**parameters):
    """A model whose path has a best point: too high a rank and hardly a penalty."""
    return MatrixFactorization(
        8, early_stopping=True, alpha_W=1e-3, max_iter=500, random_state=0, **parameters
    )


def cells(observations):
    """Dense data, NaN where not observed."""
    return np.concatenate(
        [np.where(block._observed(), block.values, np.nan) for _, block in observations.blocks()]
        if not hasattr(observations, "indices")
        else [as_dense(observations)]
    )


def as_dense(stored):
    X = np.full(stored.shape, np.nan)
    X[stored.entry_rows(), stored.indices] = stored.values
    return X


def d2(hidden, visible, model, loss):
    """By the definition, cell by cell, with NaN where nothing is."""
    constants = loss.from_mean(np.nanmean(visible, axis=0))
    there = ~np.isnan(hidden)
    error = loss.value(hidden[there], model[there]).sum()
    baseline = loss.value(hidden[there], np.broadcast_to(constants, hidden.shape)[there]).sum()
    return 1 - error / baseline


class TestTheSolve:
    @pytest.mark.parametrize("loss", ["squared", "poisson"])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("solver", ITERATIVE)
    def test_restored_factors_are_those_of_the_best_iteration(self, solver, kind, loss):
        solver, loss = SOLVERS[solver](), LOSSES[loss]()
        if any(not getattr(loss, need, False) for need in solver.requires_loss):
            pytest.skip("a loss that the solver refuses")
        X = data(kind, fit_for(loss, low_rank(40, 25, 3, noise=1.0)))
        held_out = observe(X, unstored=unstored(kind)).hold_out(0.2, hiding_stream(0))
        side = Side(Ridge(1e-3), has_bias=True, bias_ridge=1e-3)
        problem = Problem(held_out.visible, loss, side, side, n_components=6)
        W, Ht = start(problem, "svd", np.random.RandomState(0))
        monitor = EarlyStopping(
            HiddenScore(solver, problem, held_out), tol=1e-4, n_iter_no_change=4
        )
        state = solver.solve(
            problem, W, Ht, max_iter=300, tol=0, random_state=0, monitors=[monitor]
        )
        scores = state.validation_scores
        best = int(np.argmax(scores)) + 1
        plain = solver.solve(problem, W, Ht, max_iter=best, tol=0, random_state=0)
        np.testing.assert_array_equal(state.Ht, plain.Ht)
        np.testing.assert_array_equal(state.W, plain.W)
        assert len(scores) == state.n_iter

        visible, hidden = cells(held_out.visible), cells(held_out.hidden)
        W, Ht, columns = solver.codes(problem, plain), plain.Ht, slice(None)
        if held_out.known is not None:
            columns = held_out.columns
            known = Problem(held_out.known, loss, side, side, n_components=6)
            W = known.fold_in(Ht[~columns])
        if held_out.known is None and solver.name == "als" and loss.is_squared:
            np.testing.assert_allclose(W, problem.fold_in(Ht))
        model = W[:, :6] @ Ht[columns, :6].T + W[:, 6:] + Ht[columns, 6:].T
        expected = d2(hidden, visible[:, columns], model, loss)
        np.testing.assert_allclose(scores[best - 1], expected, rtol=1e-9)

    @minutes_on_reference
    @pytest.mark.parametrize("solver", ITERATIVE)
    def test_it_ends_near_the_best_point_of_the_path(self, solver):
        X = low_rank(300, 200, 4, noise=1.0)
        test = np.random.default_rng(0).random(X.shape) < 0.8
        seen = observe(np.where(test, np.nan, X))
        held_out = seen.hold_out(0.1, hiding_stream(8))
        side = Side(Ridge(1e-4))
        problem = Problem(held_out.visible, LOSSES["squared"](), side, side, n_components=8)
        codes = Problem(seen, problem.loss, side, side, n_components=8)

        def error(state):
            return np.sqrt(np.mean((codes.fold_in(state.Ht) @ state.Ht.T - X)[test] ** 2))

        class Path(Monitor):
            errors = []

            def end(self, state):
                self.errors.append(error(state))

        path, setting = Path(), {"max_iter": 150, "tol": 0, "random_state": 0}
        begin = start(problem, "svd", np.random.RandomState(0))
        solver = SOLVERS[solver]()
        solver.solve(problem, *begin, monitors=[path], **setting)
        stop = EarlyStopping(HiddenScore(solver, problem, held_out), 1e-4, 5)
        state = solver.solve(problem, *begin, monitors=[stop], **setting)
        assert state.n_iter < 150
        assert error(state) < 1.01 * min(path.errors)
        assert error(state) < path.errors[-1]

    @pytest.mark.parametrize(
        ("scores", "tol", "n_iter_no_change", "n_iter", "best"),
        [
            ([0.1, 0.2, 0.2, 0.2, 0.9], 0.0, 2, 4, 2),
            ([0.1, 0.2, 0.19, 0.21, 0.1, 0.1, 0.1, 0.9], 0.0, 3, 7, 4),
            ([0.1, 0.2, 0.25, 0.28, 0.29, 0.9], 0.1, 2, 4, 4),
            ([0.1, 0.16, 0.22, 0.28, 0.34, 0.40, 0.40, 0.9], 0.1, 2, 7, 6),  # slowly, but on
            ([-1.0, -2.0, -3.0], 0.0, 1, 2, 1),
            ([-np.inf, -np.inf, 0.5, 0.4], 0.0, 2, 4, 3),
        ],
    )
    def test_when_it_ends(self, scores, tol, n_iter_no_change, n_iter, best):
        given = iter(scores)
        monitor = EarlyStopping(lambda state: next(given), tol, n_iter_no_change)

        class Counting(BaseSolver):
            name = "counting"

            def _step(self, problem, state):
                state.W, state.Ht = state.W + 1, state.Ht + 1
                return 1.0

        problem = Problem(
            observe(np.ones((2, 2))), LOSSES["squared"](), Side(Ridge(0)), Side(Ridge(0)), 1
        )
        zero = np.zeros((2, 1))
        state = Counting().solve(
            problem, zero, zero, max_iter=len(scores), tol=0, monitors=[monitor]
        )
        assert state.n_iter == n_iter
        assert state.W[0, 0] == state.Ht[0, 0] == best

    def test_a_monitor_is_told_of_every_iteration_and_may_stop(self):
        told = []

        class Third(Monitor):
            def begin(self, state):
                told.append(("begin", state.n_iter))

            def end(self, state):
                told.append(("end", state.n_iter))
                return state.n_iter == 3

            def close(self, state):
                told.append(("close", state.n_iter))

        X = low_rank()
        problem = Problem(observe(X), LOSSES["squared"](), Side(Ridge(0)), Side(Ridge(0)), 2)
        W, Ht = start(problem, "random", np.random.RandomState(0))
        ALS().solve(problem, W, Ht, tol=0, monitors=[Third()])
        pairs = [("begin", 0), ("end", 1), ("begin", 1), ("end", 2), ("begin", 2), ("end", 3)]
        assert told == [*pairs, ("close", 3)]


class TestWhatIsHidden:
    @settings(max_examples=60, deadline=None)
    @given(
        shape=st.tuples(st.integers(1, 8), st.integers(1, 8)),
        missing=st.floats(0, 0.9),
        share=st.floats(0.01, 0.99),
        seed=st.integers(0, 1000),
        kind=st.sampled_from(["dense", "stored"]),
        weighted=st.booleans(),
    )
    def test_no_row_and_no_column_loses_all(self, shape, missing, share, seed, kind, weighted):
        rng = np.random.default_rng(seed)
        X = np.where(rng.random(shape) < missing, np.nan, rng.normal(size=shape))
        weight = rng.integers(0, 2, shape[0]).astype(float) if weighted else None
        before = X.copy()
        observations = observe(
            store_observed(X) if kind == "stored" else X,
            unstored=unstored(kind),
            sample_weight=weight,
        )
        held_out = observations.hold_out(share, hiding_stream(seed))
        visible, hidden = cells(held_out.visible), cells(held_out.hidden)
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(np.where(np.isnan(hidden), visible, hidden), X)
        assert not (~np.isnan(visible) & ~np.isnan(hidden)).any()
        counted = ~np.isnan(X)
        if weighted:
            assert np.isnan(hidden[weight == 0]).all()
            counted &= (weight > 0)[:, None]
        for axis in (0, 1):
            left = (~np.isnan(visible) & counted).any(axis=axis)
            np.testing.assert_array_equal(left, counted.any(axis=axis))

    @pytest.mark.parametrize("kind", ["dense", "stored"])
    def test_the_share_and_the_weights(self, kind):
        rng = np.random.default_rng(0)
        X, E = punch_holes(low_rank(300, 200)), rng.random((300, 200)) + 0.5
        given = store_observed(X) if kind == "stored" else X
        weights = {"entry_weight": E, "sample_weight": rng.random(300)}
        observations = observe(given, unstored=unstored(kind), **weights)
        held_out = observations.hold_out(0.1, hiding_stream(0))
        share = held_out.hidden.n_observed / observations.n_observed
        assert abs(share - 0.1) < 0.005
        there = ~np.isnan(as_dense(held_out.hidden))
        np.testing.assert_array_equal(held_out.hidden.weights, E[there])
        np.testing.assert_array_equal(held_out.hidden.row_weight, weights["sample_weight"])
        again = observations.hold_out(0.1, hiding_stream(0))
        np.testing.assert_array_equal(again.hidden.indices, held_out.hidden.indices)

    def test_of_zeros_that_count_a_block_is_hidden_and_every_cell_as_often(self):
        n_draws = 300
        X = np.arange(50.0).reshape(10, 5)
        rng = hiding_stream(0)
        row_counts, column_counts = np.zeros(10), np.zeros(5)
        for _ in range(n_draws):
            held_out = observe(sparse.csr_array(X)).hold_out(0.2, rng)
            visible, hidden = cells(held_out.visible), cells(held_out.hidden)
            known = cells(held_out.known)
            assert isinstance(held_out.visible, ZeroFilledObservations)
            assert held_out.visible.complete
            rows = np.setdiff1d(np.arange(10), visible[:, 1] // 5)
            np.testing.assert_array_equal(hidden, X[rows][:, held_out.columns])
            np.testing.assert_array_equal(known, X[rows][:, ~held_out.columns])
            row_counts[rows] += 1
            column_counts += held_out.columns
        for counts in (row_counts, column_counts):
            assert np.abs(counts - 0.2 * n_draws).max() < 4 * np.sqrt(0.2 * 0.8 * n_draws)

    @pytest.mark.parametrize("seed", range(5))
    def test_rows_that_miss_all_do_not_stand_for_others(self, seed):
        X = np.arange(12.0).reshape(4, 3)
        X[[0, 2]] = np.nan
        held_out = observe(sparse.csr_array(X)).hold_out(0.9, np.random.default_rng(seed))
        assert held_out.visible.n_observed > 0
        assert held_out.hidden.n_observed > 0

    @pytest.mark.parametrize("bias", [False, "both"])
    def test_one_row_with_entries_is_too_little(self, bias):
        X = sparse.csr_array([[np.nan, np.nan], [1.0, 2.0]])
        with pytest.raises(ValueError, match="early_stopping=True cannot hide any entry"):
            MatrixFactorization(1, bias=bias, early_stopping=True, random_state=0).fit(X)

    def test_zeros_that_count_are_never_made_dense(self):
        X = random_csr((20_000, 5_000), 1e-3)
        model = MatrixFactorization(4, early_stopping=True, max_iter=3, tol=0, random_state=0)
        tracemalloc.start()
        try:
            model.fit(X)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 0.05 * 8 * X.shape[0] * X.shape[1]

    def test_dense_data_are_copied_once(self):
        X = low_rank(4000, 500)
        tracemalloc.start()
        try:
            observe(X).hold_out(0.1, hiding_stream(0))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1.7 * X.nbytes


class TestTheEstimator:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("solver", ITERATIVE)
    def test_it_keeps_the_best_and_counts_all(self, solver, kind, dtype):
        X = data(kind, low_rank(60, 40, 3, noise=1.0).astype(dtype))
        before = X.copy()
        model = overfitting(solver=solver, unstored=unstored(kind), bias="both")
        W = model.fit_transform(X)
        scores = model.validation_scores_
        best = int(np.argmax(scores)) + 1
        assert len(scores) == len(model.loss_curve_) == model.n_iter_ >= best
        assert model.best_validation_score_ == max(scores)
        assert W.dtype == model.components_.dtype == dtype
        np.testing.assert_array_equal(W, model.transform(X))
        shorter = clone(model).set_params(max_iter=best, tol=0).fit(X)
        np.testing.assert_array_equal(model.components_, shorter.components_)
        np.testing.assert_array_equal(model.feature_bias_, shorter.feature_bias_)
        difference = before != X if sparse.issparse(X) else ~np.equal(X, before)
        assert difference.sum() == (0 if sparse.issparse(X) else np.isnan(X).sum())

    def test_without_it_there_are_no_scores(self, holed):
        model = MatrixFactorization(2, random_state=0).fit(holed)
        assert model.validation_scores_ is None
        assert model.best_validation_score_ is None

    def test_a_fit_that_is_cut_short_warns(self, holed):
        model = MatrixFactorization(3, early_stopping=True, max_iter=2, random_state=0)
        with pytest.warns(ConvergenceWarning, match="early_stopping=True: after max_iter=2"):
            model.fit(holed)

    def test_auto_takes_a_solver_that_iterates(self, complete):
        for X in (complete, sparse.csr_array(complete)):
            model = MatrixFactorization(2, early_stopping=True, random_state=0).fit(X)
            assert isinstance(model.solver_, ALS)

    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
    def test_svd_cannot_stop_early(self, complete, container):
        model = MatrixFactorization(2, solver="svd", early_stopping=True)
        with pytest.raises(ValueError, match="early_stopping=True hides entries of X, but solver"):
            model.fit(container(complete))

    @pytest.mark.parametrize(
        "X",
        [np.ones((1, 3)), np.ones((3, 1)), np.eye(3) + np.where(np.eye(3), 0, np.nan)],
        ids=["row", "column", "one each"],
    )
    def test_data_too_small_to_hide_anything_are_refused(self, X):
        model = MatrixFactorization(1, early_stopping=True, random_state=0)
        with pytest.raises(ValueError, match="early_stopping=True cannot hide any entry"):
            model.fit(X)
        with pytest.raises(ValueError, match="early_stopping=True cannot hide any entry"):
            model.set_params(unstored="missing").fit(store_observed(X))

    @pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
    def test_so_are_sparse_data_of_one_row_or_column(self, shape):
        model = MatrixFactorization(1, early_stopping=True, random_state=0)
        with pytest.raises(ValueError, match="early_stopping=True cannot hide any entry"):
            model.fit(sparse.csr_array(np.ones(shape)))

    @pytest.mark.parametrize("X", [np.ones((2, 2)), np.zeros((6, 4))], ids=["ones", "zeros"])
    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
    def test_constant_data_are_predicted_perfectly_or_no_worse_than_that(self, X, container):
        model = MatrixFactorization(
            1, early_stopping=True, validation_fraction=0.5, solver="als", random_state=1
        )
        assert np.isfinite(model.fit(container(X)).best_validation_score_)

    def test_in_a_pipeline_and_a_grid_search(self, holed):
        y = np.nan_to_num(holed).sum(axis=1)
        model = make_pipeline(overfitting(solver="als"), LinearRegression())
        grid = {"matrixfactorization__n_components": [2, 4]}
        search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(holed, y)
        assert search.best_estimator_[0].best_validation_score_ is not None

    def test_ctrl_c_leaves_the_best_factors_so_far(self):
        X = punch_holes(low_rank(60, 40, 3, noise=1.0))

        class Interrupted(BaseSolver):
            name = "interrupted"

            def _step(self, problem, state):
                if state.n_iter == 12:
                    raise KeyboardInterrupt
                return ALS()._step(problem, state)

        model = overfitting(solver=Interrupted(), n_iter_no_change=50)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
        best = int(np.argmax(model.validation_scores_)) + 1
        assert model.n_iter_ == 12
        assert best < 12
        expected = overfitting(solver=ALS(memory=3), n_iter_no_change=50)
        expected.set_params(max_iter=best, tol=0).fit(X)
        np.testing.assert_array_equal(model.components_, expected.components_)

    @pytest.mark.slow
    def test_scikit_learn_checks(self):
        why = "which entries are hidden is drawn: a weight of two is not the sample twice"
        checks = [
            "check_sample_weight_equivalence_on_" + data for data in ("dense_data", "sparse_data")
        ]
        model = MatrixFactorization(
            solver="als", early_stopping=True, alpha_W=0.1, max_iter=300, random_state=0
        )
        check_estimator(model, expected_failed_checks=dict.fromkeys(checks, why), on_skip=None)

    def test_verbose_shows_the_score(self, holed, capsys):
        model = overfitting(solver="als", verbose=1).fit(holed)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == model.n_iter_
        assert len({len(line) for line in lines}) == 1
        assert f"validation {model.validation_scores_[-1]:8.5f}" in lines[-1]
        assert f"{model.loss_curve_[-1]:.6e}" in lines[-1]
