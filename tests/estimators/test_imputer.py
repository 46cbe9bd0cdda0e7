"""The imputer: scikit-learn's conventions for imputers, and how well and surely it fills."""

import pickle

import numpy as np
import pytest
from conftest import low_rank, minutes_on_reference, punch_holes
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mf import FactorizationImputer, MatrixFactorization
from sklearn_mf.imputation.variational import VariationalFactors, fit_variational

FACTORIZATION = MatrixFactorization(2, bias="features", alpha_W=0.1, random_state=0)


def imputer(estimator=None, **parameters):
    return FactorizationImputer(estimator, **{"random_state": 0} | parameters)


@minutes_on_reference
@parametrize_with_checks(
    [
        imputer(),
        imputer(
            MatrixFactorization(1, alpha_W=0.1, random_state=0),
            sample_posterior=True,
            add_indicator=True,
            keep_empty_features=True,
        ),
    ]
)
def test_scikit_learn_has_no_complaint(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def free():
    """The data of `holed`, filled without any further parameter."""
    return imputer().fit_transform(punch_holes(low_rank(mean=1.0)))


@pytest.fixture
def with_empty_column(holed):
    X = holed.copy()
    X[:, 3] = np.nan
    return X


class TestFilling:
    @pytest.mark.parametrize("estimator", [None, FACTORIZATION])
    def test_observed_entries_are_kept_and_the_others_filled(self, holed, estimator):
        before = holed.copy()
        filled = imputer(estimator).fit_transform(holed)
        seen = ~np.isnan(holed)
        np.testing.assert_array_equal(filled[seen], holed[seen])
        assert np.isfinite(filled).all()
        np.testing.assert_array_equal(holed, before)

    def test_a_given_estimator_is_used_as_it_is(self, holed):
        fitted = clone(FACTORIZATION).fit(holed)
        expected = fitted.inverse_transform(fitted.transform(holed))
        missing = np.isnan(holed)
        found = imputer(FACTORIZATION).fit_transform(holed)
        np.testing.assert_allclose(found[missing], expected[missing])

    @pytest.mark.parametrize(
        "estimator",
        [
            make_pipeline(StandardScaler(), FACTORIZATION),
            GridSearchCV(FACTORIZATION, {"n_components": [1, 3]}, cv=2),
        ],
        ids=["pipeline", "search"],
    )
    def test_pipelines_and_searches_are_estimators_too(self, holed, estimator):
        filled = imputer(estimator).fit_transform(holed)
        assert np.isfinite(filled).all()
        truth, missing = low_rank(mean=1.0), np.isnan(holed)
        mean = SimpleImputer().fit_transform(holed)
        assert rms(filled - truth, missing) < rms(mean - truth, missing)

    def test_low_rank_data_are_found_again(self):
        X = low_rank(60, 20, noise=0.0, mean=5.0) * np.geomspace(1e-3, 1e3, 20)
        filled = imputer().fit_transform(punch_holes(X, 0.3))
        np.testing.assert_allclose(filled, X, atol=1e-3 * X.std(axis=0).max(), rtol=1e-3)

    def test_the_units_of_columns_do_not_matter(self, holed, free):
        scale = np.geomspace(1e-6, 1e6, holed.shape[1])
        expected = free * scale + 3 * scale
        found = imputer().fit_transform(holed * scale + 3 * scale)
        np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-5)

    def test_columns_that_do_not_depend_on_one_another_get_about_their_means(self):
        X = np.random.default_rng(0).normal(size=(300, 5)) + np.arange(5)
        holed = punch_holes(X, 0.2)
        filled, missing = imputer().fit_transform(holed), np.isnan(holed)
        mean = SimpleImputer().fit_transform(holed)
        assert rms(filled - mean, missing) < 0.3  # of columns with standard deviation one
        assert rms(filled - X, missing) < 1.03 * rms(mean - X, missing)

    def test_one_column_gets_its_mean(self):
        X = np.array([[1.0], [2.0], [np.nan], [6.0]])
        fitted = imputer().fit(X)
        assert fitted.n_components_ == 0
        np.testing.assert_allclose(fitted.transform(X)[2], 3.0)

    def test_a_row_without_entries_gets_the_means(self):
        X = low_rank(400, 8, mean=2.0)
        row = np.full((1, 8), np.nan)
        np.testing.assert_allclose(
            imputer().fit(X).transform(row)[0], X.mean(axis=0), atol=0.02 * X.std()
        )

    def test_constant_and_repeated_columns_do_no_harm(self):
        holed = punch_holes(low_rank(300, 8, mean=1.0))
        X = np.column_stack([holed, np.full(len(holed), 7.0), holed[:, 0], holed[:, 0]])
        seen = np.flatnonzero(~np.isnan(holed[:, 0]))[0]
        X[seen, -3:] = np.nan
        filled = imputer().fit_transform(X)
        assert filled[seen, -3] == 7.0
        np.testing.assert_allclose(filled[seen, -2:], X[seen, 0], atol=0.05)

    def test_the_same_seed_gives_the_same_bits(self, holed):
        one, other = (imputer(random_state=3).fit_transform(holed) for _ in range(2))
        np.testing.assert_array_equal(one, other)

    def test_the_type_of_the_data_is_kept(self, holed):
        values, std = imputer().fit(holed).transform(holed.astype(np.float32), return_std=True)
        assert values.dtype == std.dtype == np.float32

    def test_it_survives_pickling(self, holed):
        fitted = imputer(add_indicator=True).fit(holed)
        copy = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copy.transform(holed), fitted.transform(holed))


