"""No number that nobody wrote: results are the same whatever new arrays hold."""

import numpy as np
import pytest
from conftest import fit_for, low_rank, punch_holes, store_observed

from sklearn_mf import NMF, FactorizationImputer, MatrixFactorization
from sklearn_mf.observations import StoredObservations, observe

LOSSES = ["huber", "logistic", "absolute", "poisson", "squared"]


@pytest.fixture
def poison(monkeypatch):
    """Fill every array that NumPy makes for others to fill."""

    def begin():
        for name in ("empty", "empty_like"):
            original = getattr(np, name)

            def poisoned(*args, original=original, **kwargs):
                array = original(*args, **kwargs)
                if array.dtype.kind in "fiu":
                    array.fill(111)
                return array

            monkeypatch.setattr(np, name, poisoned)

    return begin


def with_empty_lines(loss):
    """Data without an entry in the leading, some middle and the last features and samples."""
    X = fit_for(loss, punch_holes(low_rank(40, 12, 2), 0.3))
    X[:, [0, 1, 5, 11]] = np.nan
    X[[0, 1, 2, 17, 39]] = np.nan
    return X


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("solver", ["als", "lbfgs"])
@pytest.mark.parametrize("loss", LOSSES)
def test_features_without_an_entry_have_no_components(loss, solver, poison):
    if loss == "poisson" and solver == "als":
        pytest.skip("its bound is not quadratic")
    X = store_observed(with_empty_lines(loss))
    model = MatrixFactorization(
        2, loss=loss, solver=solver, bias="features", unstored="missing", random_state=0, max_iter=9
    )
    first = model.fit(X).components_, model.feature_bias_, model.transform(X)
    poison()
    second = model.fit(X).components_, model.feature_bias_, model.transform(X)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    if solver == "als":
        np.testing.assert_array_equal(model.components_[:, [0, 1, 5, 11]], 0)
    assert np.isfinite(model.components_).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dense", [False, True])
def test_batches_may_lack_leading_features(loss, dense, poison):
    X = with_empty_lines(loss)
    container = np.asarray if dense else store_observed

    def streamed():
        model = MatrixFactorization(
            2, loss=loss, bias="both", unstored="zero" if dense else "missing", random_state=0
        )
        for first in range(0, 40, 10):
            model.partial_fit(container(X[first : first + 10]))
        return model

    first = streamed().components_
    poison()
    np.testing.assert_array_equal(streamed().components_, first)
    assert np.isfinite(first).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "model", [NMF(2), FactorizationImputer(), MatrixFactorization(2, alpha_W=0, alpha_H=0)]
)
@pytest.mark.parametrize("sparse", [False, True])
def test_new_arrays_are_filled(model, sparse, poison):
    X = np.abs(punch_holes(low_rank(40, 12, 2), 0.3))
    if sparse and isinstance(model, FactorizationImputer):
        return
    if sparse:
        model.set_params(unstored="missing")
        X = store_observed(X)
    model.set_params(random_state=0)
    first = model.fit_transform(X)
    poison()
    np.testing.assert_array_equal(model.fit_transform(X), first)


@pytest.mark.parametrize("n_entries", [0, 1, 7, 40])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_hold_every_row_once(n_entries, size):
    rng = np.random.default_rng(n_entries)
    for _ in range(50):
        X = np.full((9, 6), np.nan)
        X.ravel()[rng.permutation(54)[:n_entries]] = 1.0
        X[: rng.integers(9)] = np.nan
        view = observe(store_observed(X), unstored="missing")
        assert isinstance(view, StoredObservations)
        blocks = list(view.blocks(size))
        covered = np.concatenate([np.arange(9)[rows] for rows, _ in blocks])
        np.testing.assert_array_equal(covered, np.arange(9))
        assert sum(block.n_observed for _, block in blocks) == view.n_observed
        assert [block.shape[0] for _, block in blocks] == [r.stop - r.start for r, _ in blocks]
