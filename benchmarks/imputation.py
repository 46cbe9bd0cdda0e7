"""Filling holes in tables, without choosing a parameter: against scikit-learn's imputers.

Entries are hidden at random from tables that come with scikit-learn and from generated ones;
the error is the root mean square over the hidden entries, each column in units of its own standard
deviation, and averages over seeds, as the seconds do. Every imputer has its default
parameters. The peers get the columns standardized by what is observed, which `KNNImputer` needs;
ours gets them as they are. A table with real holes can be added: `--table PATH.npy`.

A second table has the setting 300 x 60, rank 4, non-negative factors, 70 % hidden, with the error
against the data without noise.
"""

from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from _harness import OURS, Case, main, number, print_table
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_mf import FactorizationImputer

PEERS = {
    f"{OURS} FactorizationImputer": FactorizationImputer,
    "SimpleImputer": SimpleImputer,
    "KNNImputer": KNNImputer,
    "IterativeImputer": IterativeImputer,
}


def housing(n_samples=2000):
    """Like the table of Californian districts: incomes, rooms, people, and a map."""
    rng = np.random.default_rng(0)
    centres = np.array(
        [[37.7, -122.3], [34.0, -118.3], [32.8, -117.1], [36.7, -119.8], [38.6, -121.4]]
    )
    place = rng.choice(5, n_samples, p=[0.25, 0.4, 0.12, 0.13, 0.1])
    spread = np.array([0.5, 0.45, 0.25, 0.9, 0.5])[place]
    latitude, longitude = centres[place].T
    normal = rng.standard_normal((8, n_samples))
    step = spread * normal[0]
    latitude, longitude = latitude + step, longitude - 0.7 * step + 0.6 * spread * normal[1]
    coast = np.exp(-((longitude + 122.3 - (37.7 - latitude) * 1.05) ** 2))
    income = np.exp(1.1 + 0.35 * coast + 0.4 * normal[2])
    age = np.clip(32 - 4 * np.log(income) + 8 * (coast - 0.5) + 11 * normal[3], 1, 52)
    rooms = np.exp(1.3 + 0.25 * np.log(income) - 0.004 * age + 0.18 * normal[4])
    bedrooms = 0.25 * np.log(rooms / 5) - 0.08 * np.log(income / 3) + 0.06 * normal[5]
    population = np.exp(7.1 - 0.012 * age + 0.6 * normal[6])
    occupancy = -0.08 * np.log(income) + 0.08 * np.log(population / 1200) + 0.22 * normal[7]
    columns = [income, age, rooms, np.exp(bedrooms), population, np.exp(1.05 + occupancy)]
    return np.column_stack([*columns, latitude, longitude])


def low_rank(noise=0.3, seed=0):
    """Rank 4, non-negative factors; with noise, and without."""
    rng = np.random.default_rng(seed)
    truth = rng.random((300, 4)) @ rng.random((4, 60))
    return truth + noise * rng.standard_normal(truth.shape), truth


def factors():
    """Eight factors of falling importance, noise of its own in every one of 120 columns."""
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((120, 8)) * np.exp(-0.3 * np.arange(8))
    noise = np.sqrt(rng.uniform(0.2, 1.5, 120)) * rng.standard_normal((400, 120))
    return rng.standard_normal((400, 8)) @ loadings.T + noise + rng.normal(0, 3, 120)


TABLES = {
    "diabetes": lambda: datasets.load_diabetes().data,
    "wine": lambda: datasets.load_wine().data,
    "breast cancer": lambda: datasets.load_breast_cancer().data,
    "housing, generated": housing,
    "low rank, generated": lambda: low_rank()[0],
    "factors, generated": factors,
}


def filled(peer, X, seed):
    """X without holes, and the seconds that it took."""
    imputer = PEERS[peer]()
    if "random_state" in imputer.get_params():
        imputer.set_params(random_state=seed)
    start = perf_counter()
    if peer.startswith(OURS):
        return imputer.fit_transform(X), perf_counter() - start
    mean, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    Z = imputer.fit_transform((X - mean) / scale)
    return Z * scale + mean, perf_counter() - start


def hidden_error(peer, table, share, seeds, setting):
    X = np.load(table) if Path(table).suffix == ".npy" else TABLES[table]()
    X = X.astype(setting.dtype)
    scale, errors, seconds = np.nanstd(X, axis=0), [], []
    for seed in range(seeds):
        hidden = (np.random.default_rng(seed).random(X.shape) < share) & ~np.isnan(X)
        hidden[(hidden | np.isnan(X)).all(axis=1)] = False
        Z, took = filled(peer, np.where(hidden, np.nan, X), seed)
        errors.append(np.sqrt(np.mean(((Z - X) / scale)[hidden] ** 2, dtype=np.float64)))
        seconds.append(took)
    return {"error": float(np.mean(errors)), "seconds": float(np.mean(seconds)), "shape": X.shape}


def true_error(peer, noise, seeds, setting):
    errors, seconds = [], []
    for seed in range(seeds):
        X, truth = low_rank(noise, seed)
        hidden = np.random.default_rng(seed).random(X.shape) < 0.7
        Z, took = filled(peer, np.where(hidden, np.nan, X).astype(setting.dtype), seed)
        errors.append(np.sqrt(np.mean((Z - truth)[hidden] ** 2)))
        seconds.append(took)
    return {"error": float(np.mean(errors)), "seconds": float(np.mean(seconds)), "shape": X.shape}


def cases(args):
    seeds = 1 if args.small else args.seeds
    names = [*TABLES, *args.table] if not args.small else ["diabetes", "wine"]
    listed = [
        Case(f"{Path(name).stem}, {share:.0%} hidden", peer, run)
        for share in (0.2, 0.5)
        for name in names
        for peer in PEERS
        for run in [partial(hidden_error, peer, name, share, seeds)]
    ]
    return listed + [
        Case(f"70 % hidden, noise {noise}", peer, partial(true_error, peer, noise, seeds))
        for noise in ((0, 0.1, 0.3) if not args.small else (0.1,))
        for peer in PEERS
    ]


def report(rows):
    """A line a table: errors, seconds, and how we compare with the best and the slowest."""
    lines = []
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        for key in dict.fromkeys((row["threads"], row["dtype"]) for row in members):
            row_of = {r["peer"]: r for r in members if (r["threads"], r["dtype"]) == key}
            if not all("error" in row_of.get(peer, {}) for peer in PEERS):
                continue
            ours, *others = (row_of[peer] for peer in PEERS)
            best = min(row["error"] for row in others)
            shape = " x ".join(map(str, ours["shape"]))
            errors = [number(row["error"], 4) for row in (ours, *others)]
            seconds = [number(row["seconds"], 2) for row in (ours, *others)]
            excess = f"{ours['error'] / best - 1:+.1%}"
            faster = number(others[-1]["seconds"] / ours["seconds"], 2)
            lines.append([group, shape, *key, *errors, excess, *seconds, faster])
    names = ["ours", "Simple", "KNN", "Iterative"]
    header = ["table", "shape", "threads", "dtype", *(f"error {name}" for name in names)]
    header += ["ours beside the best peer", *(f"seconds {name}" for name in names)]
    print_table("Imputation", [*header, "Iterative / ours"], lines)


def add_arguments(parser):
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="append", default=[], help="path of another table, .npy")


if __name__ == "__main__":
    main(cases, add_arguments, report)