class TestAccuracy:
    @pytest.mark.filterwarnings("ignore:.*Early stopping criterion")
    @pytest.mark.parametrize("share", [0.2, 0.5])
    def test_on_a_real_table_it_beats_every_imputer_of_scikit_learn(self, share):
        X = StandardScaler().fit_transform(load_diabetes().data)
        holed = punch_holes(X, share)
        missing = np.isnan(holed)
        peers = SimpleImputer(), KNNImputer(), IterativeImputer(random_state=0)
        errors = [rms(peer.fit_transform(holed) - X, missing) for peer in peers]
        assert rms(imputer().fit_transform(holed) - X, missing) < min(errors)

    @pytest.mark.parametrize(("noise", "limit"), [(0.0, 0.003), (0.3, 0.174)])
    def test_rank_and_penalties_need_no_advice(self, noise, limit):
        rng = np.random.default_rng(0)
        truth = rng.random((300, 4)) @ rng.random((4, 60))
        missing = rng.random(truth.shape) < 0.7
        X = np.where(missing, np.nan, truth + noise * rng.normal(size=truth.shape))
        assert rms(imputer().fit_transform(X) - truth, missing) < limit

    def test_ranks_are_judged_by_entries_that_were_hidden(self):
        X = low_rank(200, 30, noise=0.5)
        fitted = imputer().fit(punch_holes(X, 0.3))
        errors = fitted.hidden_errors_
        assert list(errors) == sorted(errors)
        assert fitted.n_components_ in errors
        assert 0 in errors
        assert errors[fitted.n_components_] <= 1.01 * min(errors.values())
        assert errors[0] == pytest.approx(1, rel=0.15)  # of standardized columns


