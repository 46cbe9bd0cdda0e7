"""Standard deviations of entries: against formulas, simulation, and how often they are right."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import stats

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.fitting.uncertainty import entry_variances
from sklearn_mf.systems import RowPenalty, RowSystems

LEVEL = 0.9
NOISE = 0.7


def model(**parameters):
    defaults = {"n_components": 3, "bias": "features", "max_iter": 1000, "random_state": 0}
    return MatrixFactorization(**defaults | parameters)


def hidden_cells(complete, holed):
    rows, columns = np.nonzero(np.isnan(holed))
    return rows, columns, complete[rows, columns]


def coverage(values, std, truth):
    """Share of the truth within the central interval that should hold `LEVEL` of it."""
    return np.mean(np.abs(values - truth) < stats.norm.ppf((1 + LEVEL) / 2) * std)


def random_covariances(n, k, rng):
    A = rng.normal(size=(n, k, k))
    return A @ A.swapaxes(1, 2) / k


class TestVariancesOfEntries:
    def test_they_are_those_of_products_of_normal_vectors(self):
        rng = np.random.default_rng(0)
        left, right = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
        C, D = random_covariances(2, 3, rng), random_covariances(1, 3, rng)
        which = np.arange(2), np.zeros(2, dtype=int)
        rows, columns = np.array([0, 1, 1]), np.array([1, 0, 1])
        found = entry_variances((left, C, which[0]), (right, D, which[1]), rows, columns)
        for i, j, variance in zip(rows, columns, found, strict=True):
            w = rng.multivariate_normal(left[i], C[i], size=200_000)
            h = rng.multivariate_normal(right[j], D[0], size=200_000)
            assert variance == pytest.approx(np.var((w * h).sum(axis=1)), rel=0.03)

    def test_what_is_known_exactly_varies_not_at_all(self):
        one = (np.ones((2, 2)), np.zeros((1, 2, 2)), np.zeros(2, dtype=int))
        np.testing.assert_array_equal(entry_variances(one, one, np.arange(2), np.arange(2)), 0)


def without_data(grams):
    """Systems of which the Gram matrices alone matter."""
    return RowSystems(grams, np.zeros(grams.shape[:2]))


class TestCovariances:
    def test_they_are_inverses_times_noise(self):
        systems = random_covariances(4, 3, np.random.default_rng(0)) + np.eye(3)
        expected = 2.0 * np.linalg.inv(systems)
        np.testing.assert_allclose(without_data(systems).covariances(2.0, np.eye(3)), expected)

    def test_in_directions_without_data_they_are_the_prior(self):
        system = np.diag([4.0, 0.0])[None]
        prior = np.array([[5.0, 0.3], [0.3, 7.0]])
        found = without_data(system).covariances(2.0, prior)[0]
        np.testing.assert_allclose(found, np.diag([0.5, 7.0]))

    def test_without_any_data_they_are_the_prior(self):
        prior = random_covariances(1, 3, np.random.default_rng(0))[0]
        found = without_data(np.zeros((1, 3, 3))).covariances(2.0, prior)[0]
        np.testing.assert_allclose(found, prior)

    @pytest.mark.parametrize("alpha", [0.0, 0.5])
    def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix(self, alpha):
        design = np.random.default_rng(0).normal(size=(8, 3))
        gram = design.T @ design
        hat = design @ np.linalg.solve(gram + alpha * np.eye(3), design.T)
        penalty = RowPenalty.of_ridge(np.ones(1), np.full(3, alpha))
        [found] = RowSystems(gram[None], np.zeros((1, 3)), penalty).degrees_of_freedom()
        assert found == pytest.approx(np.trace(hat))


class TestPredictEntries:
    @pytest.mark.parametrize("bias", [False, "features", "samples", "both"])
    @pytest.mark.parametrize("scaling", [0.0, 1.0])
    def test_intervals_hold_their_share_of_hidden_entries(self, bias, scaling):
        X = low_rank(200, 40, noise=NOISE, mean=0.5 if bias else 0.0)
        holed = punch_holes(X, 0.4)
        alpha = 0.01 * 24 ** (1 - scaling)
        fitted = model(bias=bias, alpha_W=alpha, alpha_scaling=scaling, n_components=4).fit(holed)
        rows, columns, truth = hidden_cells(X, holed)
        values, std = fitted.predict_entries(holed, rows, columns, return_std=True)
        assert 0.85 < coverage(values, std, truth) < 0.95
        error = np.sqrt(np.mean((values - truth) ** 2))
        assert np.sqrt(np.mean(std**2)) == pytest.approx(error, rel=0.1)

    def test_new_rows_have_intervals_too(self):
        X = low_rank(300, 40, noise=NOISE)
        holed = punch_holes(X, 0.4)
        fitted = model().fit(holed[:200])
        rows, columns, truth = hidden_cells(X[200:], holed[200:])
        values, std = fitted.predict_entries(holed[200:], rows, columns, return_std=True)
        assert 0.85 < coverage(values, std, truth) < 0.95

    def test_with_many_rows_they_are_those_of_ridge_regression(self):
        # Of 20,000 rows the components are known well: what is left is one row's regression.
        alpha, X = 0.05, low_rank(20_000, 12, noise=NOISE)
        fitted = model(alpha_W=alpha, alpha_scaling=0.0).fit(X)
        row = X[:1].copy()
        row[0, 8:] = np.nan
        _, std = fitted.predict_entries(row, np.zeros(4, int), np.arange(8, 12), return_std=True)
        H = fitted.components_
        system = H[:, :8] @ H[:, :8].T + alpha * np.eye(3)
        spread = np.einsum("kj,kj->j", H[:, 8:], np.linalg.solve(system, H[:, 8:]))
        np.testing.assert_allclose(std, NOISE * np.sqrt(1 + spread), rtol=0.02)

    def test_values_do_not_depend_on_whether_std_is_asked_for(self, holed):
        fitted = model(alpha_W=0.1).fit(holed)
        rows, columns = np.nonzero(np.isnan(holed))
        values, _ = fitted.predict_entries(holed, rows, columns, return_std=True)
        np.testing.assert_array_equal(values, fitted.predict_entries(holed, rows, columns))

    def test_sparse_and_dense_data_agree(self, holed):
        rows, columns = np.nonzero(np.isnan(holed))
        stored = store_observed(holed)
        dense = model(alpha_W=0.1).fit(holed)
        sparse = model(alpha_W=0.1, unstored="missing").fit(stored)
        _, expected = dense.predict_entries(holed, rows, columns, return_std=True)
        _, found = sparse.predict_entries(stored, rows, columns, return_std=True)
        np.testing.assert_allclose(found, expected, rtol=1e-3)

    def test_the_type_of_the_data_is_kept(self, holed):
        X = holed.astype(np.float32)
        values, std = model(alpha_W=0.1).fit(X).predict_entries(X, [0, 1], [2, 3], return_std=True)
        assert values.dtype == std.dtype == np.float32

    def test_less_data_means_more_uncertainty(self, holed):
        fitted = model(alpha_W=0.1).fit(holed)
        row = np.full((2, holed.shape[1]), np.nan)
        row[0, :15], row[1, :4] = 1.0, 1.0
        _, (known, unknown) = fitted.predict_entries(row, [0, 1], [16, 16], return_std=True)
        assert known < unknown

    @pytest.mark.parametrize("alpha", [0.0, 0.1])
    def test_a_row_without_entries_is_as_uncertain_as_the_column_varies(self, alpha):
        X = low_rank(500, 12, noise=NOISE)
        fitted = model(alpha_W=alpha).fit(X)
        row = np.full((1, 12), np.nan)
        cells = np.zeros(12, int), np.arange(12)
        with pytest.warns(UserWarning, match="no observed entry"):
            _, std = fitted.predict_entries(row, *cells, return_std=True)
        np.testing.assert_allclose(std, X.std(axis=0), rtol=0.15)

    def test_a_loss_that_is_not_squared_is_refused(self, holed):
        fitted = model(loss="huber", alpha_W=0.1).fit(holed)
        with pytest.raises(ValueError, match="loss='squared'"):
            fitted.predict_entries(holed, [0], [0], return_std=True)

    def test_what_keeps_no_residuals_is_refused(self, complete):
        streamed = model(alpha_W=0.1).partial_fit(complete)
        positive = np.abs(complete)
        for fitted, X in (streamed, complete), (NMF(2, max_iter=1000).fit(positive), positive):
            with pytest.raises(ValueError, match="instead of partial_fit"):
                fitted.predict_entries(X, [0], [0], return_std=True)

    def test_a_model_that_leaves_no_freedom_is_refused(self, complete):
        fitted = model(n_components=20).fit(complete)
        with pytest.raises(ValueError, match="Decrease n_components"):
            fitted.predict_entries(complete, [0], [0], return_std=True)
