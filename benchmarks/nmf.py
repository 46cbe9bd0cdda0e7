"""NMF against scikit-learn's: time to the objective at which scikit-learn stops.

Both begin at the same W and H, which scikit-learn's own initialization makes. scikit-learn runs as
it does by default, up to its own stopping rule or 200 iterations (30 on the large sparse matrix,
where 200 would take many minutes). Then ours is fitted for as many iterations as it needs to get
as low, and timed as a whole: validation, sweeps, and the codes that its reconstruction error
needs. The last column is where ours ends by its own stopping rule. Data are generated, but for the
digits; with ``--data FOLDER`` the Olivetti faces (``olivetti.npz``) and the PCMAC texts
(``PCMAC.mat``) too.
"""

import warnings
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from _harness import Case, cached, main, number, print_table
from scipy import io, sparse
from sklearn import decomposition
from sklearn.datasets import load_digits
from sklearn.decomposition._nmf import _initialize_nmf
from sklearn.exceptions import ConvergenceWarning
from sparse import topic_counts

from sklearn_mf import NMF

STARTS = ("random", "nndsvda")
PENALTIES = ((0.0, 0.0), (1e-4, 0.0), (1e-4, 0.5), (1e-4, 1.0))
LARGE = 30


def dense(n_rows, n_columns, k):
    rng = np.random.default_rng(0)
    W, H = rng.gamma(0.5, size=(n_rows, k)), rng.gamma(0.5, size=(k, n_columns))
    return {"X": np.maximum(W @ H + rng.normal(size=(n_rows, n_columns)), 0)}


def dense_data(shape, k):
    return cached(dense, *shape, k)["X"]


def sparse_data(shape, n_stored):
    arrays = cached(topic_counts, *shape, n_stored)
    parts = arrays["data"].astype(np.float64), arrays["indices"], arrays["indptr"]
    return sparse.csr_matrix(parts, shape=shape)


def digits():
    return load_digits().data


def faces(folder):
    arrays = np.load(folder / "olivetti.npz")
    X = arrays[arrays.files[0]]
    X = X.reshape(len(X), -1).astype(np.float64)
    return X / X.max()


def texts(folder):
    return sparse.csr_matrix(io.loadmat(folder / "PCMAC.mat")["X"]).astype(np.float64)


def objective(model, X, W, alpha, l1_ratio):
    """The objective of both, from inner products where X is sparse."""
    H = model.components_
    if sparse.issparse(X):
        cross = np.sum((X @ H.T) * W)
        data = 0.5 * (np.sum(X.data**2) - 2 * cross + np.sum((W.T @ W) * (H @ H.T)))
    else:
        data = 0.5 * np.sum((X - W @ H) ** 2)
    n, p = X.shape
    sizes = [
        scale * (l1_ratio * V.sum() + 0.5 * (1 - l1_ratio) * np.sum(V**2))
        for scale, V in ((p, W), (n, H))
    ]
    return data + alpha * sum(sizes)


def timed(function, repeats):
    seconds = []
    while len(seconds) < repeats and sum(seconds) < 20:
        start = perf_counter()
        value = function()
        seconds.append(perf_counter() - start)
    return value, median(seconds)


def compare(data, k, max_iter, start, penalty, setting):
    warnings.simplefilter("ignore", ConvergenceWarning)
    X = data().astype(setting.dtype)
    alpha, l1_ratio = penalty
    W, H = _initialize_nmf(X, k, init=start, random_state=0)
    parameters = {"init": "custom", "alpha_W": alpha, "l1_ratio": l1_ratio}

    def theirs():
        model = decomposition.NMF(k, max_iter=max_iter, **parameters)
        return model, model.fit_transform(X, W=W.copy(), H=H.copy())

    (model, codes), their_seconds = timed(theirs, setting.repeats)
    goal = objective(model, X, codes, alpha, l1_ratio)
    ours = NMF(k, **parameters).fit(X, W=W, H=H)
    curve = np.array(ours.loss_curve_)
    result = {
        "their_iterations": model.n_iter_,
        "their_seconds": their_seconds,
        "iterations": None,
        "end": float(curve[-1] / goal - 1),
    }
    if curve.min() <= goal:
        result["iterations"] = int(np.argmax(curve <= goal)) + 1
        short = NMF(k, max_iter=result["iterations"], tol=0, **parameters)
        _, result["seconds"] = timed(lambda: short.fit(X, W=W, H=H), setting.repeats)
    return result


def cases(args):
    shapes = ((5_000, 2_000), 32), ((100_000, 20_000), 6_000_000, 64)
    if args.small:
        shapes = ((500, 200), 8), ((2_000, 1_000), 40_000, 8)
    (shape, k), (sparse_shape, n_stored, sparse_k) = shapes
    groups = [
        ("digits, k = 16", digits, 16, 200),
        (f"dense {shape[0]} x {shape[1]}, k = {k}", partial(dense_data, shape, k), k, 200),
    ]
    if args.data:
        groups.append(("Olivetti faces, k = 40", partial(faces, args.data), 40, 200))
        groups.append(("PCMAC, k = 20", partial(texts, args.data), 20, 200))
    group = f"sparse {sparse_shape[0]} x {sparse_shape[1]}, k = {sparse_k}"
    groups.append((group, partial(sparse_data, sparse_shape, n_stored), sparse_k, LARGE))
    return [
        Case(
            name,
            f"{start}, alpha_W={penalty[0]}, l1_ratio={penalty[1]}",
            partial(compare, data, rank, max_iter, start, penalty),
            dtypes=("float64",),
        )
        for name, data, rank, max_iter in groups
        for start in STARTS
        for penalty in (PENALTIES if max_iter != LARGE else PENALTIES[:2])
    ]


def report(rows):
    header = "start, iterations of scikit-learn, seconds, ours to its objective, seconds, ratio, "
    header += "our own end over its objective"
    for group in dict.fromkeys(row["group"] for row in rows):
        lines = []
        for row in (row for row in rows if row["group"] == group):
            if "end" not in row:
                print(row)
                continue
            reached = row["iterations"] is not None
            lines.append(
                [
                    row["peer"],
                    row["their_iterations"],
                    number(row["their_seconds"]),
                    row["iterations"] or "not reached",
                    number(row["seconds"]) if reached else "",
                    number(row["their_seconds"] / row["seconds"]) if reached else "",
                    f"{row['end']:+.1e}",
                ]
            )
        threads = ", ".join(sorted({str(row["threads"]) for row in rows if row["group"] == group}))
        print_table(f"{group}, threads: {threads}", header.split(", "), lines)


def add_arguments(parser):
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="olivetti.npz and PCMAC.mat")


if __name__ == "__main__":
    main(cases, add_arguments, report)
