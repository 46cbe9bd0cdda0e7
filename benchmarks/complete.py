"""Complete data against PCA and TruncatedSVD, and filling holes against imputers.

Complete data: a signal of falling strength plus noise, the rank of the model that of the
signal. With nothing missing and no penalty the best approximation is the truncated SVD, so
everyone is to reach the same relative reconstruction error: ``inverse_transform(transform(X))``,
computed outside of the timing. Peers have scikit-learn's defaults beside the solver named. The
script fails if our error is above the lowest of a group by more than 1e-4 of it.

Holes: 30 % of a low-rank signal plus noise are hidden and filled. Everyone's time is that of
filling, and the error is the RMSE on the hidden entries, noise included. Ours at one penalty, and
with four penalties tried by cross-validation on entries that are hidden once more, search included.
"""

import sys
from functools import partial

import numpy as np
from _harness import OURS, Case, cached, main, measure, note_excess, print_groups, rmse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.model_selection import GridSearchCV

from sklearn_mf import MatrixFactorization

FULL = {"complete": (20_000, 1_000, 32), "holes": (1_000, 200, 10)}
SMALL = {"complete": (2_000, 600, 8), "holes": (200, 40, 5)}
FILLING = "Filling {} x {}, 30 % hidden (error: RMSE on hidden entries)"


def low_rank(n_rows, n_columns, rank, noise):
    rng = np.random.default_rng(0)
    strength = np.linspace(1, 0.1, rank)
    X = (rng.standard_normal((n_rows, rank)) * strength) @ rng.standard_normal((rank, n_columns))
    X /= X.std()
    X += noise * rng.standard_normal(X.shape)
    return {"X": X.astype(np.float32)}


def fit(model, shape, setting):
    X = cached(low_rank, *shape, 0.5)["X"].astype(setting.dtype, copy=False)
    model, result = measure(lambda: model.fit(X), setting.repeats)
    squares = total = 0.0
    for start in range(0, len(X), 1000):
        block = X[start : start + 1000]
        restored = model.inverse_transform(model.transform(block))
        squares += np.sum((block - restored) ** 2, dtype=np.float64)
        total += np.sum(block**2, dtype=np.float64)
    return {**result, "error": float(np.sqrt(squares / total))}


def fill(imputer, shape, setting):
    X = cached(low_rank, *shape, 0.3)["X"].astype(setting.dtype, copy=False)
    hidden = np.random.default_rng(1).random(X.shape) < 0.3
    holed = np.where(hidden, np.nan, X).astype(X.dtype)
    filled, result = measure(lambda: imputer(holed), setting.repeats)
    return {**result, "error": rmse(filled[hidden], X[hidden])}


def restore(model, X):
    return model.inverse_transform(model.fit_transform(X))


def search_and_restore(model, X):
    search = GridSearchCV(model, {"alpha_W": [0.003, 0.01, 0.03, 0.1]}, cv=3).fit(X)
    return search.inverse_transform(search.transform(X))


def cases(args):
    sizes = SMALL if args.small else FULL
    shape = sizes["complete"]
    k = shape[-1]
    size = f"{shape[0]} x {shape[1]}, k = {k} (error: relative reconstruction error)"
    centred = {
        f"{OURS} bias='features'": MatrixFactorization(k, bias="features"),
        "PCA auto": PCA(k, svd_solver="auto", random_state=0),
        "PCA covariance_eigh": PCA(k, svd_solver="covariance_eigh"),
    }
    plain = {
        OURS: MatrixFactorization(k),
        "TruncatedSVD randomized": TruncatedSVD(k, random_state=0),
        "TruncatedSVD arpack": TruncatedSVD(k, algorithm="arpack", random_state=0),
    }
    holed = MatrixFactorization(sizes["holes"][-1], bias="features", random_state=0)
    imputers = {
        f"{OURS} alpha_W=0.01": partial(restore, holed.set_params(alpha_W=0.01)),
        f"{OURS} GridSearchCV over alpha_W": partial(search_and_restore, holed),
        "IterativeImputer": lambda X: IterativeImputer(random_state=0).fit_transform(X),
        "KNNImputer": lambda X: KNNImputer().fit_transform(X),
    }
    groups = {f"Centred {size}": centred, f"Not centred {size}": plain}
    return [
        Case(group, peer, partial(fit, model, shape))
        for group, models in groups.items()
        for peer, model in models.items()
    ] + [
        Case(FILLING.format(*sizes["holes"]), peer, partial(fill, imputer, sizes["holes"]))
        for peer, imputer in imputers.items()
    ]


def report(rows):
    worse = note_excess([row for row in rows if not row["group"].startswith("Filling")])
    print_groups(rows)
    if worse:
        sys.exit(f"Not the best approximation: {', '.join(row['peer'] for row in worse)}")


if __name__ == "__main__":
    main(cases, report=report)
