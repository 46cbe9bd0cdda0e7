"""Filling holes in tables, without choosing a parameter: against scikit-learn's imputers.

Entries are hidden from tables that come with scikit-learn, from generated ones and, with
`--data FOLDER`, from small real sets that the project does not ship. They are hidden at random, by
value (the chance grows with the rank of a value in its column, up to twice the share) or in blocks
(a fifth of the rows misses a quarter of the columns, until that is the share). The error is the
root mean square over hidden entries, each column in units of its own standard deviation, but of raw
tables in one unit. Every imputer has its default parameters, `KNNImputer` 5 and 20 neighbours. The
peers get columns standardized by what is observed, but raw ones as they are; ours gets all as they
are. Six tables served while the default of `FactorizationImputer` was designed, the others were
looked at in the end.

The last table ranks the imputers: 1 is the most accurate of a table, with standard errors over
tables and ways of hiding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from warnings import catch_warnings, simplefilter

import numpy as np
from _harness import OURS, Case, main, number, print_table
from scipy.io import loadmat
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_mf import FactorizationImputer

# Entries, and columns, at most with which these peers are worth waiting for.
TREES, ITERATIVE = 2500, 100


def trees(random_state):
    """Like MissForest."""
    regressor = ExtraTreesRegressor(20, n_jobs=1, random_state=random_state)
    return IterativeImputer(regressor, max_iter=5, random_state=random_state)


PEERS = {
    f"{OURS} FactorizationImputer": lambda seed: FactorizationImputer(random_state=seed),
    "SimpleImputer": lambda seed: SimpleImputer(),
    "KNNImputer, 5": lambda seed: KNNImputer(),
    "KNNImputer, 20": lambda seed: KNNImputer(n_neighbors=20),
    "IterativeImputer": lambda seed: IterativeImputer(random_state=seed),
    "trees": trees,
}
WAYS = [("random", 0.1), ("random", 0.3), ("random", 0.5), ("value", 0.3), ("blocks", 0.3)]


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


def factors():
    """Eight factors of falling importance, noise of its own in every one of 120 columns."""
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((120, 8)) * np.exp(-0.3 * np.arange(8))
    noise = np.sqrt(rng.uniform(0.2, 1.5, 120)) * rng.standard_normal((400, 120))
    return rng.standard_normal((400, 8)) @ loadings.T + noise + rng.normal(0, 3, 120)


def low_rank():
    """Rank 4, non-negative factors, and noise."""
    rng = np.random.default_rng(0)
    return rng.random((300, 4)) @ rng.random((4, 40)) + 0.3 * rng.standard_normal((300, 40))


def mixed(n_samples=1500):
    """Amounts, counts, grades and yes or no, of two hidden traits."""
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, n_samples))
    noise = rng.standard_normal((5, n_samples))
    amounts = np.exp(np.array([one, one + two, -two, one - two]) * 0.8 + 0.5 * noise[:4])
    counts = rng.poisson(np.exp(np.array([one, two, 0.5 * (one + two)]) + 1))
    grades = np.clip(np.rint(3 + one + 0.7 * noise[4]), 1, 5)
    answers = np.array([one, two, one + two]) + rng.logistic(size=(3, n_samples)) > 0
    return np.vstack([amounts, counts, grades, answers]).T


def curves(n_samples=800):
    """The coordinates of a rolled sheet, seen by eight instruments."""
    sheet, _ = datasets.make_swiss_roll(n_samples, noise=0.3, random_state=0)
    rng = np.random.default_rng(0)
    bent = np.abs(sheet[:, 0]), np.hypot(sheet[:, 0], sheet[:, 2])
    views = np.column_stack([sheet, *bent, sheet @ rng.standard_normal((3, 3))])
    return views + 0.2 * views.std(axis=0) * rng.standard_normal(views.shape)


def digits():
    """Pixels that are not always white."""
    X = datasets.load_digits().data
    return X[:, X.std(axis=0) > 0]


def faces(folder):
    """In a quarter of the rows and of the columns of pixels."""
    pixels = np.load(folder / "olivetti.npz")["data"].reshape(-1, 16, 4, 16, 4)
    return pixels.mean(axis=(2, 4)).reshape(-1, 256)


def words(folder):
    """The most frequent ones of two newsgroups."""
    X = loadmat(folder / "PCMAC.mat")["X"]
    X = np.asarray(X.todense() if hasattr(X, "todense") else X, dtype=float)
    return X[:, np.argsort(-(X > 0).sum(axis=0), kind="stable")[:60]]


def ratings(folder):
    """Users and films with the most ratings of MovieLens 100K."""
    users, films, values = np.loadtxt(folder / "ml-100k.u.data", dtype=int).T[:3]
    X = np.full((users.max() + 1, films.max() + 1), np.nan)
    X[users, films] = values
    X = X[:, np.argsort(np.isnan(X).sum(axis=0), kind="stable")[:60]]
    return X[np.argsort(np.isnan(X).sum(axis=1), kind="stable")[:300]]


@dataclass(frozen=True)
class Table:
    """A table, the half that it belongs to, and whether its columns have one unit."""

    half: str
    load: Callable
    raw: bool = False
    needs_folder: bool = False


TABLES = {
    "digits, scaled": Table("design", digits),
    "breast cancer": Table("design", lambda: datasets.load_breast_cancer().data),
    "classes, generated": Table(
        "design", lambda: datasets.make_classification(3000, 40, random_state=0)[0]
    ),
    "wine": Table("design", lambda: datasets.load_wine().data),
    "diabetes": Table("design", lambda: datasets.load_diabetes().data),
    "low rank, generated": Table("design", low_rank),
    "digits, raw": Table("test", digits, raw=True),
    "iris": Table("test", lambda: datasets.load_iris().data),
    "linnerud": Table("test", lambda: np.hstack(datasets.load_linnerud(return_X_y=True))),
    "housing, generated": Table("test", housing),
    "factors, generated": Table("test", factors),
    "mixed, generated": Table("test", mixed),
    "curves, generated": Table("test", curves),
    "faces": Table("test", faces, raw=True, needs_folder=True),
    "words": Table("test", words, needs_folder=True),
    "ratings": Table("test", ratings, needs_folder=True),
    "yeast": Table("test", lambda folder: np.load(folder / "yeast_nan.npy"), needs_folder=True),
}


def hide(X, way, share, seed):
    """Where to hide entries: never all of a row, nor more than all but three of a column."""
    rng = np.random.default_rng(seed + 1000)
    n, p = X.shape
    if way == "random":
        hidden = rng.random(X.shape) < share
    elif way == "value":
        ties = 1e-9 * np.nanstd(X, axis=0) * rng.standard_normal(X.shape)
        ranks = (np.argsort(np.argsort(X + ties, axis=0), axis=0) + 0.5) / n
        hidden = rng.random(X.shape) < np.clip(2 * share * ranks, 0, 0.95)
    else:
        hidden = np.zeros(X.shape, dtype=bool)
        while hidden.mean() < share:
            rows = rng.choice(n, max(2, n // 5), replace=False)
            hidden[np.ix_(rows, rng.permutation(p)[: max(1, p // 4)])] = True
    hidden &= ~np.isnan(X)
    hidden[(hidden | np.isnan(X)).all(axis=1)] = False
    hidden[:, (hidden | np.isnan(X)).sum(axis=0) > n - 3] = False
    return hidden


def filled(peer, X, seed, raw):
    """X without holes, and the seconds that it took."""
    imputer = PEERS[peer](seed)
    start = perf_counter()
    if raw or peer.startswith(OURS):
        return imputer.fit_transform(X), perf_counter() - start
    mean, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    scale[scale == 0] = 1
    Z = imputer.fit_transform((X - mean) / scale)
    return Z * scale + mean, perf_counter() - start


def is_worth_waiting_for(peer, X):
    if peer == "trees":
        return X.size <= TREES
    return peer != "IterativeImputer" or X.shape[1] <= ITERATIVE


def hidden_error(peer, name, folder, way, share, seeds, setting):
    table = TABLES[name]
    X = table.load(Path(folder)) if table.needs_folder else table.load()
    X = X.astype(setting.dtype)
    if not is_worth_waiting_for(peer, X):
        return {"shape": X.shape}
    scale = np.full(X.shape[1], np.nanstd(X)) if table.raw else np.nanstd(X, axis=0)
    errors, seconds = [], []
    for seed in range(seeds):
        hidden = hide(X, way, share, seed)
        with catch_warnings():
            simplefilter("ignore")
            Z, took = filled(peer, np.where(hidden, np.nan, X), seed, table.raw)
        errors.append(np.sqrt(np.mean(((Z - X) / scale)[hidden] ** 2, dtype=np.float64)))
        seconds.append(took)
    return {"error": float(np.mean(errors)), "seconds": float(np.mean(seconds)), "shape": X.shape}


def cases(args):
    seeds = 1 if args.small else args.seeds
    names = [
        name
        for name, table in TABLES.items()
        if (args.data or not table.needs_folder) and args.half in (None, table.half)
    ]
    return [
        Case(f"{name}, {share:.0%} {way}", peer, run)
        for name in (names if not args.small else ["diabetes", "wine"])
        for way, share in WAYS
        for peer in PEERS
        for run in [partial(hidden_error, peer, name, args.data, way, share, seeds)]
    ]


def report(rows):
    """A line a table: errors, and how ours compares with the best. Then the ranks."""
    lines, ranks = [], {"design": [], "test": []}
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        half = TABLES[group.rpartition(", ")[0]].half
        for key in dict.fromkeys((row["threads"], row["dtype"]) for row in members):
            row_of = {r["peer"]: r for r in members if (r["threads"], r["dtype"]) == key}
            found = [row_of.get(peer, {}) for peer in PEERS]
            errors = np.array([row.get("error", np.nan) for row in found])
            if np.isnan(errors[0]) or np.isnan(errors[1:5]).all():
                continue
            ranks[half].append(rankdata(errors, nan_policy="omit"))
            cells = ["-" if np.isnan(error) else number(error, 3) for error in errors]
            seconds = [
                number(found[i]["seconds"], 2) if "seconds" in found[i] else "-" for i in (0, 4)
            ]
            excess = f"{errors[0] / np.nanmin(errors[1:5]) - 1:+.1%}"
            shape = " x ".join(map(str, found[0]["shape"]))
            lines.append([group, half, shape, *key, *cells, excess, *seconds])
    names = [peer.removeprefix(OURS).strip() for peer in PEERS]
    header = ["table", "half", "shape", "threads", "dtype", *names]
    header += ["beside the best but trees", "ours (s)", "Iterative (s)"]
    print_table("Imputation", header, lines)
    print_ranks(ranks, names)


def print_ranks(ranks, names):
    lines = []
    for half, values in ranks.items():
        if values:
            mean = np.nanmean(values, axis=0)
            error = np.nanstd(values, axis=0) / np.sqrt(np.isfinite(values).sum(axis=0))
            cells = [f"{m:.2f} ± {e:.2f}" for m, e in zip(mean, error, strict=True)]
            lines.append([half, len(values), *cells])
    print_table("Ranks", ["half", "tables", *names], lines)


def add_arguments(parser):
    parser.add_argument("--seeds", type=int, default=5, help="masks of each table")
    parser.add_argument("--half", choices=["design", "test"], help="only these tables")
    parser.add_argument("--data", help="folder of sets that the project does not ship")


if __name__ == "__main__":
    main(cases, add_arguments, report)
