"""Weights of samples that are passed by place become y, which is not used: a warning says so."""

import numpy as np
import pytest
from conftest import low_rank
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF

WEIGHT = np.linspace(0.5, 2, 30)
MODELS = [
    MatrixFactorization(2, random_state=0),
    NMF(2, tol=0.1, random_state=0),
    MiniBatchNMF(2, tol=0, max_no_improvement=None, max_iter=5, random_state=0),
]


def data():
    return np.abs(low_rank(30, 6))


@pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:.*Maximum number")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_weights_as_y_are_warned_of(method, model):
    with pytest.warns(UserWarning, match="y is not used.*sample_weight") as caught:
        getattr(model, method)(data(), WEIGHT)
    assert caught[0].filename == __file__
    getattr(model, method)(data(), sample_weight=WEIGHT)
    getattr(model, method)(data(), WEIGHT, sample_weight=WEIGHT)
    for y in (None, np.arange(30), np.arange(30.0), -WEIGHT, ["a", "b"] * 15):
        getattr(model, method)(data(), y)


def test_targets_of_pipelines_and_searches_are_none():
    pipeline = make_pipeline(MatrixFactorization(2, random_state=0), Ridge())
    pipeline.fit(data(), WEIGHT)
    GridSearchCV(pipeline, {"ridge__alpha": [1, 2]}, cv=2).fit(data(), WEIGHT)
    GridSearchCV(MatrixFactorization(), {"n_components": [1, 2]}, cv=2).fit(data(), WEIGHT)
