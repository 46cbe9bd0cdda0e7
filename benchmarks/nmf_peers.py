"""Multiplicative updates against scikit-learn's, nimfa's and torchnmf's.

All begin at the same W and H. Each peer runs as many iterations as it is told, without a stopping
rule; then ours is fitted by ``solver="mu"`` for as many iterations as it needs to find as low a
beta divergence, and timed as a whole, and by ``solver="cd"`` too where the error is squared. Peers
that are not installed are skipped: ``nimfa`` and ``torchnmf`` are on the package index.
"""

import warnings
from functools import partial

import numpy as np
from _harness import Case, cached, main, number, print_table
from nmf import timed
from sklearn import decomposition
from sklearn.decomposition._nmf import _beta_divergence
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf import NMF

ITERATIONS = 200
LOSSES = {2: "frobenius", 1: "kullback-leibler"}


def counts(n_rows, n_columns, k):
    """Counts of a low-rank rate, and where to start."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, size=(n_rows, k)) @ rng.gamma(0.5, size=(k, n_columns))
    X = rng.poisson(rates).astype(np.float64)
    scale = np.sqrt(X.mean() / k)
    W, H = (scale * np.abs(rng.normal(size=shape)) for shape in ((n_rows, k), (k, n_columns)))
    return {"X": X, "W": W, "H": H}


def scikit_learn(X, W, H, beta):
    model = decomposition.NMF(
        len(H), init="custom", solver="mu", beta_loss=beta, tol=0, max_iter=ITERATIONS
    )
    return model.fit_transform(X, W=W.copy(), H=H.copy()), model.components_


def nimfa(X, W, H, beta):
    setattr(np, "mat", np.asmatrix)  # noqa: B010 (NumPy 2 dropped the name nimfa 1.4 calls)
    from nimfa import Nmf

    kind = {"update": "euclidean", "objective": "fro"}  # codespell:ignore fro
    if beta == 1:
        kind = {"update": "divergence", "objective": "div"}
    # Its zeros would be divided by.
    model = Nmf(np.maximum(X, 1e-12), seed=None, W=W.copy(), H=H.copy(), rank=len(H), **kind)
    model.max_iter, model.min_residuals, model.test_conv = ITERATIONS, None, ITERATIONS
    fitted = model()
    return np.asarray(fitted.basis()), np.asarray(fitted.coef())


def torchnmf(X, W, H, beta):
    import torch
    from torchnmf.nmf import NMF as TorchNMF

    net = TorchNMF(W=torch.tensor(H.T.copy()), H=torch.tensor(W.copy()))
    net.fit(torch.tensor(X), beta=beta, tol=0, max_iter=ITERATIONS)
    return net.H.detach().numpy(), net.W.detach().numpy().T


def compare(peer, shape, beta, setting):
    warnings.simplefilter("ignore", ConvergenceWarning)
    arrays = cached(counts, *shape)
    X, W, H = (arrays[name].astype(setting.dtype) for name in ("X", "W", "H"))
    found, their_seconds = timed(lambda: peer(X, W, H, beta), setting.repeats)
    goal = _beta_divergence(X, *found, beta)
    result = {"their_seconds": their_seconds, "goal": float(goal)}
    for solver in ("mu", "cd") if beta == 2 else ("mu",):
        parameters = {"init": "custom", "solver": solver, "beta_loss": LOSSES[beta], "tol": 0}
        curve = np.array(
            NMF(shape[2], max_iter=ITERATIONS, **parameters).fit(X, W=W, H=H).loss_curve_
        )
        if curve.min() > goal:
            continue
        n_iter = int(np.argmax(curve <= goal)) + 1
        short = NMF(shape[2], max_iter=n_iter, **parameters)
        _, seconds = timed(lambda model=short: model.fit(X, W=W, H=H), setting.repeats)
        result |= {solver: seconds, f"{solver}_iterations": n_iter}
    return result


def cases(args):
    shape = (200, 100, 5) if args.small else (2000, 800, 20)
    peers = {scikit_learn: "sklearn_mf", nimfa: "nimfa", torchnmf: "torchnmf"}
    return [
        Case(
            f"{LOSSES[beta]}, {shape[0]} x {shape[1]}, k = {shape[2]}",
            peer.__name__,
            partial(compare, peer, shape, beta),
            needs=needs,
            dtypes=("float64",),
        )
        for beta in LOSSES
        for peer, needs in peers.items()
    ]


def report(rows):
    header = ["peer", "threads", f"seconds for {ITERATIONS}"]
    header += ["mu: iterations", "seconds", "ratio", "cd: iterations", "seconds", "ratio"]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines = []
        for row in (row for row in rows if row["group"] == group):
            line = [row["peer"], row["threads"], number(row.get("their_seconds"))]
            for solver in ("mu", "cd"):
                seconds = row.get(solver)
                ratio = None if seconds is None else row["their_seconds"] / seconds
                line += [row.get(f"{solver}_iterations", ""), number(seconds), number(ratio)]
            lines.append(line)
        print_table(group, header, lines)


if __name__ == "__main__":
    main(cases, report=report)
