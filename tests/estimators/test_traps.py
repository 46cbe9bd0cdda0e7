"""What is valid and hardly meant is told, with what to write instead; and nothing else is."""

import numpy as np
import pandas as pd
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
    learning_curve,
    validation_curve,
)

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF, RankSearchCV
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryShuffleSplit,
    EntryTimeSeriesSplit,
    cross_val_entries,
)

RATINGS, DENSE, LONG = "look like ratings", "X is dense", "a table of \\(user, item, rating\\)"
SHORT, SINGLE, NO_SCORE = "fewer observed entries", "hardly any effect", "score is not defined"


def model(**parameters):
    settings = {"n_components": 2, "alpha_W": 0.1, "max_iter": 1000, "random_state": 0}
    return MatrixFactorization(**settings | parameters)


def ratings(n_users=60, n_items=40, share=0.15, seed=0):
    """Of every user and item some, from one to five."""
    rng = np.random.default_rng(seed)
    rated = rng.random((n_users, n_items)) < share
    rated[np.arange(n_users), np.arange(n_users) % n_items] = True
    grades = rng.choice(5, size=rated.shape, p=[0.1, 0.1, 0.2, 0.35, 0.25]) + 1.0
    return sparse.csr_array(np.where(rated, grades, 0))


def counts(n_samples=60, n_features=40, seed=0):
    return sparse.csr_array(
        np.random.default_rng(seed).poisson(0.3, (n_samples, n_features)).astype(float)
    )


class TestForgottenUnstored:
    @pytest.mark.parametrize("bias", ["both", "samples"])
    @pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
    @pytest.mark.parametrize("method", ["fit", "fit_transform", "partial_fit"])
    def test_ratings_are_told(self, method, container, bias):
        X = container(ratings())
        with pytest.warns(UserWarning, match=rf"{RATINGS}.*{bias}.*unstored='missing'"):
            getattr(model(bias=bias), method)(X)

    @pytest.mark.parametrize("seed", range(10))
    def test_half_grades_too(self, seed):
        X = ratings(seed=seed)
        X.data -= np.random.default_rng(seed).choice([0, 0.5], size=X.nnz)
        with pytest.warns(UserWarning, match=RATINGS):
            model(bias="both").fit(X)

    @pytest.mark.parametrize(
        ("X", "parameters"),
        [
            (ratings(), {"bias": "both", "unstored": "missing"}),
            (ratings(), {}),
            (ratings(), {"bias": "features"}),
            (ratings().toarray(), {"bias": "both"}),
            (counts(), {"bias": "both"}),
            (counts(), {"bias": "both", "loss": "poisson"}),
            (ratings(), {"bias": "both", "loss": "poisson", "alpha_W": 1.0}),
            (ratings().sign(), {"bias": "both"}),
            (ratings().sign(), {"bias": "both", "loss": "logistic", "alpha_W": 1.0}),
            (ratings() * 0.1 * np.pi - counts(), {"bias": "both"}),
            (ratings(share=0.8), {"bias": "both"}),
            (store_observed(punch_holes(low_rank(60, 40), 0.8)), {"bias": "both"}),
        ],
    )
    def test_other_data_are_not(self, X, parameters):
        model(**parameters).fit(X)

    @pytest.mark.parametrize("seed", range(20))
    def test_nor_are_words(self, seed):
        model(bias="both").fit(counts(seed=seed))

    def test_nor_are_weighted_entries(self):
        X = ratings()
        model(bias="both").fit(X, entry_weight=np.ones(X.shape))


class TestUnstoredOfDenseData:
    @pytest.mark.parametrize("cls", [model, NMF, MiniBatchNMF])
    @pytest.mark.parametrize("frame", [np.asarray, pd.DataFrame])
    def test_it_is_told(self, frame, cls):
        estimator = cls(n_components=2, unstored="missing", max_iter=1000)
        with pytest.warns(UserWarning, match=f"unstored='missing'.*{DENSE}.*NaN"):
            estimator.fit(frame(ratings().toarray()))

    def test_once_in_a_stream(self):
        X = ratings().toarray()
        with pytest.warns(UserWarning, match=DENSE):
            streaming = model(unstored="missing").partial_fit(X)
        streaming.partial_fit(X)

    def test_not_where_entries_are_missing_nor_of_codes(self):
        X = punch_holes(low_rank())
        fitted = model(unstored="missing").fit(X)
        fitted.transform(low_rank())
        fitted.score(low_rank())


def long_table(n=500, seed=0, repeats=True):
    rng = np.random.default_rng(seed)
    if repeats:
        pairs = rng.integers([0, 0], [50, 40], (n, 2))
    else:
        pairs = rng.permutation(np.argwhere(np.ones((50, 40))))[:n] + 1
    return np.column_stack([pairs, rng.integers(1, 6, n)])


