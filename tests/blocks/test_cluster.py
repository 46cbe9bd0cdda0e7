"""Clusters of Dask: the same bits, and errors that say what to do."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from test_dask import chunked, model, table

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

# Clusters have threads, files and sockets of their own, and tell of whatever happens to them.
pytestmark = pytest.mark.filterwarnings("ignore")


def fitted(X):
    return model("stored", bias="both", tol=0, max_iter=3).fit(X).components_


@pytest.fixture
def client():
    settings = {"threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        distributed.LocalCluster(n_workers=2, **settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def scattered(client, X, rows=30):
    parts = [X[start : start + rows] for start in range(0, X.shape[0], rows)]
    futures = client.scatter(parts)
    meta = X[:0]
    arrays = [
        dask.array.from_delayed(dask.delayed(future), shape=part.shape, dtype=X.dtype, meta=meta)
        for future, part in zip(futures, parts, strict=True)
    ]
    return futures, dask.array.concatenate(arrays)


def test_workers_give_the_bits_of_threads(client):
    D = chunked(table("stored"))
    with dask.config.set(scheduler="threads"):
        expected = fitted(D)
    np.testing.assert_array_equal(fitted(D), expected)
    np.testing.assert_array_equal(fitted(D.persist()), expected)


def test_lost_data_are_an_error_that_says_so(client):
    futures, D = scattered(client, table("stored"))
    client.cancel(futures[1])
    with pytest.raises(RuntimeError, match=r"lost.*instead of client\.scatter"):
        fitted(D)


def test_chunks_that_kill_workers_are_an_error_that_says_so(client, monkeypatch):
    def dies(*args):
        raise distributed.KilledWorker("task", None, 3)

    monkeypatch.setattr("sklearn_mf.dask._wait", dies)
    with pytest.raises(RuntimeError, match=r"too large for their memory.*X\.rechunk"):
        fitted(chunked(table("stored")))


def test_a_scheduler_that_is_gone_is_an_error(client, monkeypatch):
    monkeypatch.setattr("sklearn_mf.dask.PATIENCE", 0)
    D = dask.array.map_blocks(lambda x: time.sleep(0.2) or x, chunked(table()), dtype=float)
    threading.Timer(0.5, lambda: client.cluster.sync(client.cluster.scheduler.close)).start()
    with pytest.raises(RuntimeError, match="does not answer any more"):
        model(tol=0, max_iter=100).fit(D)


def test_dask_knows_how_large_blocks_are():
    from dask.sizeof import sizeof

    from sklearn_mf.observations import observe
    from sklearn_mf.systems import PackedSystems

    X = table("stored")
    stored = observe(X, unstored="missing")
    bytes_of_X = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    assert sizeof(stored) >= bytes_of_X
    transposed = stored.T
    assert sizeof(stored) >= 2 * bytes_of_X - X.indptr.nbytes
    del transposed
    dense = observe(table())
    assert table().nbytes <= sizeof(dense) < 2 * table().nbytes
    sums = PackedSystems((100, 8), np.float64)
    sums.own_sums()
    assert sizeof(sums) >= 8 * 100 * (36 + 8)


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_bit():
    D = chunked(table("stored"), rows=40)
    expected = fitted(D)
    settings = {"threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=2, **settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        kept = D.persist()
        distributed.wait(kept)
        first = min(client.run(os.getpid).values())
        threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()
        np.testing.assert_array_equal(fitted(kept), expected)
