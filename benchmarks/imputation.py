"""Filling holes in tables, without choosing a parameter: against scikit-learn's imputers.

Entries are hidden from tables that come with scikit-learn, from generated ones and, with
`--data FOLDER`, from small real sets that the project does not ship. They are hidden at random, by
value (the chance grows with the rank of a value in its column, up to twice the share) or in blocks
(a fifth of the rows misses a quarter of the columns, until that is the share). The error is the
root mean square over hidden entries, each column in units of its own standard deviation, but of raw
tables in one unit. Every imputer has its default parameters, `KNNImputer` 5 and 20 neighbours; of
the nuclear norm (softImpute) the strength is cross-validated. The peers get columns standardized by
what is observed, but raw ones as they are; ours gets all as they are. Six tables served while the
default of `FactorizationImputer` was designed, the others are for the end.

Every imputer fills five masks of a table for each way of hiding, the first of every way before the
second of any, until it has taken as many seconds as it may (`--budget`). Imputers are compared on
masks that both have filled. Seconds are those of the processor, on one thread.

A whole run takes about an hour of a quiet machine. `--results FILE` keeps what is done, so that a
run that was cut off goes on; `--table NAME` and `--half` run a part. Cheap imputers come first,
trees last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter, process_time
from warnings import catch_warnings, simplefilter

import numpy as np
from _harness import OURS, Case, main, number, print_table
from scipy.io import loadmat
from scipy.stats import rankdata
from sklearn import datasets
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_mf import FactorizationImputer, MatrixFactorization
from sklearn_mf.model_selection import cross_val_entries

# Entries at most with which trees are worth waiting for.
TREES = 20_000
# Seeds of the imputer itself, with one mask.
N_SPREAD = 12


def trees(random_state):
    """Like MissForest."""
    regressor = ExtraTreesRegressor(20, n_jobs=1, random_state=random_state)
    return IterativeImputer(regressor, max_iter=5, random_state=random_state)


class NuclearNorm:
    """What softImpute minimizes, at the strength that predicts hidden entries best.

    Strengths are halved from the largest singular value of noise on.
    """

    def __init__(self, random_state):
        self.random_state = random_state

    def fit_transform(self, X):
        unit = np.nanstd(X) * np.sqrt(X.shape).sum()
        models = [
            MatrixFactorization(
                min(*X.shape, 50),
                alpha_W=unit / 2**halvings,
                alpha_scaling=0,
                bias="features",
                random_state=self.random_state,
            )
            for halvings in range(1, 6)
        ]
        scores = [cross_val_entries(model, X, cv=3)["test_score"].mean() for model in models]
        return FactorizationImputer(models[np.argmax(scores)]).fit_transform(X)


PEERS = {
    f"{OURS} FactorizationImputer": lambda seed: FactorizationImputer(random_state=seed),
    "SimpleImputer": lambda seed: SimpleImputer(),
    "KNNImputer, 5": lambda seed: KNNImputer(),
    "KNNImputer, 20": lambda seed: KNNImputer(n_neighbors=20),
    "IterativeImputer": lambda seed: IterativeImputer(random_state=seed),
    "nuclear norm": NuclearNorm,
    "trees": trees,
}
OWN = next(iter(PEERS))
WAYS = {
    "10 %": ("random", 0.1),
    "30 %": ("random", 0.3),
    "50 %": ("random", 0.5),
    "by value": ("value", 0.3),
    "blocks": ("blocks", 0.3),
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
    """X without holes."""
    imputer = PEERS[peer](seed)
    if raw or peer == OWN:
        return imputer.fit_transform(X)
    mean, scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    scale[scale == 0] = 1
    return imputer.fit_transform((X - mean) / scale) * scale + mean


def hidden_errors(peer, name, args, setting):
    """The error of every mask, and the mean seconds of one."""
    table = TABLES[name]
    X = table.load(Path(args.data)) if table.needs_folder else table.load()
    X = X.astype(setting.dtype)
    scale = np.full(X.shape[1], np.nanstd(X)) if table.raw else np.nanstd(X, axis=0)
    result = {"shape": X.shape, "errors": {way: [] for way in WAYS}}
    if peer == "trees" and X.size > TREES:
        return result

    def error(way, mask, seed):
        hidden = hide(X, *WAYS[way], mask)
        with catch_warnings():
            simplefilter("ignore")
            Z = filled(peer, np.where(hidden, np.nan, X), seed, table.raw)
        return np.sqrt(np.mean(((Z - X) / scale)[hidden] ** 2, dtype=np.float64))

    seconds, elapsed = [], []
    for mask, way in product(range(args.seeds), WAYS):
        begun, started = process_time(), perf_counter()
        result["errors"][way].append(error(way, mask, mask))
        seconds.append(process_time() - begun)
        elapsed.append(perf_counter() - started)
        if sum(seconds) > args.budget:
            break
    result |= {"seconds": float(np.mean(seconds)), "elapsed": float(np.mean(elapsed))}
    if peer == OWN:
        errors = [error("30 %", 0, seed) for seed in range(N_SPREAD)]
        result["spread"] = max(errors) / min(errors) - 1
    return result


def cases(args):
    names = [
        name
        for name, table in TABLES.items()
        if (args.data or not table.needs_folder) and args.half in (None, table.half)
    ]
    if args.small:
        names, args.seeds = ["diabetes", "wine"], 1
    if args.table:
        names = [name for name in TABLES if name in args.table]
    return [
        Case(name, peer, partial(hidden_errors, peer, name, args), OURS, ("float64",), (1,))
        for peer in PEERS
        for name in names
    ]


def report(rows):
    """Errors of ours beside the best other, ranks of all, and seconds, a line a table."""
    found = {}
    for row in rows:
        if "errors" in row:
            found.setdefault(row["group"], {})[row["peer"]] = row
    found = {name: found[name] for name in TABLES if OWN in found.get(name, {})}
    logs, lines = {}, []
    for name, peers in found.items():
        logs[name] = {way: _log_ratios(peers, way) for way in WAYS}
        shape = " x ".join(map(str, peers[OWN]["shape"]))
        cells = [_beside_the_best(peers, way, logs[name][way]) for way in WAYS]
        lines.append([name, TABLES[name].half, shape, *cells])
    print_table("Errors of ours, beside the best other", ["table", "half", "shape", *WAYS], lines)
    halves = {half: [n for n in logs if TABLES[n].half == half] for half in ("design", "test")}
    _print_ranks({half: [logs[name] for name in names] for half, names in halves.items() if names})
    _print_seconds(found)


def _log_ratios(peers, way):
    """Of every peer, the errors of a way beside ours of the same masks, as logarithms."""
    ours = np.array(peers[OWN]["errors"][way])
    ratios = {}
    for peer, row in peers.items():
        theirs = np.array(row["errors"][way])
        n = min(len(ours), len(theirs))
        if n:
            ratios[peer] = np.log(theirs[:n] / ours[:n])
    return ratios


def _beside_the_best(peers, way, logs):
    others = {peer: ratios for peer, ratios in logs.items() if peer != OWN}
    if not others:
        return "-"
    best = min(others, key=lambda peer: others[peer].mean())
    excess = 100 * np.expm1(-others[best].mean())
    cell = f"{number(np.mean(peers[OWN]['errors'][way]))}, {excess:+.1f}"
    n = len(others[best])
    if n > 1:
        cell += f" ± {100 * others[best].std(ddof=1) / n**0.5:.1f}"
    return f"{cell} % {best}" + (f" ({n} masks)" if n < len(logs[OWN]) else "")


def _print_ranks(halves):
    """Mean ranks, and errors as multiples of ours; standard errors over tables."""
    lines = []
    for half, tables in halves.items():
        means = [[[way.get(peer, np.nan) for peer in PEERS] for way in t.values()] for t in tables]
        logs = np.array([[[np.mean(peer) for peer in way] for way in t] for t in means])
        ranks = rankdata(logs, axis=2, nan_policy="omit")
        known = np.isfinite(logs[:, :, 0])
        best = known & ~(logs < 0).any(axis=2)
        behind = (logs < np.log(1 / 1.03)).any(axis=2)
        for what, values in ("rank", ranks), ("error", np.exp(logs)):
            cells = [_mean_and_error(values[:, :, j]) for j in range(len(PEERS))]
            lines.append([half, what, *cells])
        print(
            f"\n{half}: ours best in {best.sum()} of {known.sum()}, behind by more than 3 % in "
            f"{behind.sum()}"
        )
    print_table("Ranks, and errors beside ours", ["half", "", *map(_short, PEERS)], lines)


def _mean_and_error(values):
    """Of tables, each of which counts once."""
    of_tables = [np.nanmean(row) for row in values if np.isfinite(row).any()]
    if not of_tables:
        return "-"
    error = np.std(of_tables, ddof=1) / len(of_tables) ** 0.5 if len(of_tables) > 1 else np.nan
    return f"{np.mean(of_tables):.2f} ± {error:.2f}"


def _print_seconds(found):
    lines = []
    for name, peers in found.items():
        of_peers = [peers.get(peer, {}).get("seconds") for peer in PEERS]
        cells = ["-" if seconds is None else number(seconds, 2) for seconds in of_peers]
        iterative = peers.get("IterativeImputer", {})
        ratios = ["-", "-"]
        if "seconds" in iterative:
            ratios = [
                number(peers[OWN][which] / iterative[which], 2) for which in ("seconds", "elapsed")
            ]
        lines.append([name, f"{peers[OWN]['spread']:.1%}", *cells, *ratios])
    header = ["table", f"spread, {N_SPREAD} seeds", *map(_short, PEERS)]
    header += ["ours / Iterative", "elapsed"]
    print_table("Spread, and seconds of the processor a mask", header, lines)


def _short(peer):
    return "ours" if peer == OWN else peer


def add_arguments(parser):
    parser.add_argument("--seeds", type=int, default=5, help="masks of each table")
    parser.add_argument("--budget", type=float, default=120, help="seconds of an imputer a table")
    parser.add_argument("--half", choices=["design", "test"], help="only these tables")
    parser.add_argument("--table", action="append", help="only this one; may be repeated")
    parser.add_argument("--data", help="folder of sets that the project does not ship")


if __name__ == "__main__":
    main(cases, add_arguments, report)