# Ages, hours, grades, yes or no.
LOW, HIGH = [18, 1, 0, 0], [80, 60, 5, 2]


class TestLongTables:
    @pytest.mark.parametrize("seed", range(10))
    @pytest.mark.parametrize("repeats", [False, True])
    @pytest.mark.parametrize("times", [False, True])
    @pytest.mark.parametrize("dtype", [int, np.float32, float])
    def test_it_is_told(self, dtype, times, repeats, seed):
        X = long_table(seed=seed, repeats=repeats)
        if times:
            X = np.column_stack([X, np.random.default_rng(seed).integers(10**6, 2 * 10**6, len(X))])
        with pytest.warns(UserWarning, match=f"{LONG}.*csr_array.*unstored='missing'"):
            model().fit(X.astype(dtype))

    @pytest.mark.parametrize(
        "names",
        [
            ["user", "item", "rating"],
            ["userId", "movieId", "rating"],
            ["Customer_ID", "n", "Product"],
        ],
    )
    def test_by_names(self, names):
        X = pd.DataFrame(np.random.default_rng(0).integers(0, 4, (30, 3)), columns=names)
        with pytest.warns(UserWarning, match=LONG):
            model().fit(X)

    @pytest.mark.parametrize("cls", [NMF, MiniBatchNMF])
    def test_of_non_negative_factors(self, cls):
        with pytest.warns(UserWarning, match=LONG):
            cls(2, max_iter=1000).fit(long_table())

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("n_features", [3, 4])
    @pytest.mark.parametrize(
        "draw",
        [
            lambda rng, shape: rng.normal(size=shape),
            lambda rng, shape: rng.integers(1, 6, shape),
            lambda rng, shape: rng.integers(0, 11, shape),
            lambda rng, shape: rng.integers(0, 256, shape),
            lambda rng, shape: rng.poisson(5, shape),
            lambda rng, shape: rng.poisson(50, shape),
            lambda rng, shape: rng.integers(
                [18, 1, 0, 0][: shape[1]], [80, 60, 5, 2][: shape[1]], shape
            ),
            lambda rng, shape: (
                np.column_stack([np.arange(shape[0])] * shape[1]) + rng.integers(0, 9, shape)
            ),
            lambda rng, shape: np.floor(rng.normal(170, 10, shape)),
        ],
    )
    def test_other_tables_are_not(self, draw, n_features, seed):
        rng = np.random.default_rng(seed)
        for n_samples in (20, 150, 1000):
            model(max_iter=5000).fit(draw(rng, (n_samples, n_features)).astype(float))

    def test_more_columns_are_not(self):
        model().fit(np.column_stack([long_table(), long_table()]))


class TestShortRows:
    def rows(self):
        X = low_rank(10, 20)
        X[2, 1:] = X[5, 2:] = np.nan
        return X

    def fitted(self, **parameters):
        return model(**{"n_components": 3, "alpha_W": 0.0} | parameters).fit(low_rank())

    @pytest.mark.parametrize("bias", [False, "features", "both"])
    def test_codes_are_told(self, bias):
        fitted = self.fitted(bias=bias)
        width = 3 + (bias == "both")
        told = rf"2 of 10 samples have {SHORT[:5]}.*coefficients \({width}\).*row 2 with 1.*alpha_W"
        with pytest.warns(UserWarning, match=told):
            fitted.transform(self.rows())
        with pytest.warns(UserWarning, match=SHORT):
            fitted.predict_entries(self.rows(), [0, 2], [0, 0])

    def test_of_sparse_rows_too(self):
        fitted = self.fitted().set_params(unstored="missing")
        with pytest.warns(UserWarning, match="2 of 10 samples have fewer"):
            fitted.transform(store_observed(self.rows()))

    def test_weights_of_zero_are_no_entries(self):
        weights = np.ones((10, 20))
        weights[4, 2:] = 0
        with pytest.warns(UserWarning, match="1 of 10 samples.*row 4 with 2"):
            self.fitted().transform(low_rank(10, 20), entry_weight=7 * weights)

    def test_of_what_is_fitted_too(self):
        with pytest.warns(UserWarning, match="2 of 40 samples have fewer.*row 2 with 1"):
            model(n_components=3, alpha_W=0, tol=1e-2).fit(np.vstack([self.rows(), low_rank()]))

    def test_not_under_a_penalty_nor_of_what_is_scored(self):
        self.fitted(alpha_W=0.1).transform(self.rows())
        self.fitted(positive=True).transform(self.rows())
        self.fitted().score(self.rows())
        self.fitted().transform(low_rank(10, 20))
        self.fitted().transform(sparse.csr_array(np.nan_to_num(self.rows())))


