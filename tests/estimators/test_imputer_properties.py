"""What holds of every imputation, whatever the parameters and the container."""

import numpy as np
import pytest
from conftest import low_rank, punch_holes
from scipy import sparse

from sklearn_mf import FactorizationImputer, MatrixFactorization

NAMES = ["a", "b", "c", "d", "e"]


def table(rng):
    """A table with holes, some columns of which are empty, constant, whole or zero and one."""
    X = punch_holes(low_rank(int(rng.integers(8, 30)), 5, 2, 0.3), 0.25, int(rng.integers(1e6)))
    for j, kind in enumerate(rng.choice(["real", "whole", "flag", "constant", "empty"], 5)):
        seen = ~np.isnan(X[:, j])
        if kind == "whole":
            X[:, j] = np.rint(3 * X[:, j])
        elif kind == "flag":
            X[seen, j] = X[seen, j] > 0
        elif kind == "constant":
            X[seen, j] = 4.0
        elif kind == "empty" and j > 0:
            X[:, j] = np.nan
    return X


def containers():
    yield np.array, np.asarray
    yield sparse.csr_array, lambda X: X.toarray()
    for make in ("pandas", "polars"):
        module = pytest.importorskip(make)
        options = {"columns": NAMES} if make == "pandas" else {"schema": NAMES}
        yield (
            lambda X, module=module, options=options: module.DataFrame(X, **options),
            lambda X: X.to_numpy() if hasattr(X, "to_numpy") else X,
        )


def parameters(rng, X):
    """Parameters, limits among them that the data have room for."""
    least, most = np.fmin.reduce(X), np.fmax.reduce(X)
    whole = [j for j in range(5) if (X[:, j] == np.rint(X[:, j]))[~np.isnan(X[:, j])].all()]
    drawn = {
        "estimator": [None, None, MatrixFactorization(1, alpha_W=0.1, random_state=0)],
        "add_indicator": [False, True],
        "keep_empty_features": [False, True],
        "sample_posterior": [False, True],
        "min_value": [None, -1e6, least, {0: least[0], 2: None}],
        "max_value": [None, 1e6, most, {-1: most[-1], 0: most[0]}],
        "round_features": [None, whole],
    }
    return {name: values[rng.integers(len(values))] for name, values in drawn.items()}, least, most


@pytest.mark.filterwarnings("ignore:Features without any observed value")
@pytest.mark.filterwarnings("ignore:1 of .* samples have no observed entry")
@pytest.mark.parametrize("seed", range(10))
def test_imputation(seed):
    rng = np.random.default_rng(seed)
    X = table(rng)
    chosen, least, most = parameters(rng, X)
    seen = ~np.isnan(X).all(axis=0)
    kept = seen | chosen["keep_empty_features"]
    missing = np.isnan(X)[:, kept]
    results = []
    for convert, back in containers():
        given = convert(X)
        before = given.copy() if hasattr(given, "copy") else given.clone()
        fitted = FactorizationImputer(random_state=seed, **chosen)
        returned = fitted.fit_transform(given)
        np.testing.assert_array_equal(back(given), back(before))
        assert sparse.issparse(returned) == sparse.issparse(given)
        assert list(fitted.get_feature_names_out()[: kept.sum()]) == [
            name
            for name, is_kept in zip(
                getattr(fitted, "feature_names_in_", [f"x{j}" for j in range(5)]), kept, strict=True
            )
            if is_kept
        ]
        if chosen["add_indicator"]:
            np.testing.assert_array_equal(back(fitted.inverse_transform(returned)), X)
        results.append(returned.toarray() if sparse.issparse(returned) else returned)
    filled = results[0][:, : kept.sum()]
    np.testing.assert_array_equal(filled[~missing], X[:, kept][~missing])
    assert np.isfinite(filled).all()
    assert (filled[:, ~seen[kept]] == 0).all()
    for j, place in zip(np.flatnonzero(seen), np.flatnonzero(seen[kept]), strict=True):
        new = filled[missing[:, place], place]
        if chosen["round_features"] is not None and j in chosen["round_features"]:
            assert (new == np.rint(new)).all()
        if chosen["min_value"] is least:
            assert (new >= least[j]).all()
        if chosen["max_value"] is most:
            assert (new <= most[j]).all()
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6, atol=1e-6)