class TestVariationalFactors:
    def test_full_rank_is_the_normal_distribution_of_the_columns(self):
        # Of 4,000 rows nothing is shrunk: conditional means of the true covariance.
        rng = np.random.default_rng(0)
        A = rng.normal(size=(4, 4))
        covariance = A @ A.T + 0.5 * np.eye(4)
        covariance /= np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        X = rng.multivariate_normal(np.zeros(4), covariance, size=4000)
        factors, _ = fit_variational(X, np.random.RandomState(0))
        row = np.array([[1.0, -0.5, np.nan, np.nan]])
        B = covariance[2:, :2] @ np.linalg.inv(covariance[:2, :2])
        rest = np.diag(covariance[2:, 2:] - B @ covariance[:2, 2:])
        np.testing.assert_allclose(factors.predict(row)[0, 2:], B @ row[0, :2], atol=0.1)
        np.testing.assert_allclose(factors.variances(row)[0, 2:], rest, rtol=0.1)

    def test_patterns_shared_by_rows_change_nothing(self):
        X = low_rank(50, 8)
        X[10:30, 2] = np.nan
        factors = VariationalFactors.of_means(X).grown(X, 3, np.random.RandomState(0)).fitted(X)
        together = factors.predict(X)
        alone = np.concatenate([factors.predict(row[None]) for row in X])
        np.testing.assert_allclose(alone, together, rtol=1e-10)

    def test_draws_have_the_means_and_variances_that_are_told(self):
        X = low_rank(80, 6, noise=0.5)
        factors, _ = fit_variational(X, np.random.RandomState(0))
        row = X[:1].copy()
        row[0, 3:] = np.nan
        rng = np.random.RandomState(0)
        draws = np.array([factors.sample(row, rng)[0, 3:] for _ in range(4000)])
        variance = factors.variances(row)[0, 3:]
        np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.1)
        error = np.sqrt(variance / 4000)
        np.testing.assert_array_less(
            np.abs(draws.mean(axis=0) - factors.predict(row)[0, 3:]), 5 * error
        )


@minutes_on_reference
class TestUncertainty:
    @pytest.mark.parametrize("estimator", [None, FACTORIZATION.set_params(n_components=3)])
    def test_intervals_hold_their_share_of_hidden_entries(self, estimator):
        X = low_rank(200, 30, noise=0.7, mean=3.0)
        holed = punch_holes(X, 0.4)
        missing = np.isnan(holed)
        values, std = imputer(estimator).fit(holed).transform(holed, return_std=True)
        inside = np.abs(values - X)[missing] < stats.norm.ppf(0.95) * std[missing]
        assert 0.85 < inside.mean() < 0.95
        assert (std[~missing] == 0).all()

    @pytest.mark.parametrize(("n_samples", "n_features"), [(100, 8), (300, 40)])
    def test_intervals_are_not_too_short(self, n_samples, n_features):
        X = low_rank(n_samples, n_features, noise=0.3)
        holed = punch_holes(X, 0.3)
        missing = np.isnan(holed)
        values, std = imputer().fit(holed).transform(holed, return_std=True)
        inside = np.abs(values - X)[missing] < stats.norm.ppf(0.975) * std[missing]
        # Within three standard errors of the share.
        error = np.sqrt(0.95 * 0.05 / missing.sum())
        assert inside.mean() == pytest.approx(0.95, abs=3 * error)

    def test_a_search_tells_by_its_best_estimator(self, holed):
        search = GridSearchCV(FACTORIZATION, {"n_components": [1, 2]}, cv=2)
        _, std = imputer(search).fit(holed).transform(holed, return_std=True)
        assert (std[np.isnan(holed)] > 0).all()

    def test_an_estimator_that_cannot_tell_is_refused(self, holed):
        fitted = imputer(make_pipeline(StandardScaler(), FACTORIZATION)).fit(holed)
        with pytest.raises(ValueError, match="Pipeline has no method predict_entries"):
            fitted.transform(holed, return_std=True)

    @pytest.mark.parametrize("estimator", [None, FACTORIZATION])
    def test_draws_scatter_as_they_should(self, estimator):
        X = low_rank(60, 8, noise=0.5)
        holed = punch_holes(X, 0.2)
        missing = np.isnan(holed)
        drawing = imputer(estimator).fit(holed)
        mean, std = drawing.transform(holed, return_std=True)
        drawing.set_params(sample_posterior=True)
        draws = np.array([drawing.set_params(random_state=i).transform(holed) for i in range(200)])
        assert (draws[:, ~missing] == holed[~missing]).all()
        z = (draws.mean(axis=0) - mean)[missing] / std[missing] * np.sqrt(200)
        assert np.abs(z).max() < 5
        np.testing.assert_allclose(
            np.median(draws.std(axis=0)[missing] / std[missing]), 1, rtol=0.1
        )

    def test_a_seed_names_a_draw(self, holed):
        drawing = imputer(sample_posterior=True).fit(holed)
        first, again = drawing.transform(holed), drawing.transform(holed)
        other = drawing.set_params(random_state=1).transform(holed)
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)

    def test_multiple_imputation_covers_a_regression_coefficient(self):
        # Rubin's rules: of intervals for a slope, 90 % should hold the true one; with the
        # means filled in, and the holes forgotten, fewer do.
        inside = {True: 0, False: 0}
        for seed in range(30):
            rng = np.random.default_rng(seed)
            x = rng.normal(size=60)
            X = np.column_stack([x, x + rng.normal(size=60), x + rng.normal(size=60)])
            X = np.where(rng.random(X.shape) < [0.0, 0.5, 0.0], np.nan, X)
            filling = imputer().fit(X)
            for draws in inside:
                filling.set_params(sample_posterior=draws)
                fits = []
                for i in range(6 if draws else 1):
                    column = filling.set_params(random_state=i).transform(X)[:, 1]
                    fits.append(stats.linregress(x, column))
                slopes = np.array([fit.slope for fit in fits])
                within = np.mean([fit.stderr**2 for fit in fits])
                between = slopes.var(ddof=1) if draws else 0.0
                half = stats.norm.ppf(0.95) * np.sqrt(within + (1 + 1 / len(fits)) * between)
                inside[draws] += abs(slopes.mean() - 1) < half
        assert inside[True] >= 24
        assert inside[False] < inside[True]


