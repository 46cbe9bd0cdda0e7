"""A file whose components are no numbers is refused when it is loaded, not when it predicts."""

import numpy as np
import pytest

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    RankSearchCV,
    load_model,
    save_model,
)

X = np.random.default_rng(0).random((12, 6))
MODELS = [
    MatrixFactorization(2, bias="both"),
    NMF(2),
    ImplicitFactorization(2),
    FactorizationImputer(MatrixFactorization(2)),
    RankSearchCV(MatrixFactorization(2), [1, 2]),
]


def fitted_part(model):
    """Whose components they are."""
    for name in ("best_estimator_", "estimator_"):
        if hasattr(model, name):
            return getattr(model, name)
    return model


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["components_", "feature_bias_"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_factors_that_are_not_finite_are_refused(model, name, wrong, tmp_path):
    path = tmp_path / "model.npz"
    part = fitted_part(model.fit(X))
    if not hasattr(part, name):
        pytest.skip("It has none.")
    save_model(model, path)
    load_model(path)
    damaged = getattr(part, name).copy()
    damaged.flat[0] = wrong
    setattr(part, name, damaged)
    save_model(model, path)
    with pytest.raises(ValueError, match=rf"{type(part).__name__}\.{name} contains values.*NaN"):
        load_model(path)
