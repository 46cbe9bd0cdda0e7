"""Pairs of labels as samples: the same as the matrix, and at home in scikit-learn's tools."""

import numpy as np
import pytest
from conftest import low_rank
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import get_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from sklearn_mf import (
    NMF,
    ImplicitFactorization,
    MatrixFactorization,
    RankSearchCV,
    TripletRegressor,
    load_model,
    save_model,
)
from sklearn_mf.losses import Poisson

TRUTH = low_rank(30, 15, noise=0.05, mean=3.0)
MODEL = MatrixFactorization(
    2, bias="both", unstored="missing", alpha_W=0.05, random_state=0, tol=1e-8, max_iter=1000
)


def triplets(share=0.6, seed=0):
    """Pairs of strings, in no order, and their values."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random(TRUTH.shape) < share)
    order = rng.permutation(len(rows))
    rows, columns = rows[order], columns[order]
    X = np.column_stack([[f"u{i:02}" for i in rows], [f"i{j:02}" for j in columns]]).astype(object)
    return X, TRUTH[rows, columns], (rows, columns)


def dense(y, cells, shape=TRUTH.shape):
    X = np.full(shape, np.nan)
    X[cells] = y
    return X


class TestTheMatrix:
    def test_predictions_are_those_of_the_estimator(self):
        X, y, cells = triplets()
        regressor = TripletRegressor(MODEL).fit(X, y)
        matrix = dense(y, cells)
        expected = clone(MODEL).fit(matrix).predict_entries(matrix, *cells)
        np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-6)
        every = np.array([[f"u{i:02}", f"i{j:02}"] for i in range(30) for j in range(15)])
        found = regressor.predict(every).reshape(TRUTH.shape)
        np.testing.assert_allclose(
            found,
            clone(MODEL)
            .fit(matrix)
            .predict_entries(matrix, *np.indices(TRUTH.shape).reshape(2, -1))
            .reshape(TRUTH.shape),
            rtol=1e-6,
        )
        assert np.corrcoef(found.ravel(), TRUTH.ravel())[0, 1] > 0.8

    def test_data_have_labels(self):
        X, y, _ = triplets()
        data = TripletRegressor(MODEL).fit(X, y).data_
        assert data.row_labels.tolist() == sorted(set(X[:, 0]))
        assert data.column_labels.tolist() == sorted(set(X[:, 1]))
        assert data.X.nnz == len(y)

    def test_pairs_that_come_twice_are_averaged(self):
        X, y, cells = triplets()
        twice = np.concatenate([X, X[:50]]), np.concatenate([y, y[:50] + 1])
        found = TripletRegressor(MODEL).fit(*twice)
        mean, weight = y.copy(), np.ones(len(y))
        mean[:50] += 0.5
        weight[:50] = 2
        expected = TripletRegressor(MODEL).fit(X, mean, sample_weight=weight)
        np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-6)
        matrix, weights = dense(mean, cells), np.nan_to_num(dense(weight, cells))
        model = clone(MODEL).fit(matrix, entry_weight=weights)
        direct = model.predict_entries(matrix, *cells, entry_weight=weights)
        np.testing.assert_allclose(found.predict(X), direct, rtol=1e-6)

    def test_weight_zero_is_absence(self):
        X, y, _ = triplets()
        kept = X[:, 0] != "u03"
        regressor = TripletRegressor(MODEL).fit(X, y, sample_weight=kept.astype(float))
        assert "u03" not in regressor.data_.row_labels
        expected = TripletRegressor(MODEL).fit(X[kept], y[kept]).predict(X)
        np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-6)

    @pytest.mark.parametrize("make", ["pandas", "polars", "pyarrow", "list", "integers"])
    def test_pairs_of_every_make(self, make):
        X, y, (rows, columns) = triplets()
        expected = TripletRegressor(MODEL).fit(X, y).predict(X[:20])
        if make == "integers":
            pairs = np.column_stack([rows, columns])
        elif make == "list":
            pairs = X.tolist()
        else:
            library = pytest.importorskip(make)
            columns = {"user": X[:, 0].tolist(), "item": X[:, 1].tolist()}
            pairs = library.table(columns) if make == "pyarrow" else library.DataFrame(columns)
        regressor = TripletRegressor(MODEL).fit(pairs, y, sample_weight=np.ones(len(y)))
        np.testing.assert_allclose(regressor.predict(pairs[:20]), expected)
        if hasattr(pairs, "columns"):
            assert regressor.feature_names_in_.tolist() == ["user", "item"]
            assert regressor.data_.names == ("user", "item")
            assert type(regressor.data_.to_frame(np.zeros((30, 1), int))) is type(pairs)

    def test_numbers_and_strings_in_one_list(self):
        regressor = TripletRegressor(MatrixFactorization(1, unstored="missing", alpha_W=0.1))
        regressor.fit([[1, "a"], [2, "a"], [1, "b"], [2, "b"]], [1.0, 2, 3, 4])
        assert regressor.data_.row_labels.tolist() == [1, 2]


class TestUnknownLabels:
    NEW = np.array([["u00", "new"], ["new", "i00"], ["new", "new"], ["u01", "i01"]], dtype=object)

    def test_biases(self):
        X, y, cells = triplets()
        regressor = TripletRegressor(MODEL).fit(X, y)
        matrix = dense(y, cells)
        model = clone(MODEL).fit(matrix)
        found = regressor.predict(self.NEW)
        assert found[0] == pytest.approx(y.mean() + model.transform(matrix[:1])[0, -1], rel=1e-6)
        assert found[1] == pytest.approx(model.feature_bias_[0], rel=1e-6)
        assert found[2] == pytest.approx(y.mean())

    def test_without_biases_the_mean_code_and_the_mean(self):
        X, y, cells = triplets()
        plain = MatrixFactorization(2, unstored="missing", alpha_W=0.05, tol=1e-8, random_state=0)
        found = TripletRegressor(plain).fit(X, y).predict(self.NEW)
        matrix = dense(y, cells)
        codes = clone(plain).fit_transform(matrix)
        model = clone(plain).fit(matrix)
        assert found[0] == found[2] == pytest.approx(y.mean())
        assert found[1] == pytest.approx(
            model.inverse_transform(codes.mean(axis=0)[None])[0, 0], rel=1e-4
        )

    def test_links(self):
        X, y, _ = triplets()
        counts = np.floor(np.exp(y / 2))
        model = MatrixFactorization(
            1, loss=Poisson(), bias="both", unstored="missing", alpha_W=0.1, random_state=0
        )
        regressor = TripletRegressor(model).fit(X, counts)
        found = regressor.predict(self.NEW)
        bias = regressor.estimator_.transform(regressor.data_[:1])[0, -1]
        assert found[0] == pytest.approx(counts.mean() * np.exp(bias))
        assert (found > 0).all()

    def test_weights(self):
        X, y, _ = triplets()
        weight = np.random.default_rng(0).random(len(y)) + 0.5
        found = TripletRegressor(MODEL).fit(X, y, sample_weight=weight).predict(self.NEW)
        assert found[2] == pytest.approx(np.average(y, weights=weight))

    def test_nan(self):
        X, y, _ = triplets()
        found = TripletRegressor(MODEL, unknown="nan", clip=(1, 5)).fit(X, y).predict(self.NEW)
        assert np.isnan(found).tolist() == [True, True, True, False]

    def test_error(self):
        X, y, _ = triplets()
        regressor = TripletRegressor(MODEL, unknown="error").fit(X, y)
        with pytest.raises(ValueError, match="labels of rows that were not seen in fit: 'new'"):
            regressor.predict(self.NEW)
        with pytest.raises(ValueError, match="labels of columns that were not seen in fit: 'new'"):
            regressor.predict(self.NEW[:1])

    @pytest.mark.filterwarnings("error")
    def test_nobody_is_told_of_empty_rows(self):
        X, y, _ = triplets()
        TripletRegressor(MODEL).fit(X, y).predict(self.NEW)


def test_clip():
    X, y, _ = triplets()
    free, held = (
        TripletRegressor(MODEL, clip=clip).fit(X, y).predict(X) for clip in (None, (2, 3))
    )
    assert free.min() < 2
    assert free.max() > 3
    np.testing.assert_array_equal(held, free.clip(2, 3))


class TestTools:
    def test_folds_are_those_of_a_loop(self):
        X, y, cells = triplets()
        cv = KFold(4, shuffle=True, random_state=0)
        scores = cross_val_score(
            TripletRegressor(MODEL), X, y, cv=cv, scoring="neg_mean_absolute_error"
        )
        for score, (train, test) in zip(scores, cv.split(X), strict=True):
            matrix = dense(y[train], tuple(side[train] for side in cells))
            model = clone(MODEL).fit(matrix)
            found = model.predict_entries(matrix, *(side[test] for side in cells))
            assert -score == pytest.approx(mean_absolute_error(y[test], found), rel=1e-5)

    @pytest.mark.parametrize(
        "scoring", ["r2", "neg_max_error", "neg_root_mean_squared_error", "explained_variance"]
    )
    def test_scorers(self, scoring):
        X, y, _ = triplets()
        regressor = TripletRegressor(MODEL).fit(X[:200], y[:200])
        assert np.isfinite(get_scorer(scoring)(regressor, X[200:], y[200:]))

    def test_searches(self):
        X, y, _ = triplets(share=0.8)
        grid = {"estimator__n_components": [1, 3], "unknown": ["bias"]}
        search = GridSearchCV(
            TripletRegressor(MODEL), grid, cv=KFold(3, shuffle=True, random_state=0)
        )
        search.fit(X, y, sample_weight=np.ones(len(y)))
        assert search.best_params_["estimator__n_components"] == 3

    def test_frames_in_searches(self):
        pandas = pytest.importorskip("pandas")
        X, y, _ = triplets()
        frame = pandas.DataFrame(X, columns=["user", "item"])
        found = cross_val_predict(TripletRegressor(MODEL), frame, pandas.Series(y))
        np.testing.assert_array_equal(found, cross_val_predict(TripletRegressor(MODEL), X, y))

    def test_a_search_for_the_rank_within(self):
        X, y, _ = triplets(share=0.8)
        search = RankSearchCV(MODEL, [1, 2, 3], cv=2, random_state=0)
        regressor = TripletRegressor(search).fit(X, y)
        assert regressor.estimator_.best_rank_ == 3
        assert regressor.score(X, y) > 0.9
        assert np.isfinite(regressor.predict(TestUnknownLabels.NEW)).all()

    def test_nmf(self):
        X, y, _ = triplets()
        regressor = TripletRegressor(NMF(3, unstored="missing", alpha_W=0.01)).fit(X, np.abs(y))
        assert regressor.score(X, np.abs(y)) > 0.8

    def test_routed_weights(self):
        X, y, _ = triplets()
        weight = np.random.default_rng(0).random(len(y))
        expected = cross_val_score(
            TripletRegressor(MODEL), X, y, params={"sample_weight": weight}, cv=3
        )
        with config_context(enable_metadata_routing=True):
            regressor = TripletRegressor(MODEL).set_fit_request(sample_weight=True)
            regressor.set_score_request(sample_weight=False)
            found = cross_val_score(regressor, X, y, params={"sample_weight": weight}, cv=3)
        np.testing.assert_array_equal(found, expected)

    def test_implicit_feedback(self):
        X, y, _ = triplets()
        regressor = TripletRegressor(ImplicitFactorization(4, random_state=0))
        with pytest.warns(UserWarning, match="ranks pairs and does not predict y") as told:
            regressor.fit(X, np.ceil(np.abs(y)))
        assert len(told) == 1
        assert told[0].filename == __file__
        items = regressor.estimator_.recommend(regressor.data_, n=3, return_scores=False)
        assert len(regressor.data_.to_frame(items)) == 3 * len(regressor.data_)

    def test_it_is_saved(self, tmp_path):
        X, y, _ = triplets()
        regressor = TripletRegressor(MODEL, clip=(1, 5)).fit(X, y)
        save_model(regressor, tmp_path / "model.npz")
        loaded = load_model(tmp_path / "model.npz")
        pairs = np.concatenate([X, TestUnknownLabels.NEW])
        np.testing.assert_array_equal(loaded.predict(pairs), regressor.predict(pairs))


PAIRS = [["a", "x"], ["b", "x"], ["a", "y"], ["b", "y"]]
Y = [1.0, 2, 3, 4]
BAD = [
    (MatrixFactorization(1), PAIRS, Y, {}, r"unstored='zero' treats every pair .*'missing'"),
    (RankSearchCV(MatrixFactorization(1), [1]), PAIRS, Y, {}, "estimator__unstored='missing'"),
    (MODEL, [["a"]] * 4, Y, {}, "X has 1 columns, but must have two"),
    (MODEL, ["a"] * 4, Y, {}, r"shape \(4,\).*Reshape your data"),
    (MODEL, [["a", None], *PAIRS[1:]], Y, {}, "column label of sample 0 of X is missing"),
    (MODEL, np.array([[0, 1.0], [np.nan, 1]]), Y[:2], {}, "NaN or infinity in row 1, column 0"),
    (MODEL, PAIRS, [1, np.nan, 1, 1], {}, "Input y contains NaN in row 1"),
    (MODEL, PAIRS, Y[:3], {}, "inconsistent numbers of samples"),
    (MODEL, PAIRS, None, {}, "requires y to be passed"),
    (MODEL, PAIRS, Y, {"clip": (3, 1)}, r"clip must be a pair .* got \(3, 1\)"),
    (MODEL, PAIRS, Y, {"clip": (1,)}, "must be a pair"),
    (MODEL, PAIRS, Y, {"unknown": "drop"}, "'unknown' parameter"),
    (MODEL, np.empty((0, 2)), [], {}, r"0 sample\(s\)"),
]


@pytest.mark.parametrize(("model", "X", "y", "parameters", "message"), BAD)
def test_bad_input(model, X, y, parameters, message):
    with pytest.raises(ValueError, match=message):
        TripletRegressor(model, **parameters).fit(X, y)


def test_weights_that_are_all_zero():
    with pytest.raises(ValueError, match=r"at least one non-zero number|zero for all samples"):
        TripletRegressor(MODEL).fit(PAIRS, Y, sample_weight=[0, 0, 0, 0])


def test_sparse_pairs_are_refused():
    with pytest.raises(TypeError, match="it is sparse"):
        TripletRegressor(MODEL).fit(sparse.eye_array(4, 2), Y)


def test_estimators_without_weights_of_entries():
    class NoWeights(MatrixFactorization):
        def fit(self, X, y=None):
            return super().fit(X)

    X, y, _ = triplets()
    TripletRegressor(NoWeights(2, unstored="missing", alpha_W=0.1)).fit(X, y)
    with pytest.raises(ValueError, match=r"accepts entry_weight, which NoWeights\.fit"):
        TripletRegressor(NoWeights(2, unstored="missing")).fit(X, y, sample_weight=y * 0 + 2)


class OfRows(TripletRegressor):
    """Makes a pair of every row of numbers, so that any table of scikit-learn's checks serves."""

    def _label_columns(self, X, y, reset):
        from sklearn.utils.validation import validate_data

        given = {"y": y} if reset else {}
        found = validate_data(self, X, reset=reset, **given)
        values = np.asarray(found[0] if reset else found, dtype=float)
        return [np.floor(4 * values[:, 0]), np.floor(4 * values[:, -1])]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.categorical = tags.input_tags.string = False
        tags.regressor_tags.poor_score = True
        return tags


SMALL = MatrixFactorization(1, unstored="missing", bias="both", alpha_W=0.1, random_state=0)


@parametrize_with_checks([OfRows(SMALL)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_checks_of_pairs():
    """Few are left, as those of scikit-learn have any number of columns."""
    check_estimator(TripletRegressor(SMALL))
