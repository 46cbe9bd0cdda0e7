"""Long tables of Dask become sparse arrays whose chunks hold whole rows."""

import numpy as np
import pytest

from sklearn_mf import MatrixFactorization

pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")

from sklearn_mf.dask import csr_from_triplets  # noqa: E402 - needs Dask

WORDS = {"row": "user", "column": "item", "value": "stars"}


def long_table(n_users=40, n_items=12):
    """Every pair once at most, in random order; users are words, items numbers with gaps."""
    rng = np.random.default_rng(0)
    seen = rng.random((n_users, n_items)) < 0.4
    users, items = np.nonzero(seen)
    stars = rng.integers(1, 6, len(users)).astype(float)
    frame = pd.DataFrame({"user": [f"u{i:03}" for i in users], "item": 10 * items, "stars": stars})
    dense = np.zeros(seen.shape)
    dense[users, items] = stars
    keep = dense.any(axis=1), dense.any(axis=0)
    return frame.sample(frac=1, random_state=0), dense[keep[0]][:, keep[1]]


def test_shuffled_entries_come_together():
    frame, dense = long_table()
    found = csr_from_triplets(dd.from_pandas(frame, npartitions=3, sort=False), **WORDS)
    np.testing.assert_array_equal(found.X.compute().toarray(), dense)
    assert found.row_labels.tolist() == sorted(frame["user"].unique())
    assert found.column_labels.tolist() == sorted(frame["item"].unique())
    assert len(found.X.chunks[0]) == 3
    assert found.X.dtype == np.float32
    params = {"unstored": "missing", "alpha_W": 0.1, "random_state": 0, "bias": "both"}
    chunks = MatrixFactorization(2, **params).fit(found.X)
    memory = MatrixFactorization(2, **params).fit(found.X.compute())
    np.testing.assert_allclose(chunks.loss_curve_[-1], memory.loss_curve_[-1], rtol=1e-5)


def test_what_is_no_such_table():
    frame, _ = long_table()
    lazy = dd.from_pandas(frame, npartitions=2)
    with pytest.raises(ValueError, match="no column 'film'"):
        csr_from_triplets(lazy, **WORDS | {"column": "film"})
    with pytest.raises(ValueError, match="no row"):
        csr_from_triplets(lazy[lazy["stars"] > 9], **WORDS)
