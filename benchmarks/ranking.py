"""Recommending and ranking metrics, against implicit and irspack.

- Top 10 of 50,000 x 20,000 at rank 64, float32: random factors, the same for all, and 40 columns
  a row that have been seen and are left out. The error is the share of recommendations that are
  not those of a complete sort of the products, for the first 200 rows.
- Metrics at 20 of random factors at rank 64: scores of all rows, what was seen left out, the best
  20 columns, and what is said of them. The data are those of Gowalla in the split of LightGCN if
  ``--gowalla`` gives its file (arrays ``shape``, and ``indptr`` and ``indices`` of train and test),
  else generated ones of that size. The note has NDCG and recall, which must agree.

All hold BLAS to one thread beside their own threads. Peers: ``pip install implicit irspack``.
"""

from pathlib import Path

import numpy as np
from _harness import Case, cached, main, measure
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_mf.losses import Squared
from sklearn_mf.metrics import ranking_report
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.retrieval import Candidates, best_columns, seen_in

RANK = 64
SIZES = {False: (50_000, 20_000), True: (2_000, 3_000)}
GOWALLA = {False: (29_858, 40_981), True: (1_000, 3_000)}


def interactions(n_samples, n_features, n_train, n_test, skew):
    """Columns of rows, popular ones more often, in CSR format."""
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(10, n_features + 10) ** skew
    total = n_samples * (n_train + n_test)
    columns = rng.choice(n_features, size=total, p=chances / chances.sum())
    rows = np.repeat(np.arange(n_samples), n_train + n_test)
    is_test = np.arange(total) % (n_train + n_test) < n_test
    arrays = {"shape": np.array([n_samples, n_features])}
    seen = None
    for name, chosen in (("train", ~is_test), ("test", is_test)):
        entries = np.ones(chosen.sum()), (rows[chosen], columns[chosen])
        X = sparse.csr_array(entries, shape=(n_samples, n_features))
        X.sum_duplicates()
        if seen is not None:
            X = X - X.multiply(seen)
            X.eliminate_zeros()
        seen = (X > 0).astype(np.float64)
        arrays |= {f"{name}_indptr": X.indptr, f"{name}_indices": X.indices}
    return arrays


def split(arrays):
    """Train and test, as CSR matrices of ones."""
    return [
        sparse.csr_matrix(
            (
                np.ones(len(arrays[f"{name}_indices"]), dtype=np.float32),
                arrays[f"{name}_indices"],
                arrays[f"{name}_indptr"],
            ),
            shape=tuple(arrays["shape"]),
        )
        for name in ("train", "test")
    ]


def factors(shape):
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((n, RANK)) / 8).astype(np.float32) for n in shape]


def our_model(H):
    """A factorization with these components; its codes are those that the peers have."""
    bias = np.zeros(len(H), dtype=H.dtype)
    return FactorModel(np.ascontiguousarray(H.T), bias, False, Squared())


def recommend_ours(W, H, seen, n):
    candidates = Candidates(excluded=(seen_in(seen, "zero"),))
    return best_columns(our_model(H), W, n, candidates)[0]


def of_implicit(W, H, threads):
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=RANK, num_threads=threads, use_gpu=False)
    model.user_factors, model.item_factors = W, H
    return model


def wrong_share(items, W, H, seen, n_rows=200):
    """Share of recommendations that a complete sort does not have, but for equal products."""
    scores = W[:n_rows].astype(np.float64) @ H.T.astype(np.float64)
    scores[seen[:n_rows].nonzero()] = -np.inf
    n = items.shape[1]
    limits = -np.sort(-scores, axis=1)[:, n - 1]
    found = np.take_along_axis(scores, np.asarray(items[:n_rows], dtype=np.intp), axis=1)
    return float(np.mean(found < limits[:, None] - 1e-5))


def top(arrays, peer):
    def run(setting):
        seen, _ = split(arrays())
        W, H = factors(seen.shape)
        with threadpool_limits(1, user_api="blas"):
            if peer == "implicit":
                model, users = of_implicit(W, H, setting.threads), np.arange(len(W))
                items, result = measure(
                    lambda: model.recommend(users, seen, N=10, filter_already_liked_items=True)[0],
                    setting.repeats,
                )
            else:
                items, result = measure(lambda: recommend_ours(W, H, seen, 10), setting.repeats)
        return result | {"error": wrong_share(items, W, H, seen)}

    return run


def metrics(arrays, peer):
    def run(setting):
        train, test = split(arrays())
        W, H = factors(train.shape)
        evaluate = EVALUATIONS[peer](W, H, train, test, setting.threads)
        with threadpool_limits(1, user_api="blas"):
            found, result = measure(evaluate, setting.repeats)
        note = "NDCG {:.6f}, recall {:.6f}".format(*found) if len(found) == 2 else ""
        return result | {"note": note or f"NDCG {found[0]:.6f}"}

    return run


def evaluate_ours(W, H, train, test, threads):
    def evaluate():
        report = ranking_report(test, recommend_ours(W, H, train, 20), k=20)
        return report["ndcg@20"], report["recall@20"]

    return evaluate


def evaluate_implicit(W, H, train, test, threads):
    from implicit.evaluation import ranking_metrics_at_k

    model = of_implicit(W, H, threads)

    def evaluate():
        report = ranking_metrics_at_k(
            model, train, test, K=20, show_progress=False, num_threads=threads
        )
        return (report["ndcg"],)

    return evaluate


def evaluate_irspack(W, H, train, test, threads):
    from irspack import Evaluator
    from irspack.recommenders import IALSRecommender

    class Fixed(IALSRecommender):
        def get_score_block(self, begin, end):
            return W[begin:end] @ H.T

    model, evaluator = (
        Fixed(train, n_components=RANK),
        Evaluator(test, cutoff=20, n_threads=threads),
    )

    def evaluate():
        report = evaluator.get_score(model)
        return report["ndcg"], report["recall"]

    return evaluate


EVALUATIONS = {
    "sklearn_mf": evaluate_ours,
    "implicit": evaluate_implicit,
    "irspack": evaluate_irspack,
}


def make_cases(args):
    n_samples, n_features = SIZES[args.small]

    def seen():
        return cached(interactions, n_samples, n_features, 40, 1, 0.7)

    def judged():
        if args.gowalla:
            return dict(np.load(args.gowalla))
        return cached(interactions, *GOWALLA[args.small], 27, 7, 0.7)

    single = {"dtypes": ("float32",)}
    group = f"Top 10 of {n_samples:,} x {n_features:,}, rank {RANK}"
    cases = [
        Case(group, "sklearn_mf", top(seen, "sklearn_mf"), **single),
        Case(group, "implicit recommend", top(seen, "implicit"), needs="implicit", **single),
    ]
    group = f"Metrics at 20, {'Gowalla' if args.gowalla else 'generated'}, rank {RANK}"
    cases += [
        Case(group, peer, metrics(judged, peer), needs=peer, **single) for peer in EVALUATIONS
    ]
    return cases


def add_arguments(parser):
    parser.add_argument("--gowalla", type=Path, help="gowalla-lightgcn.npz")


if __name__ == "__main__":
    main(make_cases, add_arguments)
