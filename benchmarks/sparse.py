"""Sparse data in which zeros are zeros, against TruncatedSVD.

Counts of a mixture of topics, 0.3 % of the cells, are logarithmised and factorized. Without
penalty the best approximation is the truncated SVD. Only "arpack" iterates until it has
converged; our "svd" on data of this size takes a fixed number of steps of a block Krylov method,
and "randomized" five subspace iterations, its default. So the error belongs to the comparison,
and its excess over the lowest is noted. It is relative, and exact: ``||X - W H||`` from inner
products, with the codes ``transform(X)``, outside of the timing.
"""

from functools import partial

import numpy as np
from _harness import OURS, Case, cached, main, measure, note_excess, print_groups
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from sklearn_mf import MatrixFactorization

TOPICS = 80


def topic_counts(n_rows, n_columns, n_stored):
    rng = np.random.default_rng(0)
    popularity = rng.permutation((10.0 + np.arange(n_columns)) ** -0.9)
    length = rng.lognormal(sigma=0.5, size=n_rows)
    mixture = rng.integers(TOPICS, size=(n_rows, 2))
    n_draws = int(1.3 * n_stored)
    rows = rng.choice(n_rows, n_draws, p=length / length.sum())
    topics = mixture[rows, (rng.random(n_draws) < 0.3).astype(int)]
    columns = np.empty(n_draws, dtype=np.int64)
    for topic in range(TOPICS):
        drawn = topics == topic
        likely = popularity.copy()
        likely[rng.integers(n_columns, size=n_columns // 40)] *= 50
        columns[drawn] = rng.choice(n_columns, drawn.sum(), p=likely / likely.sum())
    counts = sparse.coo_array((np.ones(n_draws), (rows, columns)), shape=(n_rows, n_columns))
    counts = counts.tocsr()
    return {
        "data": (1 + np.log(counts.data)).astype(np.float32),
        "indices": counts.indices.astype(np.int32),
        "indptr": counts.indptr.astype(np.int32),
    }


def fit(model, shape, n_stored, setting):
    arrays = cached(topic_counts, *shape, n_stored)
    data = arrays["data"].astype(setting.dtype, copy=False)
    X = sparse.csr_matrix((data, arrays["indices"], arrays["indptr"]), shape=shape)
    model, result = measure(lambda: model.fit(X), setting.repeats)
    W, H = model.transform(X).astype(np.float64), model.components_.astype(np.float64)
    square = np.sum(X.data**2, dtype=np.float64)
    inner = np.sum((X.astype(np.float64) @ H.T) * W)
    error = np.sqrt((square - 2 * inner + np.sum((W.T @ W) * (H @ H.T))) / square)
    return {**result, "error": float(error), "note": f"{X.nnz / 1e6:.3g} M stored"}


def cases(args):
    shape, n_stored, k = ((100_000, 20_000), 6_000_000, 64)
    if args.small:
        shape, n_stored, k = ((5_000, 3_000), 60_000, 16)
    group = f"{shape[0]} x {shape[1]}, k = {k} (error: relative reconstruction error)"
    models = {
        f"{OURS} svd": MatrixFactorization(k, solver="svd"),
        "TruncatedSVD randomized n_iter=5": TruncatedSVD(k, n_iter=5, random_state=0),
        "TruncatedSVD arpack": TruncatedSVD(k, algorithm="arpack", random_state=0),
    }
    return [
        Case(group, peer, partial(fit, model, shape, n_stored)) for peer, model in models.items()
    ]


def report(rows):
    note_excess(rows)
    print_groups(rows)


if __name__ == "__main__":
    main(cases, report=report)
