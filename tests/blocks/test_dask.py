"""Collections of Dask as X, against the same data in memory."""

import warnings

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import NMF, MatrixFactorization

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")


def table(kind="dense", dtype=np.float64, n=120, m=20, k=3):
    rng = np.random.default_rng(0)
    full = rng.normal(size=(n, k)) @ rng.normal(size=(k, m)) + 0.3 * rng.normal(size=(n, m)) + 1
    mask = rng.random((n, m)) < 0.6
    if kind == "dense":
        return np.where(mask, full, np.nan).astype(dtype)
    return sparse.csr_array((full[mask].astype(dtype), np.nonzero(mask)), shape=full.shape)


def chunked(X, rows=25):
    if not sparse.issparse(X):
        return da.from_array(X, chunks=(rows, -1))
    parts = [X[start : start + rows] for start in range(0, X.shape[0], rows)]
    meta = sparse.csr_array((0, 0), dtype=X.dtype)
    return da.concatenate(
        [
            da.from_delayed(dask.delayed(part), shape=part.shape, dtype=part.dtype, meta=meta)
            for part in parts
        ]
    )


def model(kind="dense", **params):
    unstored = "missing" if kind == "stored" else "zero"
    defaults = {"alpha_W": 0.05, "solver": "als", "random_state": 0, "unstored": unstored}
    return MatrixFactorization(3, **defaults | params)


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("params", [{}, {"bias": "both"}, {"positive": True}], ids=str)
@pytest.mark.parametrize("kind", ["dense", "stored"])
def test_a_fit_to_chunks_is_the_fit_in_memory(kind, params, persisted):
    X = table(kind)
    D = chunked(X).persist() if persisted else chunked(X)
    memory, chunks = model(kind, **params).fit(X), model(kind, **params).fit(D)
    np.testing.assert_allclose(chunks.loss_curve_, memory.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(chunks.components_, memory.components_, rtol=1e-9, atol=1e-10)
    assert isinstance(chunks.components_, np.ndarray)
    np.testing.assert_allclose(chunks.score(D), memory.score(X), rtol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "stored"])
def test_what_comes_out_is_lazy_and_in_the_same_chunks(kind):
    X = table(kind)
    D, fitted = chunked(X), model(kind, bias="both").fit(X)
    W = fitted.transform(D)
    assert isinstance(W, da.Array)
    assert W.chunks == (D.chunks[0], (4,))
    assert W.dtype == np.float64
    expected = fitted.transform(X)
    np.testing.assert_allclose(W.compute(), expected, rtol=1e-12, atol=1e-13)
    back = fitted.inverse_transform(W)
    assert back.chunks == (D.chunks[0], (20,))
    np.testing.assert_allclose(back.compute(), fitted.inverse_transform(expected), rtol=1e-11)
    codes = model(kind, bias="both").fit_transform(D)
    assert codes.chunks == W.chunks
    np.testing.assert_allclose(codes.compute(), expected, rtol=1e-7, atol=1e-8)


def test_weights_lie_in_the_same_chunks():
    X, rng = table(), np.random.default_rng(1)
    E, s = rng.random(X.shape), rng.random(len(X))
    memory = model(bias="both").fit(X, sample_weight=s, entry_weight=E)
    D, weights = chunked(X), chunked(E)
    found = model(bias="both").fit(D, sample_weight=s, entry_weight=weights)
    np.testing.assert_allclose(found.components_, memory.components_, rtol=1e-9, atol=1e-10)
    codes = found.transform(D, entry_weight=weights).compute()
    np.testing.assert_allclose(codes, memory.transform(X, entry_weight=E), rtol=1e-8, atol=1e-9)
    lazy = da.from_array(s, chunks=25)
    again = model(bias="both").fit(D, sample_weight=lazy, entry_weight=weights)
    np.testing.assert_array_equal(again.components_, found.components_)


