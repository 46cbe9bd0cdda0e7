"""What is read in blocks is what was written."""

import numpy as np
import pytest
from conftest import random_csr
from scipy import sparse

from sklearn_mf import MatrixFactorization
from sklearn_mf.blocks import from_arrays, from_csr, from_npy, from_parquet, from_zarr


def all_of(X):
    parts = [X.read(number) for number in range(X.n_blocks)]
    return np.vstack([part.toarray() if sparse.issparse(part) else part for part in parts])


def table(dtype=np.float32):
    X = np.random.default_rng(0).normal(size=(23, 4)).astype(dtype)
    X[2, 1] = np.nan
    return X


@pytest.mark.parametrize("rows_per_block", [1, 5, 23, 100])
def test_files_of_numpy(tmp_path, rows_per_block):
    np.save(tmp_path / "X.npy", table())
    X = from_npy(tmp_path / "X.npy", rows_per_block)
    assert (X.shape, X.dtype, X.n_blocks) == ((23, 4), np.float32, -(-23 // rows_per_block))
    np.testing.assert_array_equal(all_of(X), table())


def test_integers_are_fitted_in_double_precision(tmp_path):
    np.save(tmp_path / "X.npy", np.arange(40).reshape(20, 2))
    X = from_npy(tmp_path / "X.npy", 6)
    assert X.dtype == np.float64
    found = MatrixFactorization(1, alpha_W=0).fit(X).components_
    expected = MatrixFactorization(1, alpha_W=0).fit(np.arange(40).reshape(20, 2)).components_
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_sparse_matrices_whose_arrays_are_mapped(tmp_path):
    S = random_csr((30, 7), 0.3)
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(S, name))
    arrays = [np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("data", "indices", "indptr")]
    for source in (S, (*arrays, S.shape)):
        X = from_csr(source, 8)
        assert X.n_blocks == 4
        assert sparse.issparse(X.read(0))
        np.testing.assert_array_equal(all_of(X), S.toarray())


def test_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(tmp_path / "X", mode="w", shape=(23, 4), chunks=(10, 4), dtype="f4")
    array[:] = table()
    X = from_zarr(array, 10)
    assert (X.dtype, X.n_blocks) == (np.float32, 3)
    np.testing.assert_array_equal(all_of(X), table())


def test_parquet_keeps_names_and_reads_row_groups(tmp_path):
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table(np.float64), columns=list("abcd"))
    frame["n"] = np.arange(23)
    frame.iloc[:13].to_parquet(tmp_path / "1.parquet", row_group_size=5)
    frame.iloc[13:].to_parquet(tmp_path / "2.parquet")
    X = from_parquet([tmp_path / "1.parquet", tmp_path / "2.parquet"], ["d", "n", "b"])
    assert np.diff(X.starts).tolist() == [5, 5, 3, 10]
    np.testing.assert_array_equal(all_of(X), frame[["d", "n", "b"]].to_numpy())
    fitted = MatrixFactorization(1, alpha_W=0.1).fit(X)
    assert fitted.feature_names_in_.tolist() == ["d", "n", "b"]
    with pytest.raises(ValueError, match="has no column 'z'"):
        from_parquet(tmp_path / "1.parquet", ["z"])
    frame[["a"]].to_parquet(tmp_path / "3.parquet")
    with pytest.raises(ValueError, match="other columns"):
        from_parquet([tmp_path / "1.parquet", tmp_path / "3.parquet"])


@pytest.mark.parametrize("rows_per_block", [0, -3])
def test_blocks_have_rows(rows_per_block):
    with pytest.raises(ValueError, match="rows_per_block"):
        from_csr(sparse.eye_array(4, format="csr"), rows_per_block)


def test_what_is_no_matrix(tmp_path):
    np.save(tmp_path / "X.npy", np.ones(3))
    with pytest.raises(ValueError, match="must be a matrix"):
        from_npy(tmp_path / "X.npy", 2)
    with pytest.raises(ValueError, match="two axes"):
        from_arrays([np.ones(3)])
    with pytest.raises(ValueError, match="same columns"):
        from_arrays([np.ones((3, 1)), np.ones((3, 2))])
    with pytest.raises(ValueError, match="as many indices"):
        from_csr((np.ones(3), np.ones(2, int), np.array([0, 3]), (1, 4)), 1)
