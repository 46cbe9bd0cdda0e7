"""Typical uses, for the type checker alone: `mypy` must accept them and know what they return."""

from typing import Any, assert_type

import numpy as np
from scipy.sparse import csr_array
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    load_model,
    non_negative_factorization,
    save_model,
)
from sklearn_mf.losses import Huber
from sklearn_mf.metrics import ranking_report
from sklearn_mf.model_selection import cross_val_entries, select_rank
from sklearn_mf.penalties import Smoothness
from sklearn_mf.recommending import feature_vectors
from sklearn_mf.solvers import ALS, Adam

X = np.ones((4, 3))
interactions = csr_array(X)

model = MatrixFactorization(2, bias="both", loss=Huber(), solver=Adam(), random_state=0)
assert_type(model.fit(X), MatrixFactorization)
assert_type(model.partial_fit(X, sample_weight=[1, 2, 1, 1]), MatrixFactorization)
assert_type(model.fit_transform(X, entry_weight=interactions), np.ndarray)
assert_type(model.inverse_transform(model.transform(X)), np.ndarray)
assert_type(model.score(X), float)
assert_type(model.components_, np.ndarray)
assert_type(model.loss_curve_, list[float])
assert_type(model.n_iter_, int)
MatrixFactorization("auto", penalty=Smoothness(0.1), alpha_W=0.1, solver=ALS(inner="cg"))
make_pipeline(StandardScaler(), NMF(2, missing_values=-1))

assert_type(NMF(2, solver="mu", beta_loss="kullback-leibler").fit(interactions), NMF)
assert_type(MiniBatchNMF(2, batch_size=10).partial_fit(X), MiniBatchNMF)
assert_type(non_negative_factorization(X), tuple[np.ndarray, np.ndarray, int])

recommender = ImplicitFactorization(8, confidence=np.sqrt, unobserved_weight=0.05)
assert_type(recommender.fit(interactions), ImplicitFactorization)
items, scores = recommender.recommend(interactions, n=2)
for rows, _batch, _scores in recommender.iter_recommend(interactions):
    assert_type(rows, np.ndarray)

FactorizationImputer(model, min_value={"age": 0}).fit(X).transform(X)
RankSearchCV(model, [1, 2]).fit(X)
save_model(model, "model.npz")
load_model("model.npz")
report = ranking_report(interactions, items, k=[1, 2])
assert_type(report, dict[str, float])
assert_type(select_rank(X), int)
assert_type(feature_vectors(recommender), np.ndarray)
assert_type(cross_val_entries(model, X, metric="r2")["test_score"], Any)