def test_dataframes_keep_their_names():
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(table(), columns=[f"c{j}" for j in range(20)])
    memory, found = model().fit(frame), model().fit(dd.from_pandas(frame, npartitions=4))
    assert found.feature_names_in_.tolist() == frame.columns.tolist()
    np.testing.assert_allclose(found.components_, memory.components_, rtol=1e-9, atol=1e-10)
    codes = found.transform(dd.from_pandas(frame, npartitions=3)).compute()
    np.testing.assert_allclose(codes, memory.transform(frame), rtol=1e-8, atol=1e-9)
    other = dd.from_pandas(frame.rename(columns={"c0": "z"}), npartitions=2)
    with pytest.raises(ValueError, match="feature names should match"):
        found.transform(other)


def test_the_scheduler_does_not_change_a_bit():
    D = chunked(table("stored"), rows=10)
    found = []
    for settings in ({"scheduler": "synchronous"}, {"scheduler": "threads", "num_workers": 3}):
        with dask.config.set(settings):
            found.append(model("stored", bias="both").fit(D).components_)
    np.testing.assert_array_equal(*found)


class TestRefusals:
    def test_columns_in_chunks(self):
        D = da.from_array(table(), chunks=(30, 7))
        with pytest.raises(ValueError, match=r"X\.rechunk\(\{1: -1\}\)"):
            model().fit(D)
        with pytest.raises(ValueError, match=r"X\.rechunk\(\{1: -1\}\)"):
            model().fit(table()).transform(D)

    def test_unknown_chunks(self):
        D = chunked(table())
        D = D[D[:, 0] != 17]
        with pytest.raises(ValueError, match=r"X\.compute_chunk_sizes\(\)"):
            model().fit(D)
        D.compute_chunk_sizes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model().fit(D)

    def test_another_number_of_columns(self):
        with pytest.raises(ValueError, match="20 features"):
            model().fit(table()).transform(chunked(table())[:, :9])

    def test_weights_in_other_chunks(self):
        X = table()
        with pytest.raises(ValueError, match="the same blocks, or chunks"):
            model().fit(chunked(X), entry_weight=chunked(np.ones(X.shape), rows=40))
        with pytest.raises(ValueError, match="chunks of X"):
            model().fit(X).transform(chunked(X), chunked(np.ones(X.shape), rows=40))

    def test_an_infinity_is_named_with_its_chunk(self):
        X = table()
        X[60, 2] = np.inf
        with pytest.raises(ValueError, match=r"begins with row 50: .*row 10, column 2"):
            model().fit(chunked(X))

    def test_other_estimators_compute_nothing_unasked(self):
        with pytest.raises(TypeError, match=r"X is a Dask Array.*X\.compute\(\)"):
            NMF(2).fit(chunked(abs(table())))

    def test_other_arguments_compute_nothing_unasked(self):
        fitted = model().fit(table())
        with pytest.raises(TypeError, match=r"W is a Dask Array"):
            fitted.transform_columns(table()[:, :2], da.ones((120, 3)))

    def test_series_are_no_tables(self):
        pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
        with pytest.raises(ValueError, match="1 axes"):
            model().fit(dd.from_pandas(pd.Series([1.0, 2.0]), npartitions=1))


class TestTensors:
    def test_tensors_are_arrays(self):
        torch = pytest.importorskip("torch")
        X = table(dtype=np.float32)
        found = model().fit(torch.tensor(X, requires_grad=True)).components_
        np.testing.assert_array_equal(found, model().fit(X).components_)

    def test_sparse_tensors_are_refused(self):
        torch = pytest.importorskip("torch")
        X = torch.ones((4, 3)).to_sparse()
        with pytest.raises(TypeError, match="sparse tensor"):
            model().fit(X)

    def test_tensors_elsewhere_are_not_moved(self):
        torch = pytest.importorskip("torch")
        with pytest.raises(TypeError, match=r"'meta'.*X\.cpu\(\)"):
            model().fit(torch.ones((4, 3), device="meta"))