class TestConventions:
    def test_empty_features_are_left_out_and_named(self, with_empty_column):
        with pytest.warns(UserWarning, match="x3"):
            filled = imputer().fit_transform(with_empty_column)
        assert filled.shape == (30, 19)
        np.testing.assert_array_equal(
            filled[:, :3][0],
            np.where(np.isnan(with_empty_column[0, :3]), filled[0, :3], with_empty_column[0, :3]),
        )

    def test_empty_features_are_kept_as_simple_imputer_keeps_them(self, with_empty_column):
        filled = imputer(keep_empty_features=True).fit_transform(with_empty_column)
        simple = SimpleImputer(keep_empty_features=True).fit_transform(with_empty_column)
        assert filled.shape == simple.shape
        np.testing.assert_array_equal(filled[:, 3], simple[:, 3])

    @pytest.mark.parametrize("keep", [False, True])
    @pytest.mark.filterwarnings("ignore:Features without")
    @pytest.mark.filterwarnings("ignore:Skipping features")
    def test_names_and_indicators_are_those_of_simple_imputer(self, with_empty_column, keep):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(with_empty_column, columns=[f"c{i}" for i in range(20)])
        parameters = {"add_indicator": True, "keep_empty_features": keep}
        ours = imputer(**parameters).set_output(transform="pandas").fit_transform(table)
        theirs = SimpleImputer(**parameters).set_output(transform="pandas").fit_transform(table)
        assert list(ours.columns) == list(theirs.columns)
        marks = [name for name in ours.columns if name.startswith("missing")]
        np.testing.assert_array_equal(ours[marks], theirs[marks])

    def test_a_frame_comes_with_the_standard_deviations(self, holed):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(holed, columns=[f"c{i}" for i in range(20)])
        fitted = imputer(add_indicator=True).set_output(transform="pandas").fit(table)
        values, std = fitted.transform(table, return_std=True)
        assert list(values.columns) == list(fitted.get_feature_names_out())
        assert std.shape == values.shape
        assert (std[:, 20:] == 0).all()

    def test_missing_values_may_be_a_number(self, holed, free):
        marked = np.where(np.isnan(holed), -99.0, holed)
        np.testing.assert_array_equal(imputer(missing_values=-99).fit_transform(marked), free)
        with pytest.raises(ValueError, match="NaN"):
            imputer(missing_values=-99).fit(holed)

    def test_nullable_integers_are_numbers(self):
        pandas = pytest.importorskip("pandas")
        column = pandas.array([1, 2, None, 4, 5, 6], dtype="Int64")
        table = pandas.DataFrame({"a": column, "b": np.arange(1.0, 7)})
        filled = imputer(missing_values=pandas.NA).fit_transform(table)
        assert np.isfinite(filled).all()

    def test_bounds_hold_for_what_is_imputed_only(self, holed, free):
        low = np.full(20, -0.5)
        low[0] = 2.0
        filled = imputer(min_value=low, max_value=2.5).fit_transform(holed)
        missing = np.isnan(holed)
        expected = np.where(missing, np.clip(free, low, 2.5), holed)
        np.testing.assert_array_equal(filled, expected)
        assert filled[~missing].max() > 2.5

    def test_features_are_rounded_on_request(self, holed, free):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(holed, columns=[f"c{i}" for i in range(20)])
        rounded = ["c0", "c7"]
        found = imputer(round_features=rounded, min_value=-1.5).fit_transform(table)
        missing = np.isnan(holed)
        of_column = missing & np.isin(table.columns, rounded)
        np.testing.assert_array_equal(found[of_column], np.rint(np.maximum(free, -1)[of_column]))
        others = missing & ~of_column
        np.testing.assert_array_equal(found[others], np.maximum(free, -1.5)[others])