class TestASinglePenalty:
    @pytest.mark.parametrize(("alpha_W", "alpha_H"), [(0.1, 0), (0.0, 0.2)])
    @pytest.mark.parametrize("cls", [model, NMF, MiniBatchNMF])
    def test_it_is_told(self, cls, alpha_W, alpha_H):
        estimator = cls(n_components=2, alpha_W=alpha_W, alpha_H=alpha_H, tol=0.1)
        named = "alpha_H" if alpha_W else "alpha_W"
        with pytest.warns(UserWarning, match=f"{SINGLE} because {named}=0.*Use {named} > 0"):
            estimator.fit(np.abs(low_rank()))

    def test_it_is_told_of_what_is_chosen(self):
        with pytest.warns(UserWarning, match=f"{SINGLE} because alpha_W=0.*Use alpha_W > 0"):
            model(alpha_W="auto", alpha_H=0.1, tol=0.1).fit(low_rank())
        X = low_rank()
        X[0, 0] = np.nan
        with pytest.warns(UserWarning, match=f"{SINGLE} because alpha_H=0.*Use alpha_H > 0"):
            model(alpha_W="auto", alpha_H=0, tol=0.1).fit(X)
        model(alpha_W="auto", alpha_H=0.1, tol=0.1).fit(X)

    @pytest.mark.parametrize("alphas", [(0, 0), (0.1, "same"), (0.0, "same"), (0.1, 0.3)])
    def test_two_or_none_are_not(self, alphas):
        model(alpha_W=alphas[0], alpha_H=alphas[1]).fit(low_rank())

    def test_it_is_true(self):
        """The product of the factors is what it is without a penalty."""
        X = low_rank(noise=1.0)
        free = model(alpha_W=0.0, alpha_H=0.0, solver="svd").fit(X)
        with pytest.warns(UserWarning, match=SINGLE):
            single = model(alpha_W=1.0, alpha_H=0.0, solver="als", tol=1e-12).fit(X)
        of_both = model(alpha_W=1.0, alpha_H=1.0, solver="als").fit(X)
        product, expected, shrunk = (
            fitted.inverse_transform(fitted.transform(X)) for fitted in (single, free, of_both)
        )
        assert np.abs(product - expected).max() < 0.1 * np.abs(shrunk - expected).max()


class TestScores:
    @pytest.mark.parametrize("container", [np.asarray, store_observed])
    @pytest.mark.parametrize("parameters", [{}, {"bias": "both"}, {"loss": "huber"}])
    def test_one_row_has_none(self, parameters, container):
        fitted = model(unstored="missing", **parameters).fit(container(punch_holes(low_rank())))
        with pytest.warns(UndefinedMetricWarning, match=f"{NO_SCORE}.*Score more rows at once"):
            assert np.isnan(fitted.score(container(low_rank()[:1])))

    def test_rows_without_a_column_in_common_have_none(self):
        X = low_rank()[:4]
        X[np.arange(20) // 5 != np.arange(4)[:, None]] = np.nan
        with pytest.warns(UndefinedMetricWarning, match=NO_SCORE):
            assert np.isnan(model().fit(low_rank()).score(X))

    def test_two_rows_have_one(self):
        assert np.isfinite(model().fit(low_rank()).score(low_rank()[:2]))

    def test_zeros_that_are_not_stored_are_compared_with(self):
        X = sparse.csr_array(np.where(low_rank() > 1, low_rank(), 0))
        assert np.isfinite(model().fit(X).score(X[:2]))


SPLITTERS = [
    EntryKFold(3, random_state=0),
    EntryShuffleSplit(2, random_state=0),
    EntryTimeSeriesSplit(2),
]
GRID = {"n_components": [1, 2]}


class TestSplittersOfEntries:
    @pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: type(cv).__name__)
    @pytest.mark.parametrize(
        "call",
        [
            lambda X, cv: GridSearchCV(model(), GRID, cv=cv).fit(X),
            lambda X, cv: RandomizedSearchCV(model(), GRID, n_iter=1, cv=cv).fit(X),
            lambda X, cv: HalvingGridSearchCV(model(), GRID, cv=cv).fit(X, np.zeros(len(X))),
            lambda X, cv: cross_validate(model(), X, cv=cv),
            lambda X, cv: cross_validate(model(), X, cv=cv, return_indices=True),
            lambda X, cv: learning_curve(model(), X, None, cv=cv),
            lambda X, cv: validation_curve(
                model(), X, None, param_name="n_components", param_range=[1, 2], cv=cv
            ),
        ],
    )
    def test_tools_that_split_rows_refuse_them(self, call, cv):
        told = rf"cv={type(cv).__name__}\(\) splits observed entries.*EntryHoldout.*cross_val_entri"
        with pytest.raises(ValueError, match=told):
            call(low_rank(), cv)

    def test_other_tools_take_them(self):
        X, cv = punch_holes(low_rank()), EntryKFold(3, random_state=0)
        RankSearchCV(model(), [1, 2], cv=cv).fit(X)
        cross_val_entries(model(), X, cv=cv)
        rows = np.arange(len(X))
        GridSearchCV(
            EntryHoldout(model()), {"estimator__n_components": [1]}, cv=[(rows, rows)]
        ).fit(X)
        assert len(list(cv.split(X))) == 3


