"""Fits to rows in blocks beside the same fits in memory; ours only, and dask-ml where it is found.

Tables: processor time a sweep by the number of blocks; an out-of-core fit from files, its
nanoseconds an entry, reads and peak memory; Dask on worker processes beside threads in memory;
complete data beside ``dask_ml.decomposition``. Processor time counts all threads of this
process, so that a busy machine matters less; what worker processes do is told in wall time.
"""

import argparse
import os
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_mf import MatrixFactorization
from sklearn_mf.blocks import from_csr

SHAPES = {"full": (50_000, 5_000, 88), "small": (10_000, 2_000, 50)}
FILES = {"full": (1_000_000, 20_000, 100), "small": (40_000, 4_000, 50)}
COMPLETE = {"full": (200_000, 1_000), "small": (20_000, 300)}


def ratings(n_rows, n_columns, per_row, rank=8):
    """Rows with equally many entries, of low rank plus noise."""
    rng = np.random.default_rng(0)
    strips = np.arange(per_row) + rng.random((n_rows, per_row), dtype=np.float32)
    columns = np.minimum(strips * (n_columns / per_row), n_columns - 1).astype(np.int32)
    W = rng.standard_normal((n_rows, rank), dtype=np.float32)
    Ht = rng.standard_normal((n_columns, rank), dtype=np.float32)
    values = rng.standard_normal((n_rows, per_row), dtype=np.float32)
    for component in range(rank):
        values += W[:, component, None] * Ht[columns, component]
    indptr = np.arange(n_rows + 1, dtype=np.int64) * per_row
    shape = n_rows, n_columns
    return sparse.csr_array((values.ravel(), columns.ravel(), indptr), shape=shape)


def model(n_components, max_iter, **params):
    defaults = {"alpha_W": 0.05, "unstored": "missing", "solver": "als", "random_state": 0}
    return MatrixFactorization(
        n_components, tol=0, init="random", max_iter=max_iter, **defaults | params
    )


def per_sweep(X, n_components, clock=time.process_time, sweeps=(1, 5)):
    """Seconds of a sweep: of a long fit less those of a short one."""
    seconds = []
    for max_iter in sweeps:
        start = clock()
        model(n_components, max_iter).fit(X)
        seconds.append(clock() - start)
    return (seconds[1] - seconds[0]) / (sweeps[1] - sweeps[0])


def in_blocks(X, n_blocks):
    return from_csr(X, -(-X.shape[0] // n_blocks))


def sweeps_by_blocks(size):
    X = ratings(*SHAPES[size])
    print(f"\nProcessor seconds a sweep, {X.nnz / 1e6:.1f} million entries, float32\n")
    print("| rank | in memory | " + " | ".join(f"{n} blocks" for n in (1, 4, 16, 64)) + " |")
    print("| --- " * 6 + "|")
    for k in (32, 64):
        memory = per_sweep(X, k)
        found = [per_sweep(in_blocks(X, n), k) / memory for n in (1, 4, 16, 64)]
        print(f"| {k} | {memory:.2f} | " + " | ".join(f"x{ratio:.2f}" for ratio in found) + " |")


def from_files(size):
    X = ratings(*FILES[size])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("data", "indices", "indptr"):
            np.save(Path(folder, f"{name}.npy"), getattr(X, name))
        shape, nnz = X.shape, X.nnz
        del X
        arrays = [
            np.load(Path(folder, f"{name}.npy"), mmap_mode="r")
            for name in ("data", "indices", "indptr")
        ]
        B = from_csr((*arrays, shape), -(-shape[0] // 40))
        Path("/proc/self/clear_refs").write_text("5")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = per_sweep(B, 32)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        reads = B.n_reads
        model(32, 5).fit(B)
        reads = (B.n_reads - reads) / B.n_blocks
    print(f"\nFrom files: {nnz / 1e6:.0f} million entries, k = 32, 40 blocks\n")
    print(f"{1e9 * seconds / nnz:.0f} ns an entry and sweep; a fit of 5 sweeps reads {reads:.0f} x")
    print(f"{peak:.0f} MB beyond {before:.0f}; W is {shape[0] * 32 * 4 / 2**20:.0f} MB")


def on_workers(size):
    try:
        import dask.array as da
        from distributed import Client, LocalCluster, wait
    except ImportError:
        print("\nDask is not installed: skipped.")
        return
    X, clock = ratings(*SHAPES[size]), time.perf_counter
    step = -(-X.shape[0] // 4)
    parts = [X[start : start + step] for start in range(0, X.shape[0], step)]
    memory = per_sweep(X, 64, clock)
    print(f"\nWall seconds a sweep on processes, {X.nnz / 1e6:.1f} million entries, k = 64\n")
    print("| in memory | " + " | ".join(f"{n} workers" for n in (1, 2, 4)) + " |")
    print("| --- " * 4 + "|")
    row = []
    for n_workers in (1, 2, 4):
        with (
            LocalCluster(n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            arrays = [da.from_array(part, chunks=part.shape, asarray=False) for part in parts]
            D = da.concatenate(arrays).persist()
            wait(D)
            row.append(per_sweep(D, 64, clock))
    print(f"| {memory:.2f} | " + " | ".join(f"{seconds:.2f}" for seconds in row) + " |")


def complete(size):
    try:
        import dask.array as da
        from dask_ml.decomposition import PCA, TruncatedSVD
    except ImportError:
        print("\ndask-ml is not installed: skipped.")
        return
    n, m = COMPLETE[size]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 20)) @ rng.standard_normal((20, m)) + rng.standard_normal((n, m))
    D = da.from_array(X, chunks=(n // 10, m)).persist()
    print(f"\nComplete data of {n} x {m}, rank 10: processor seconds\n")
    for peer in (
        MatrixFactorization(10),
        MatrixFactorization(10, bias="features"),
        TruncatedSVD(10),
        PCA(10),
    ):
        start = time.process_time()
        peer.fit(D)
        print(f"- {peer!r}: {time.process_time() - start:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a quick trial")
    parser.add_argument("--only", default="", help="tables with this text in their names")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for table in (sweeps_by_blocks, from_files, on_workers, complete):
        if options.only in table.__name__:
            table("small" if options.small else "full")


if __name__ == "__main__":
    # Set before the first kernel runs, and for all workers alike.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