class Odd(TransformerMixin, BaseEstimator):
    """Predicts nothing but infinity; says what fit was given."""

    def fit(self, X, y=None, sample_weight=None):
        self.weight_ = sample_weight
        return self

    def transform(self, X):
        return X

    def inverse_transform(self, X):
        return np.full(X.shape, np.inf)


class TestRefusals:
    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"min_value": 2.0, "max_value": 1.0}, "min_value must not exceed"),
            ({"min_value": [0.0, 1.0]}, "min_value must be a number"),
            ({"max_value": np.ones((2, 2))}, "max_value must be a number"),
            ({"estimator": Ridge()}, "estimator"),
            ({"add_indicator": "yes"}, "add_indicator"),
            ({"round_features": ["no such"]}, "column"),
        ],
    )
    def test_wrong_parameters_are_named(self, holed, parameters, match):
        with pytest.raises(ValueError, match=match):
            imputer(**parameters).fit(holed)

    @pytest.mark.parametrize("kind", ["category", "object", "str", "datetime64[ns]"])
    def test_columns_without_numbers_are_named(self, kind):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame({"a": [1.0, np.nan, 3.0], "kind": ["2020", "2021", "2022"]})
        table["kind"] = table["kind"].astype(kind)
        with pytest.raises(ValueError, match=r"'kind'.*(encode|days since)"):
            imputer().fit(table)

    def test_infinity_is_refused(self, holed):
        holed[0, 0] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            imputer().fit(holed)

    def test_predictions_that_are_not_finite_are_refused(self, holed):
        with pytest.raises(ValueError, match="Odd predicts values that are not finite"):
            imputer(Odd()).fit_transform(holed)

    def test_fit_parameters_need_an_estimator(self, holed):
        with pytest.raises(TypeError, match="sample_weight"):
            imputer().fit(holed, sample_weight=np.ones(30))


class TestMetadata:
    def test_fit_parameters_reach_the_estimator(self, holed):
        weight = np.arange(30.0)
        fitted = imputer(Odd()).fit(holed, sample_weight=weight)
        np.testing.assert_array_equal(fitted.estimator_.weight_, weight)

    def test_routed_ones_too(self, holed, enable_routing):
        weight = np.arange(30.0)
        wrapped = imputer(Odd().set_fit_request(sample_weight=True))
        fitted = wrapped.fit(holed, sample_weight=weight)
        np.testing.assert_array_equal(fitted.estimator_.weight_, weight)
        fitted = imputer(Odd()).fit(holed)
        assert fitted.estimator_.weight_ is None


@pytest.fixture
def enable_routing():
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        yield


def rms(values, where):
    return np.sqrt(np.mean(values[where] ** 2))