class TestPlacesOfValues:
    @pytest.mark.parametrize("cls", [NMF, MiniBatchNMF])
    @pytest.mark.parametrize("unstored", ["zero", "missing"])
    @pytest.mark.parametrize(
        "container", [np.asarray, sparse.csr_array, sparse.csc_matrix, pd.DataFrame]
    )
    def test_negative_ones(self, container, unstored, cls):
        X = np.abs(low_rank())
        X[7, 4] = -1.5
        if container is pd.DataFrame:
            X = pd.DataFrame(X, columns=[f"feature {j}" for j in range(20)])
        column = "'feature 4'" if container is pd.DataFrame else 4
        name = cls.__name__
        told = (
            rf"^Negative values in data passed to {name} \(input X\): row 7, column {column} has -1"
        )
        with pytest.raises(ValueError, match=told):
            cls(2, unstored=unstored).fit(X if container is pd.DataFrame else container(X))

    def test_negative_ones_that_do_not_count_are_passed_over(self):
        X, weights = np.abs(low_rank()), np.ones((30, 20))
        X[3, 3] = X[7, 4] = -1.5
        weights[3, 3] = 0
        with pytest.raises(ValueError, match=r"row 7, column 4 has -1\.5"):
            NMF(2).fit(X, entry_weight=weights)

    def test_negative_ones_of_multiplicative_updates(self):
        X = np.abs(low_rank())
        X[7, 4] = -1.5
        with pytest.raises(ValueError, match=r"passed to solver='mu'.*row 7, column 4 has -1.5"):
            model(solver="mu", positive=True).fit(X)

    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
    @pytest.mark.parametrize(
        ("loss", "value"), [("poisson", -1.0), ("logistic", 0.5), ("logistic", -1.0)]
    )
    def test_ones_that_a_loss_cannot_take(self, loss, value, container):
        X = np.eye(6)
        X[4, 2] = value
        with pytest.raises(ValueError, match=f"Column 2 of X: .*contains {value:g}"):
            model(loss=loss).fit(container(X))
        with pytest.raises(ValueError, match="Column 'c' of X: "):
            model(loss=loss).fit(pd.DataFrame(X, columns=list("abcdef")))


SOLVERS = {
    "als": "decrease of the objective",
    "gd": "decrease of the objective",
    "adam": "decrease of the objective",
    "lbfgs": "decrease of the objective",
    "sgd": "decrease of the objective",
    "cd": "projected gradient",
    "mu": "ten iterations",
}


class TestNotConverged:
    @pytest.mark.parametrize("solver", SOLVERS)
    def test_it_says_how_close(self, solver):
        estimator = model(solver=solver, positive=True, max_iter=13, tol=1e-12)
        told = (
            rf"{solver}.*max_iter=13.*{SOLVERS[solver]}.*tol=1e-12 "
            r"\(the last value was [-\d.e]+\)\. Incr"
        )
        with pytest.warns(ConvergenceWarning, match=told):
            estimator.fit(np.abs(low_rank(noise=1.0)))

    def test_the_number_is_the_last_decrease(self):
        with pytest.warns(ConvergenceWarning) as caught:
            fitted = model(solver="als", max_iter=4, tol=1e-12).fit(punch_holes(low_rank()))
        *_, before, last = fitted.loss_curve_
        assert f"the last value was {(before - last) / last:.2g}" in str(caught[0].message)

    def test_batches(self):
        with pytest.warns(
            ConvergenceWarning, match=r"change of H.*tol=1e-12 \(the last value was [\d.e-]+\)"
        ):
            MiniBatchNMF(2, batch_size=10, max_iter=2, tol=1e-12).fit(np.abs(low_rank()))

    def test_early_stopping(self):
        told = r"by [\d.e-]+ in the last 2 iterations, with tol=1e-12"
        with pytest.warns(ConvergenceWarning, match=told):
            model(early_stopping=True, max_iter=3, tol=1e-12, solver="als").fit(low_rank())
