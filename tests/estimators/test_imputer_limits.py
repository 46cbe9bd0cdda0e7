"""The values that the imputer may fill in: limits, draws within them, and whole numbers."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_mf import FactorizationImputer, MatrixFactorization
from sklearn_mf.utils._limits import Limits

NAMES = ["a", "b", "c", "d", "e", "f"]
# Limits are read without regard to what predicts.
FACTORIZATION = MatrixFactorization(2, bias="features", alpha_W=0.1, random_state=0)


def imputer(estimator=None, **parameters):
    return FactorizationImputer(estimator, **{"random_state": 0} | parameters)


def table(X):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=NAMES)


@pytest.fixture
def holed():
    return punch_holes(low_rank(40, 6, noise=0.5))


@pytest.fixture(scope="module")
def free():
    return imputer(FACTORIZATION).fit_transform(table(punch_holes(low_rank(40, 6, noise=0.5))))


class TestWaysToSayThem:
    @pytest.mark.parametrize(
        ("low", "high"),
        [
            (-0.5, 0.5),
            ([-0.5] * 6, [0.5] * 6),
            (np.full(6, -0.5), np.full(6, 0.5)),
            (dict.fromkeys(NAMES, -0.5), dict.fromkeys(reversed(NAMES), 0.5)),
            (dict.fromkeys(range(6), -0.5), dict.fromkeys(range(-6, 0), 0.5)),
        ],
    )
    def test_each_means_the_same(self, holed, free, low, high):
        filled = imputer(FACTORIZATION, min_value=low, max_value=high).fit_transform(table(holed))
        np.testing.assert_array_equal(filled, np.where(np.isnan(holed), free.clip(-0.5, 0.5), free))

    @pytest.mark.parametrize("none", [None, {}, [None] * 6, {"a": None}])
    def test_none_is_no_limit(self, holed, free, none):
        filled = imputer(FACTORIZATION, min_value=none, max_value=none).fit_transform(table(holed))
        np.testing.assert_array_equal(filled, free)

    def test_columns_that_a_dict_does_not_name_have_none(self, holed, free):
        filled = imputer(FACTORIZATION, min_value={"c": 0.25}).fit_transform(table(holed))
        expected = free.copy()
        expected[:, 2] = np.where(np.isnan(holed[:, 2]), free[:, 2].clip(0.25), free[:, 2])
        np.testing.assert_array_equal(filled, expected)

    def test_a_series_is_read_by_its_names(self, holed, free):
        X = table(holed)
        least = X.quantile(0.4)
        filled = imputer(FACTORIZATION, min_value=least[::-1]).fit_transform(X)
        expected = np.where(np.isnan(holed), np.maximum(free, least.to_numpy()), free)
        np.testing.assert_array_equal(filled, expected)

    def test_polars_frames_are_named_too(self, holed, free):
        polars = pytest.importorskip("polars")
        X = polars.DataFrame(holed, schema=NAMES)
        filled = imputer(FACTORIZATION, min_value={"c": 0.25}).fit_transform(X)
        assert filled[np.isnan(holed[:, 2]), 2].min() == 0.25

    def test_limits_of_what_was_observed(self, holed, free):
        # Constant columns have equal limits, empty ones have NaN.
        holed[:, 1] = np.where(np.isnan(holed[:, 1]), np.nan, 7.0)
        holed[:, 3] = np.nan
        with np.errstate(all="ignore"):
            least, most = np.fmin.reduce(holed), np.fmax.reduce(holed)
        assert least[1] == most[1]
        assert np.isnan(least[3])
        limits = {"min_value": least, "max_value": most, "keep_empty_features": True}
        filled = imputer(**limits).fit_transform(holed)
        kept = np.delete(filled, 3, axis=1)
        assert (kept >= np.delete(least, 3)).all()
        assert (kept <= np.delete(most, 3)).all()
        assert (filled[:, 1] == 7.0).all()
        assert (filled[:, 3] == 0.0).all()

    def test_limits_stay_at_their_columns_where_one_is_left_out(self, holed):
        holed[:, 0] = np.nan
        missing = np.isnan(holed)
        limits = {"min_value": [9, -9, 4, -9, -9, -9], "max_value": [-9, 9, 5, 9, 9, 9]}
        with pytest.warns(UserWarning, match="Features without any observed value"):
            filled = imputer(**limits).fit_transform(holed)
        assert filled.shape == (40, 5)
        assert (filled[missing[:, 2], 1] == 4).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"min_value": {"c": 2}, "max_value": 1}, "min_value=2.0 .*max_value=1.0 .*'c'"),
            ({"min_value": [0, 0, 0, np.nan, 0, 0]}, "min_value is nan .*'d'"),
            ({"max_value": np.nan}, "max_value is nan .*'a'"),
            ({"max_value": {"b": np.nan}}, "max_value is nan .*'b'"),
            ({"min_value": np.inf}, "min_value is inf .*'a'"),
            ({"max_value": {"e": -np.inf}}, "max_value is -inf .*'e'"),
            ({"min_value": {"B": 0}}, "min_value: X has no column 'B'"),
            ({"max_value": {9: 0}}, "max_value: "),
            ({"max_value": {"b": "many"}}, "max_value of 'b' must be a number, got 'many'"),
            ({"min_value": [0, 0, "few", 0, 0, 0]}, "min_value of 'c' must be a number, got 'few'"),
            ({"min_value": [0, 0]}, "min_value must be .* 6 features.*shape .2,"),
            ({"min_value": np.zeros((2, 6))}, "min_value must be .* 6 features.*shape .2, 6"),
            ({"min_value": 0.2, "max_value": 0.8, "round_features": ["d"]}, "'d'.*no integer"),
        ],
    )
    def test_the_column_is_named(self, holed, parameters, match):
        with pytest.raises(ValueError, match=match):
            imputer(**parameters).fit(table(holed))

    def test_a_number_names_columns_of_arrays(self, holed):
        with pytest.raises(ValueError, match=r"min_value=2.0 .*'x2'"):
            imputer(min_value={2: 2}, max_value=1).fit(holed)
        with pytest.raises(ValueError, match=r"min_value: .*only supported for dataframes"):
            imputer(min_value={"a": 2}).fit(holed)


class Normal(TransformerMixin, BaseEstimator):
    """Says of every entry that it is normal, with a mean and a spread that were given."""

    def __init__(self, mean=0.0, std=1.0):
        self.mean = mean
        self.std = std

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X)

    def inverse_transform(self, X):
        return np.full(np.shape(X), self.mean)

    def predict_entries(self, X, rows, columns, return_std=False):
        return np.full(len(rows), self.mean), np.full(len(rows), self.std)


class TestDraws:
    @pytest.mark.parametrize(
        ("mean", "low", "high"),
        [
            (0.0, -1.0, 1.0),
            (0.0, 0.5, np.inf),
            (0.0, -np.inf, -1.0),
            (3.0, -1.0, 1.0),
            (-30.0, -1.0, 1.0),
            (60.0, -np.inf, 0.0),
            (0.0, -40.0, 40.0),
        ],
    )
    def test_they_are_those_of_a_truncated_normal_distribution(self, mean, low, high):
        X = np.full((2000, 2), np.nan)
        X[0] = 0.0
        fitted = imputer(Normal(mean), sample_posterior=True, min_value=low, max_value=high)
        draws = fitted.fit_transform(X)[1:].ravel()
        assert (draws >= low).all()
        assert (draws <= high).all()
        truth = stats.truncnorm(low - mean, high - mean, loc=mean)
        assert stats.kstest(draws, truth.cdf).pvalue > 0.01

    @pytest.mark.parametrize("place", [-60.0, -48.0, 48.0, 60.0])
    @pytest.mark.parametrize("limits", [(-1e9, np.inf), (-np.inf, 1e9), (-1e9, 1e9)])
    def test_draws_far_out_stay_where_no_limit_is_near(self, place, limits):
        draws = np.full(3, place)
        ends = (np.full(3, limit) for limit in limits)
        free = Limits(*ends, np.zeros(3, dtype=bool), {})
        moved = free.truncated(draws, np.zeros(3), np.ones(3), np.arange(3))
        np.testing.assert_allclose(moved, draws, rtol=1e-12)

    def test_of_the_default_model_too(self):
        X = low_rank(60, 6, noise=0.7)
        holed = punch_holes(X, 0.2)
        missing, limits = np.isnan(holed), {"min_value": -0.5, "max_value": 1.0}
        mean, std = imputer().fit(holed).transform(holed, return_std=True)
        fitted = imputer(sample_posterior=True, **limits).fit(holed)
        draws = np.array(
            [fitted.set_params(random_state=i).transform(holed)[missing] for i in range(300)]
        )
        assert np.isin(draws, [-0.5, 1.0]).mean() < 1e-3
        a, b = ((limit - mean[missing]) / std[missing] for limit in (-0.5, 1.0))
        truth = stats.truncnorm(a, b, loc=mean[missing], scale=std[missing])
        error = np.abs(draws.mean(axis=0) - truth.mean()) / truth.std()
        assert np.median(error) < 0.1
        np.testing.assert_allclose(np.median(draws.std(axis=0) / truth.std()), 1, rtol=0.05)

    def test_limits_out_of_reach_change_no_draw(self, holed):
        drawing = imputer(sample_posterior=True)
        far = imputer(sample_posterior=True, min_value=-1e3, max_value=1e3)
        np.testing.assert_allclose(far.fit_transform(holed), drawing.fit_transform(holed))

    def test_columns_without_limits_are_drawn_as_without_any(self, holed):
        drawing = imputer(sample_posterior=True).fit_transform(holed)
        one = imputer(sample_posterior=True, min_value={1: 0.0}).fit_transform(holed)
        np.testing.assert_array_equal(np.delete(one, 1, axis=1), np.delete(drawing, 1, axis=1))

    def test_draws_that_belong_together_stay_together(self):
        # Two columns that are nearly the same one: so are their draws within limits.
        x = np.random.default_rng(0).normal(size=200)
        X = np.column_stack([x, x, np.random.default_rng(1).normal(size=(200, 2))])
        X[:, :2] += 0.05 * np.random.default_rng(2).normal(size=(200, 2))
        X[:50, :2] = np.nan
        fitted = imputer(sample_posterior=True, min_value=-1, max_value=1)
        draws = fitted.fit_transform(X)[:50]
        assert np.corrcoef(draws[:, 0], draws[:, 1])[0, 1] > 0.8

    def test_equal_limits_leave_no_choice(self, holed):
        filled = imputer(sample_posterior=True, min_value=3, max_value=3).fit_transform(holed)
        assert (filled[np.isnan(holed)] == 3).all()

    def test_whole_numbers_at_the_limits_have_their_share(self):
        X = np.full((6000, 2), np.nan)
        X[0] = 0.0
        fitted = imputer(
            Normal(1.0, 20.0),
            sample_posterior=True,
            min_value=0,
            max_value=2,
            round_features=slice(None),
        )
        counts = np.bincount(fitted.fit_transform(X)[1:].ravel().astype(int))
        np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.02)

    def test_an_estimator_without_spread_draws_its_prediction(self):
        X = np.full((5, 2), np.nan)
        X[0] = 0.0
        fitted = imputer(Normal(2.0, 0.0), sample_posterior=True, max_value=1.0)
        assert (fitted.fit_transform(X)[1:] == 1.0).all()

    def test_what_has_no_spread_is_not_drawn(self, holed):
        model = MatrixFactorization(1, loss="huber", alpha_W=0.1, random_state=0)
        with pytest.raises(ValueError, match=r"sample_posterior=True needs .*loss='squared'"):
            imputer(model, sample_posterior=True).fit_transform(holed)

    def test_of_a_factorization_they_are_within(self, holed):
        model = MatrixFactorization(2, bias="features", alpha_W=0.1, random_state=0)
        filled = imputer(model, sample_posterior=True, min_value=-1, max_value=1)
        draws = filled.fit_transform(holed)[np.isnan(holed)]
        assert (np.abs(draws) < 1).all()


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_constant_column_is_drawn_as_it_is_in_every_unit(holed, unit):
    holed[:, 2] = np.where(np.isnan(holed[:, 2]), np.nan, 3 * unit)
    fitted = imputer(sample_posterior=True).fit(holed * [unit, unit, 1, unit, unit, unit])
    values, std = fitted.transform(holed, return_std=True)
    np.testing.assert_allclose(values[:, 2], 3 * unit, rtol=1e-15)
    assert (std[:, 2] == 0).all()
