"""What users get wrong: each message says what is wrong, where, and what to write instead."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_mf import NMF, FactorizationImputer, MatrixFactorization, RankSearchCV
from sklearn_mf.solvers import GradientDescent

COMPLETE = np.random.default_rng(0).random((12, 5)) + 0.1
FRAME = pd.DataFrame(COMPLETE, columns=["age", "income", "size", "height", "weight"])
FRAME.loc[2, "height"] = np.nan
TEXT = FRAME.astype(object)
TEXT.loc[3, "size"] = "large"


def changed(row, column, value):
    X = COMPLETE.copy()
    X[row, column] = value
    return X


def model(**parameters):
    return MatrixFactorization(
        **{"n_components": 2, "alpha_W": 0.1, "random_state": 0} | parameters
    )


def fitted():
    return model().fit(FRAME)


# What is done, and what the message says: what is wrong, where, and what to write.
MISTAKES = {
    "a column of strings": (
        lambda: model().fit(TEXT),
        ["'size'", "Row 3 of 'size' has 'large'", "ColumnTransformer"],
    ),
    "a column of strings for the imputer": (
        lambda: FactorizationImputer().fit(TEXT),
        ["'size'", "Row 3 of 'size' has 'large'", "ColumnTransformer"],
    ),
    "a long table": (
        lambda: model().fit(pd.DataFrame({"user": ["a"], "item": ["x"], "rating": [1.0]})),
        ["'user', 'item'", "pivot_entries"],
    ),
    "an array of strings": (
        lambda: model().fit(np.array([["1", "2"], ["3", "4"]])),
        ["dtype <U1", "astype(float)"],
    ),
    "dates": (
        lambda: model().fit(FRAME.assign(day=pd.Timestamp("2026-01-01"))),
        ["'day'", "days since the first one"],
    ),
    "rows of different length": (
        lambda: model().fit([[1.0, 2.0], [3.0, 4.0], [5.0]]),
        ["row 0 has 2 values, row 2 has 1", "Write NaN"],
    ),
    "a dict of columns": (
        lambda: model().fit({"a": [1, 2]}),
        ["got dict", "pandas.DataFrame"],
    ),
    "one dimension": (lambda: model().fit(COMPLETE[:, 0]), ["1D array", "reshape(-1, 1)"]),
    "infinity": (lambda: model().fit(changed(4, 1, np.inf)), ["inf in row 4, column 1"]),
    "infinity in a named column": (
        lambda: model().fit(FRAME.replace(FRAME.loc[5, "income"], np.inf)),
        ["inf in row 5, column 'income'"],
    ),
    "a misspelled solver": (
        lambda: model(solver="asl").fit(FRAME),
        ["'asl'", "Did you mean 'als'?"],
    ),
    "a misspelled loss": (
        lambda: model(loss="logistics").fit(FRAME),
        ["'logistics'", "Did you mean 'logistic'?"],
    ),
    "a misspelled bias": (
        lambda: model(bias="feature").fit(FRAME),
        ["'feature'", "Did you mean 'features'?"],
    ),
    "a misspelled column of a loss": (
        lambda: model(loss={"squared": ["incom"], "huber": ["age"]}).fit(FRAME),
        ["no column 'incom'", "Did you mean 'income'?"],
    ),
    "a class for a solver": (
        lambda: model(solver=GradientDescent).fit(FRAME),
        ["is a class", "pass an object, GradientDescent()"],
    ),
    "a whole float for a rank": (
        lambda: model(n_components=2.0).fit(FRAME),
        ["Got 2.0", "Write n_components=2."],
    ),
    "a string for a rank": (
        lambda: model(n_components="3").fit(FRAME),
        ["Got '3'", "Write n_components=3."],
    ),
    "a string for a penalty": (
        lambda: model(alpha_W="0.5").fit(FRAME),
        ["Got '0.5'", "Write alpha_W=0.5."],
    ),
    "a rank that is too large": (
        lambda: model(n_components=20).fit(FRAME),
        ["n_components=20", "at most min(n_samples, n_features)=5"],
    ),
    "ranks that are too large": (
        lambda: RankSearchCV(model(), [50]).fit(COMPLETE),
        ["got 50", "from 1 to min(n_samples, n_features)=5"],
    ),
    "missing values for the exact solver": (
        lambda: model(solver="svd", alpha_W=0).fit(FRAME),
        ["row 2, column 'height'", "Use solver='als'"],
    ),
    "negative values for NMF": (
        lambda: NMF(2).fit(changed(1, 2, -3)),
        ["row 1, column 2 has -3", "Use MatrixFactorization"],
    ),
    "measurements for a logistic loss": (
        lambda: model(loss="logistic").fit(COMPLETE),
        ["Column 0", "contains 0.736962", "Encode X as 0 and 1"],
    ),
    "nothing observed": (
        lambda: model().fit(np.full((4, 3), np.nan)),
        ["no observed entry", "all entries are missing"],
    ),
    "weights of entries the other way round": (
        lambda: model().fit(COMPLETE, entry_weight=np.ones((5, 12))),
        ["shape (5, 12), but X has shape (12, 5)", "Pass entry_weight.T"],
    ),
    "weights of samples for entries": (
        lambda: model().fit(COMPLETE, entry_weight=np.ones(12)),
        ["shape (12,), but X has shape (12, 5)", "Use sample_weight for weights of samples"],
    ),
    "weights of entries for samples": (
        lambda: model().fit(COMPLETE, sample_weight=np.ones((12, 5))),
        [
            "each of 12 samples, but sample_weight.shape is (12, 5)",
            "Weights of entries are entry_weight",
        ],
    ),
    "too few weights of samples": (
        lambda: model().fit(COMPLETE, sample_weight=np.ones(5)),
        ["one weight for each of 12 samples", "sample_weight.shape is (5,)"],
    ),
    "negative weights": (
        lambda: model().fit(COMPLETE, entry_weight=changed(0, 1, -1)),
        ["negative", "row 0, column 1", "use 0"],
    ),
    "zero as a mark in sparse data": (
        lambda: model(missing_values=0).fit(sparse.csr_array(COMPLETE)),
        ["missing_values=0", "X.toarray()", "unstored='missing'"],
    ),
    "columns in another order": (
        lambda: fitted().transform(FRAME[FRAME.columns[::-1]]),
        ["same order", "pass X[estimator.feature_names_in_]"],
    ),
    "a column with another name": (
        lambda: fitted().transform(FRAME.rename(columns={"age": "Age"})),
        ["- Age", "- age", "If 'Age' is 'age', rename it"],
    ),
    "columns that are not there": (
        lambda: fitted().transform(FRAME[["age", "size"]]),
        ["- income", "may be all NaN"],
    ),
    "too few columns": (
        lambda: model().fit(COMPLETE).transform(COMPLETE[:, :3]),
        ["X has 3 features, but MatrixFactorization is expecting 5"],
    ),
    "data for codes": (
        lambda: fitted().inverse_transform(COMPLETE),
        ["X has 5 columns", "have 2", "pass the result of transform"],
    ),
    "no fit": (lambda: model().transform(COMPLETE), ["not fitted yet", "Call 'fit'"]),
    "a step that is too large": (
        lambda: model(solver=GradientDescent(learning_rate=10.0)).fit(COMPLETE),
        ["diverged in iteration", "Lower learning_rate (now 10.0)"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_an_answer(mistake):
    do, phrases = MISTAKES[mistake]
    with pytest.raises((ValueError, TypeError, NotFittedError)) as caught:
        do()
    for phrase in phrases:
        assert phrase in str(caught.value)
