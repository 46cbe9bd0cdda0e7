"""Malformed sparse matrices in the methods that `test_malformed_sparse` does not call."""

import inspect

import numpy as np
import pytest
from conftest import above_kernels
from sklearn.model_selection import KFold
from test_malformed_sparse import (
    METHODS,
    SOME,
    drained,
    fitted,
    positive,
    quick,
    sound,
    spoiled,
    values,
)

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    select_rank,
)
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryTimeSeriesSplit,
    cross_val_entries,
    hide_entries,
    observed_entries,
    train_test_entry_split,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def search(**parameters):
    return RankSearchCV(quick(), [1, 2], **{"cv": 2} | parameters)


def of_counts():
    return RankSearchCV(quick(unstored="zero"), [1, 2], cv=2)


def batches():
    return positive(MiniBatchNMF).fit(sound("csr"))


def imputer(**parameters):
    return FactorizationImputer(quick(unstored="zero"), **parameters).fit(with_holes())


def with_holes():
    X = values()
    X[0, 0] = X[3, 4] = np.nan
    return X


def holdout():
    return EntryHoldout(quick()).fit(sound("csr"))


OTHERS = {
    "RankSearchCV.score": ("X", lambda X: search().fit(sound("csr")).score(X)),
    "RankSearchCV.predict_entries": (
        "X",
        lambda X: search().fit(sound("csr")).predict_entries(X, [0], [0]),
    ),
    "RankSearchCV.inverse_transform": (
        "X",
        lambda X: search().fit(sound("csr")).inverse_transform(X),
    ),
    "RankSearchCV.transform, weights": (
        "entry_weight",
        lambda X: search().fit(sound("csr")).transform(sound("csr"), entry_weight=X),
    ),
    "RankSearchCV.score, weights": (
        "entry_weight",
        lambda X: search().fit(sound("csr")).score(sound("csr"), entry_weight=X),
    ),
    "RankSearchCV, sample_weight": (
        "sample_weight",
        lambda X: search().fit(sound("csr"), sample_weight=X),
    ),
    "RankSearchCV, times": (
        "groups",
        lambda X: search(cv=EntryTimeSeriesSplit(2)).fit(sound("csr"), groups=X),
    ),
    "RankSearchCV of zeros, weights": (
        "entry_weight",
        lambda X: of_counts().fit(sound("csr"), entry_weight=X),
    ),
    "RankSearchCV of zeros, rows": (
        "X",
        lambda X: of_counts().set_params(cv=KFold(2)).fit(X),
    ),
    "fit of zeros, auto": ("X", lambda X: quick(n_components="auto", unstored="zero").fit(X)),
    "score of zeros": ("X", lambda X: fitted(quick(unstored="zero")).score(X)),
    "EntryHoldout.predict_entries": ("X", lambda X: holdout().predict_entries(X, [0], [0])),
    "EntryHoldout.inverse_transform": ("X", lambda X: holdout().inverse_transform(X)),
    "imputer.transform": ("X", lambda X: imputer().transform(X)),
    "imputer.score": ("X", lambda X: imputer().score(X)),
    "imputer.inverse_transform": (
        "X",
        lambda X: imputer(add_indicator=True).inverse_transform(X),
    ),
    "NMF.score": ("X", lambda X: fitted(positive()).score(X)),
    "NMF.inverse_transform": ("X", lambda X: fitted(positive()).inverse_transform(X)),
    "NMF.predict_entries": ("X", lambda X: fitted(positive()).predict_entries(X, [0], [0])),
    "NMF.transform, weights": (
        "entry_weight",
        lambda X: fitted(positive()).transform(sound("csr"), entry_weight=X),
    ),
    "MiniBatchNMF.transform": ("X", lambda X: batches().transform(X)),
    "MiniBatchNMF.score": ("X", lambda X: batches().score(X)),
    "MiniBatchNMF, second partial_fit": ("X", lambda X: batches().partial_fit(X)),
    "MiniBatchNMF.inverse_transform": ("X", lambda X: batches().inverse_transform(X)),
    "select_rank": ("X", lambda X: select_rank(X)),
    "observed_entries, marks": ("X", lambda X: observed_entries(X, missing_values=-1)),
    "hide_entries, marks": ("X", lambda X: hide_entries(X, [0], missing_values=-1)),
    "split, marks": ("X", lambda X: train_test_entry_split(X, missing_values=-1)),
    "cross_val_entries, marks": (
        "X",
        lambda X: cross_val_entries(quick(missing_values=-1), X, cv=2),
    ),
    "EntryHoldout, marks": ("X", lambda X: EntryHoldout(quick(missing_values=-1)).fit(X)),
    "times of splits": (
        "groups",
        lambda X: drained(EntryTimeSeriesSplit(2).split(values(), groups=X)),
    ),
}


@above_kernels
@pytest.mark.parametrize("method", OTHERS)
def test_every_other_method_refuses_malformed_matrices_by_name(method):
    name, call = OTHERS[method]
    for form, spoil in SOME:
        with pytest.raises(ValueError, match=f"{name}.* is malformed"):
            call(spoiled(form, "array", spoil))


def test_three_hundred_corruptions_are_tried():
    assert len(SOME) * (len(METHODS) + len(OTHERS)) >= 300


@pytest.mark.parametrize(
    "cls",
    [MatrixFactorization, NMF, MiniBatchNMF, FactorizationImputer, RankSearchCV, EntryHoldout],
)
def test_no_public_method_that_takes_X_is_left_out(cls):
    """A new one is to be tried here, too: by its name, or as one that all estimators share."""
    tried = " ".join([*METHODS, *OTHERS])
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_") and "X" in inspect.signature(method).parameters:
            assert name in tried or name == "fit_transform", (cls, name)
