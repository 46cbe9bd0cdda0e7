"""The imputer's own model: a shrunk normal distribution of rows, corrected by neighbours."""

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_moons, make_swiss_roll
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.metrics import nan_euclidean_distances
from sklearn.preprocessing import StandardScaler

from sklearn_mf import FactorizationImputer
from sklearn_mf.imputation.neighbours import N_NEIGHBORS, PRIOR, Neighbours
from sklearn_mf.imputation.normal import Normal, Shrinkage
from sklearn_mf.utils._holes import Holes

NONE = Shrinkage({})


def rms(difference, where):
    return np.sqrt(np.mean(difference[where] ** 2))


def random_covariance(p, rng):
    A = rng.normal(size=(p, p))
    return A @ A.T / p + 0.3 * np.eye(p)


@pytest.fixture
def normal():
    rng = np.random.default_rng(0)
    return Normal(rng.normal(size=6), random_covariance(6, rng), 100.0)


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 6))
    X[rng.random(X.shape) < 0.4] = np.nan
    X[3:9] = X[2]
    X[10], X[11] = np.nan, 1.0
    return X


class TestHoles:
    @pytest.mark.parametrize("p", [1, 3, 12, 70])
    def test_parts_of_the_matrix_are_inverted(self, p):
        rng = np.random.default_rng(0)
        missing = rng.random((50, p)) < rng.random((50, 1))
        missing[5:20] = missing[4]
        matrix, holes, met = random_covariance(p, rng), Holes(missing), np.zeros(50, dtype=int)
        for some, which, columns, inverses in holes.inverses(matrix):
            for row, pattern in zip(some, which, strict=True):
                real = columns[pattern] < p
                m = columns[pattern][real]
                np.testing.assert_array_equal(np.sort(m), np.flatnonzero(missing[row]))
                expected = np.linalg.inv(matrix[np.ix_(m, m)])
                np.testing.assert_allclose(inverses[pattern][np.ix_(real, real)], expected)
                met[row] += 1
        np.testing.assert_array_equal(met, missing.any(axis=1))

    def test_rows_with_the_same_holes_are_solved_once(self):
        missing = np.tile([[True, False, True], [False, False, True]], (100, 1))
        parts = list(Holes(missing).inverses(np.eye(3)))
        assert sum(len(inverses) for *_, inverses in parts) == 2
        assert sum(len(some) for some, *_ in parts) == 200


class TestNormal:
    def test_holes_get_their_conditional_means_and_variances(self, normal, rows):
        found, variances = normal.completed(rows), normal.variances(rows)
        for i, row in enumerate(rows):
            m, o = np.isnan(row), ~np.isnan(row)
            S, rest = normal.covariance, (row - normal.mean)[o]
            B = S[np.ix_(m, o)] @ np.linalg.inv(S[np.ix_(o, o)])
            np.testing.assert_allclose(found[i, m], normal.mean[m] + B @ rest)
            np.testing.assert_array_equal(found[i, o], row[o])
            known = np.diag(S[np.ix_(m, m)] - B @ S[np.ix_(o, m)])
            distance = rest @ np.linalg.solve(S[np.ix_(o, o)], rest)
            np.testing.assert_allclose(variances[i, m], known * (1 + (1 + distance) / 100))
            assert (variances[i, o] == 0).all()

    def test_complete_rows_give_the_maximum_of_the_likelihood_at_once(self):
        X = low_rank(60, 5, noise=0.5)
        fitted = Normal.of_means(X).fitted(X, NONE, 1)
        np.testing.assert_allclose(fitted.mean, X.mean(axis=0))
        np.testing.assert_allclose(fitted.covariance, np.cov(X.T, bias=True), rtol=1e-6)

    def test_the_likelihood_of_what_is_observed_rises(self):
        X = punch_holes(low_rank(80, 6, noise=0.5), 0.4)
        observed = ~np.isnan(X)

        def likelihood(model):
            total = 0.0
            for row, o in zip(X, observed, strict=True):
                S, rest = model.covariance[np.ix_(o, o)], (row - model.mean)[o]
                total -= np.linalg.slogdet(S)[1] + rest @ np.linalg.solve(S, rest)
            return total

        models = [Normal.of_means(X)]
        for _ in range(15):
            models.append(models[-1].fitted(X, NONE, 1))
        assert (np.diff([likelihood(model) for model in models]) > 0).all()

    def test_a_residual_is_what_the_other_columns_leave(self, normal):
        X = np.random.default_rng(0).normal(size=(5, 6))
        for j in range(6):
            holed = X.copy()
            holed[:, j] = np.nan
            expected = X[:, j] - normal.completed(holed)[:, j]
            np.testing.assert_allclose(normal.residuals(X)[:, j], expected)

    def test_draws_scatter_around_what_is_expected(self, normal, rows):
        rng = np.random.RandomState(0)
        draws = np.array([normal.sample(rows, rng) for _ in range(1000)])
        missing = np.isnan(rows)
        variances = normal.variances(rows)
        z = (draws.mean(axis=0) - normal.completed(rows))[missing] / np.sqrt(variances[missing])
        assert np.abs(z).max() * np.sqrt(1000) < 5
        ratio = np.median(draws.var(axis=0)[missing] / variances[missing])
        np.testing.assert_allclose(ratio, 1, rtol=0.15)

    def test_a_covariance_of_factors_is_its_own_target(self):
        rng = np.random.default_rng(0)
        H, noise = rng.normal(size=(2, 12)), rng.uniform(0.5, 1.5, size=12)
        covariance = H.T @ H + np.diag(noise)
        np.testing.assert_allclose(
            Shrinkage({2: 1.0})(covariance), covariance, rtol=0.05, atol=0.02
        )

    def test_weights_fall_as_rows_become_more(self):
        shrinkage = Shrinkage({1: 0.3, 2: 0.2})
        assert shrinkage.of_more_rows(1).weights == pytest.approx(shrinkage.weights)
        assert shrinkage.of_more_rows(10).weight == pytest.approx(1 / 11)
        assert Shrinkage({4: 1.0}).of_more_rows(10).weights == {4: 1.0}


