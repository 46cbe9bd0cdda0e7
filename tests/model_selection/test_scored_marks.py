"""Entries are hidden as the estimator marks what is missing, and marks are never scored."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import above_kernels, low_rank, punch_holes
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_mf import NMF, FactorizationImputer, MatrixFactorization, RankSearchCV
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryTimeSeriesSplit,
    MaskedEntryScorer,
    cross_val_entries,
    hide_entries,
    observed_entries,
    train_test_entry_split,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.filterwarnings("ignore:.*did not converge"),
]
MARKS = [-1, -999.9, 0]


def holed(dtype=np.float64):
    """Positive integers, for integer containers, with NaN for a fifth."""
    X = np.round(20 * np.abs(low_rank(40, 8, rank=2, seed=0))) + 1
    return punch_holes(X, share=0.2).astype(dtype)


def marked(mark, X=None):
    X = holed() if X is None else X
    return np.where(np.isnan(X), X.dtype.type(mark), X)


def factorization(mark=np.nan, **parameters):
    return MatrixFactorization(2, alpha_W=0.1, missing_values=mark, random_state=0, **parameters)


MODELS = {
    "factorization": factorization,
    "nmf": lambda mark=np.nan: NMF(2, tol=0.1, missing_values=mark, random_state=0),
    "imputer": lambda mark=np.nan: FactorizationImputer(
        MatrixFactorization(2, alpha_W=0.1, random_state=0), missing_values=mark
    ),
    "simple imputer": lambda mark=np.nan: SimpleImputer(missing_values=mark),
    "neighbours": lambda mark=np.nan: KNNImputer(missing_values=mark),
    "pipeline of one": lambda mark=np.nan: make_pipeline("passthrough", factorization(mark)),
    "imputer first": lambda mark=np.nan: make_pipeline(
        SimpleImputer(missing_values=mark), StandardScaler(), MatrixFactorization(2)
    ),
    "columns": lambda mark=np.nan: ColumnTransformer(
        [
            ("a", SimpleImputer(missing_values=mark), slice(0, 4)),
            ("b", SimpleImputer(missing_values=mark, strategy="median"), slice(4, 8)),
        ]
    ),
}
JUDGES = {
    "cross_val_entries": lambda model, X: cross_val_entries(model, X, cv=3)["test_score"],
    "folds": lambda model, X: cross_val_entries(
        model, X, cv=EntryKFold(2, random_state=1), metric="mae"
    )["test_score"],
    "MaskedEntryScorer": lambda model, X: MaskedEntryScorer()(model.fit(X), X),
    "EntryHoldout": lambda model, X: EntryHoldout(model).fit(X).score(X),
    "GridSearchCV": lambda model, X: (
        GridSearchCV(model, {}, scoring=MaskedEntryScorer(), cv=2).fit(X).best_score_
    ),
    "holdouts searched": lambda model, X: (
        GridSearchCV(EntryHoldout(model), {}, cv=[(np.arange(40), np.arange(40))])
        .fit(X)
        .best_score_
    ),
}


@above_kernels
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    ("model", "mark"),
    [*((model, -1) for model in MODELS), ("factorization", -999.9), ("neighbours", 0)],
)
def test_scores_do_not_depend_on_the_mark(model, mark, judge):
    expected = JUDGES[judge](MODELS[model](), holed())
    found = JUDGES[judge](MODELS[model](mark), marked(mark))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def of_integers(X):
    return np.asarray(X, dtype=np.int64)


CONTAINERS = {
    "integers": of_integers,
    "float32": lambda X: X.astype(np.float32),
    "pandas": pd.DataFrame,
    "pandas of bytes": lambda X: pd.DataFrame(X.astype(np.int16)),
    "polars": lambda X: pl.DataFrame(of_integers(X)),
    "arrow": lambda X: pa.table({f"c{j}": column for j, column in enumerate(of_integers(X).T)}),
    "masked": lambda X: np.ma.array(np.abs(X), mask=X == -1),
    "lists": lambda X: X.tolist(),
}


@above_kernels
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("judge", JUDGES)
def test_marks_in_every_container(judge, container):
    X = CONTAINERS[container](marked(-1))
    if container == "lists" and judge in ("GridSearchCV", "holdouts searched"):
        pytest.skip("scikit-learn splits lists into lists")
    if container == "arrow" and judge in ("GridSearchCV", "holdouts searched"):
        pytest.skip("scikit-learn does not take rows of tables of Arrow")
    found = JUDGES[judge](factorization(-1), X)
    np.testing.assert_allclose(found, JUDGES[judge](factorization(), holed()), rtol=1e-3)


@pytest.mark.parametrize("judge", JUDGES)
def test_stored_marks_of_ratings(judge):
    X = sparse.csr_array(np.nan_to_num(holed()))
    expected = JUDGES[judge](factorization(unstored="missing"), X)
    rng = np.random.default_rng(0)
    more = np.where((X.toarray() == 0) & (rng.random(X.shape) < 0.5), -1, X.toarray())
    found = JUDGES[judge](factorization(-1, unstored="missing"), sparse.csr_array(more))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("mark", MARKS)
def test_searches_of_ranks_do_not_depend_on_the_mark(mark):
    found, expected = (
        RankSearchCV(factorization(m), [1, 2, 3], cv=3, random_state=0).fit(X)
        for m, X in ((mark, marked(mark)), (np.nan, holed()))
    )
    assert found.best_rank_ == expected.best_rank_
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-9
    )
    codes = found.transform(marked(mark))
    np.testing.assert_allclose(codes, expected.transform(holed()), rtol=1e-9)
    outer = EntryHoldout(RankSearchCV(factorization(mark), [1, 2], cv=3, random_state=0))
    inner = EntryHoldout(RankSearchCV(factorization(), [1, 2], cv=3, random_state=0))
    found, expected = outer.fit(marked(mark)).score(marked(mark)), inner.fit(holed()).score(holed())
    assert found == pytest.approx(expected)


def test_the_score_is_that_of_the_hidden_entries_alone():
    X, model = marked(-1), SimpleImputer(missing_values=-1)
    [(train, test)] = list(EntryKFold(2, random_state=0).split(holed()))[:1]
    rows, columns, values = observed_entries(X, missing_values=-1)
    assert (values > 0).all()
    assert len(values) == np.sum(X != -1)
    visible = np.full(X.shape, np.nan)
    visible[rows[train], columns[train]] = values[train]
    predicted = np.nanmean(visible, axis=0)[columns[test]]
    [found] = cross_val_entries(model, X, cv=[(train, test)], metric=r2_score)["test_score"]
    assert found == pytest.approx(r2_score(values[test], predicted))


@pytest.mark.filterwarnings("ignore:.* have no observed entry")
def test_times_of_entries_beside_marks():
    times = np.random.default_rng(0).permutation(40 * 8).reshape(40, 8)
    cv = EntryTimeSeriesSplit(2)
    found = cross_val_entries(factorization(-1), marked(-1), cv=cv, groups=times)["test_score"]
    expected = cross_val_entries(factorization(), holed(), cv=cv, groups=times)["test_score"]
    np.testing.assert_allclose(found, expected)


def refused():
    scaled = make_pipeline(StandardScaler(), factorization(-1))
    return {
        "step": (scaled, r"step 'matrixfactorization' has missing_values=-1: .*'standardscaler'"),
        "beside": (
            FeatureUnion(
                [("a", SimpleImputer(missing_values=-1)), ("b", SimpleImputer(missing_values=-2))]
            ),
            r"FeatureUnion, whose estimators have different missing_values: \[-1, -2\]",
        ),
        "text": (SimpleImputer(missing_values="?"), r"missing_values='\?', which is not a number"),
        "inner": (
            make_pipeline(FunctionTransformer(), make_pipeline(SimpleImputer(missing_values=-1))),
            "step 'pipeline' has missing_values=-1",
        ),
    }


@pytest.mark.parametrize("case", refused())
@pytest.mark.parametrize("judge", ["cross_val_entries", "EntryHoldout"])
def test_marks_that_cannot_be_known_are_refused(judge, case):
    model, message = refused()[case]
    with pytest.raises(ValueError, match=message):
        JUDGES[judge](model, marked(-1))


@pytest.mark.parametrize("judge", sorted(set(JUDGES) - {"GridSearchCV", "holdouts searched"}))
def test_NaN_beside_marks_is_refused(judge):
    X = marked(-1)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN in row \d+, column 2\. missing_values=-1"):
        JUDGES[judge](factorization(-1), X)


def test_NaN_beside_marks_is_refused_by_a_search_of_ranks():
    X = marked(-1)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN in row 3, column 2\. missing_values=-1"):
        RankSearchCV(factorization(-1), [1, 2]).fit(X)


@pytest.mark.parametrize("container", sorted(set(CONTAINERS) - {"masked"}))
@pytest.mark.parametrize("mark", [-1, -1.5, -(2**40)])
def test_hidden_entries_have_the_mark_in_every_container(container, mark):
    X = CONTAINERS[container](np.nan_to_num(holed(), nan=3))
    [(train, test), *_] = EntryKFold(3, random_state=0).split(X)
    visible = np.asarray(hide_entries(X, test, missing_values=mark), dtype=np.float64)
    rows, columns, _ = observed_entries(X)
    assert (visible[rows[test], columns[test]] == mark).all()
    assert (visible[rows[train], columns[train]] > 0).all()


def test_both_parts_of_a_split_are_marked():
    X_train, X_test = train_test_entry_split(marked(-1), random_state=0, missing_values=-1)
    expected = train_test_entry_split(holed(), random_state=0)
    np.testing.assert_array_equal(X_train, marked(-1, expected[0]))
    np.testing.assert_array_equal(X_test, marked(-1, expected[1]))


@pytest.mark.parametrize("n_components", [2, 0.9])
@pytest.mark.parametrize("mark", MARKS)
def test_marks_are_missing_to_what_needs_complete_data(mark, n_components):
    model = factorization(mark).set_params(
        n_components=n_components, solver="svd", alpha_W=0.0, bias="features"
    )
    X = pd.DataFrame(np.nan_to_num(holed(), nan=3.0), columns=list("abcdefgh"))
    X.iloc[4, 3] = mark
    message = rf"X contains missing_values={mark} in row 4, column 'd', but (solver|n_comp)"
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    X.iloc[4, 3] = 5.0
    with pytest.warns(UserWarning, match="does not occur"):
        model.fit(X)
    X.iloc[4, 3] = mark
    with pytest.raises(ValueError, match=message):
        model.transform(X)