class TestNeighbours:
    def test_only_observed_entries_are_averaged(self, normal, rows):
        donors = Neighbours.of(normal, rows)
        completed = normal.completed(rows)
        shifts = donors.shifts(rows, completed)
        assert shifts.shape == (2, *rows.shape)
        assert np.isfinite(shifts).all()
        hidden = rows.copy()
        hidden[:, 2] = np.nan
        np.testing.assert_array_equal(
            Neighbours.of(normal, hidden).shifts(rows, completed)[:, :, 2], 0
        )

    def test_they_are_near_in_what_a_row_shows(self, normal):
        # As KNNImputer has it; what is filled in a row may be anything.
        X = punch_holes(np.random.default_rng(0).normal(size=(200, 6)), 0.3)
        donors = Neighbours.of(normal, X)
        observed = ~np.isnan(X)
        distances = nan_euclidean_distances(X, donors.completed, squared=True)
        wanted = np.argsort(distances, axis=1)[:, : N_NEIGHBORS + 1]
        farthest = np.take_along_axis(distances, wanted[:, -1:], axis=1)
        weights = 1 - 0.99 * np.take_along_axis(distances, wanted, axis=1) / farthest
        counts = np.einsum("ik,ikj->ij", weights, observed[wanted])
        sums = np.einsum("ik,ikj->ij", weights, donors.residuals[wanted])
        for filled in donors.completed, np.where(observed, X, 100.0):
            shifts = donors.shifts(X, filled)
            np.testing.assert_allclose(shifts[0], sums / (counts + PRIOR), atol=1e-10)

    def test_what_is_filled_in_a_row_says_nothing_of_the_row(self, normal):
        X = np.tile(np.random.default_rng(0).normal(size=6), (25, 1))
        X[0, 1] = np.nan
        without = Neighbours.of(normal, X[1:]).shifts(X[:1], normal.completed(X[:1]))
        found = Neighbours.of(normal, X).shifts(X[:1], normal.completed(X[:1]))
        np.testing.assert_allclose(found[:, 0, 1], without[:, 0, 1], rtol=0.1)


class TestPairs:
    def test_complete_rows_have_their_own_correlations(self):
        X = low_rank(200, 5, noise=0.5)
        correlations = np.corrcoef(X.T) * (1 - 1 / 200) + np.eye(5) / 200
        found = Normal.of_pairs(X).covariance
        scales = X.std(axis=0)
        np.testing.assert_allclose(found / np.outer(scales, scales), correlations, atol=0.02)

    def test_pairs_count_from_their_own_means(self):
        # From the means of all that is observed, the two complete rows deviate to opposite sides.
        X = np.array([[-9.0, np.nan], [1.0, 1.0], [2.0, 2.0], [np.nan, 9.0]])
        assert Normal.of_pairs(X).covariance[0, 1] > 0

    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_it_is_a_distribution(self, share):
        X = punch_holes(low_rank(30, 20), share)
        X = X[:, (~np.isnan(X)).any(axis=0)]
        assert np.linalg.eigvalsh(Normal.of_pairs(X).covariance).min() > 0


TABLES = {
    "digits": lambda: load_digits().data[:600],
    "breast cancer": lambda: load_breast_cancer().data,
    "wine": lambda: load_wine().data,
    "all digits": lambda: load_digits().data,
    "roll": lambda: np.hstack([make_swiss_roll(600, random_state=0)[0]] * 2),
}


@minutes_on_reference
class TestAccuracy:
    @pytest.mark.parametrize("share", [0.1, 0.3])
    def test_curves_are_seen(self, share):
        # Two moons seen by eight noisy instruments: a normal distribution is a poor model.
        rng = np.random.default_rng(0)
        moons, _ = make_moons(800, noise=0.05, random_state=0)
        views = np.column_stack([moons, moons[:, 0] * moons[:, 1]])
        views = np.hstack([views, views @ rng.normal(size=(3, 5))])
        X = StandardScaler().fit_transform(views)
        X += 0.15 * rng.normal(size=X.shape)
        holed = punch_holes(X, share)
        missing = np.isnan(holed)
        peers = [KNNImputer(), KNNImputer(n_neighbors=20)]
        best = min(rms(peer.fit_transform(holed) - X, missing) for peer in peers)
        found = FactorizationImputer(random_state=0).fit_transform(holed)
        assert rms(found - X, missing) < (0.98 if share == 0.1 else 0.8) * best

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.*Early stopping criterion")
    @pytest.mark.parametrize("share", [0.1, 0.3])
    @pytest.mark.parametrize("name", ["digits", "breast cancer", "wine", "roll"])
    def test_it_is_as_good_as_the_best_imputer_of_scikit_learn(self, name, share):
        X = TABLES[name]()
        X = StandardScaler().fit_transform(X[:, X.std(axis=0) > 0])
        holed = punch_holes(X, share)
        missing = np.isnan(holed)
        peers = [SimpleImputer(), KNNImputer(), KNNImputer(n_neighbors=20)]
        if name != "digits":
            peers.append(IterativeImputer(random_state=0))
        best = min(rms(peer.fit_transform(holed) - X, missing) for peer in peers)
        found = FactorizationImputer(random_state=0).fit_transform(holed)
        assert rms(found - X, missing) < 1.03 * best

    # All digits are more rows than choose; of rare pixels these show what the others do not.
    @pytest.mark.parametrize(
        ("name", "share", "limit"),
        [
            ("wine", 0.2, 0.03),
            ("roll", 0.2, 0.03),
            pytest.param("all digits", 0.3, 0.01, marks=pytest.mark.slow),
        ],
    )
    def test_seeds_agree(self, name, share, limit):
        X = TABLES[name]()
        X = StandardScaler().fit_transform(X[:, X.std(axis=0) > 0])
        holed = punch_holes(X, share)
        missing = np.isnan(holed)
        errors = [
            rms(FactorizationImputer(random_state=s).fit_transform(holed) - X, missing)
            for s in range(3)
        ]
        assert np.ptp(errors) < limit * np.mean(errors)

    @pytest.mark.parametrize("n_samples", [5, 6, 7, 8, 10, 15])
    @pytest.mark.parametrize("unit", [1.0, 1e-20])
    def test_exact_relations_of_few_rows_are_recovered(self, n_samples, unit):
        # Of seeds 3 and 12 extreme rows are hidden: the others are all on one side of the means.
        for seed in (0, 3, 12) if unit == 1 else (3,):
            rng = np.random.default_rng(seed)
            x = 3 * rng.standard_normal(n_samples)
            X = np.column_stack([x, 2 * x + 1]) * unit
            holed = X.copy()
            holed[rng.integers(n_samples), 1] = np.nan
            filled = FactorizationImputer(random_state=seed).fit_transform(holed)
            np.testing.assert_allclose(filled, X, atol=0.01 * X[:, 1].std())
