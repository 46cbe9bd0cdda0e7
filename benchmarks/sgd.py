"""Stochastic gradient descent against libmf, each at its own best setting.

The data: a million generated ratings as in `ratings.py`, and MovieLens 100k if its u.data is
given, of which a tenth is held out. Half of the held-out ratings choose the setting, out of the
same grid of penalties, learning rates and epochs for both; the other half gives the errors. Best
is, for both, the setting of fewest epochs within 0.001 of the lowest error.

Both run in the same process with the same threads, one after the other and in turns, on data that
each has in its own format before the clock starts. libmf knows no biases, and gets ratings less
their mean. Our time is that of ``fit_transform``: with the start, the objective after every epoch,
and the codes. The last line of each is the fewest epochs of ours that are as good as libmf's best.
"""

from functools import partial
from itertools import product
from statistics import median
from time import perf_counter

import numpy as np
from _harness import Case, main, number, print_table
from ratings import factors_of_ours, held_out_rmse, load, with_biases
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import SGD

PENALTIES = (0.05, 0.08, 0.12, 0.18)
RATES = (0.05, 0.1, 0.2, 0.4)
EPOCHS = (5, 10, 20, 40)
RANK = 32
# Of the settings within so much of a peer's lowest RMSE, the one of fewest epochs is its best.
TOLERANCE = 0.001


def movielens(path):
    """Training matrix and held-out ratings, both float32."""
    users, items, values = np.loadtxt(path, usecols=(0, 1, 2), unpack=True)
    users, items = users.astype(np.int32) - 1, items.astype(np.int32) - 1
    held = np.random.default_rng(0).random(len(values)) < 0.1
    X = sparse.csr_array(
        (values[~held].astype(np.float32), (users[~held], items[~held])),
        shape=(users.max() + 1, items.max() + 1),
    )
    return X, (users[held], items[held], values[held])


class Ours:
    name = "sklearn_mf"

    def __init__(self, X, threads):
        self.X = X

    def fit(self, penalty, rate, epochs):
        model = MatrixFactorization(
            RANK,
            solver=SGD(learning_rate=rate),
            bias="both",
            alpha_W=penalty,
            unstored="missing",
            max_iter=epochs,
            tol=0,
            random_state=0,
        )
        return model, model.fit_transform(self.X)

    def factors(self, fitted):
        return factors_of_ours(fitted)

    def same_bits(self, *setting):
        """Whether one thread and two give the same."""
        found = []
        for n in (1, 2):
            with threadpool_limits(n, user_api="openmp"):
                model, W = self.fit(*setting)
                found.append((W, model.components_, model.feature_bias_))
        return all(np.array_equal(*pair) for pair in zip(*found, strict=True))


class Libmf:
    name = "libmf"

    def __init__(self, X, threads):
        self.shape, self.threads, self.mean = X.shape, threads, X.data.mean(dtype=np.float64)
        X = X.tocoo()
        self.triples = np.column_stack([X.row, X.col, X.data - self.mean]).astype(np.float32)

    def fit(self, penalty, rate, epochs):
        from libmf import mf

        engine = mf.MF(
            fun=mf.P_L2_MFR,
            k=RANK,
            nr_threads=self.threads,
            nr_iters=epochs,
            lambda_p1=0.0,
            lambda_q1=0.0,
            lambda_p2=penalty,
            lambda_q2=penalty,
            eta=rate,
            quiet=True,
        )
        engine.fit(self.triples)
        return engine

    def factors(self, engine):
        # The wrapper's predict() takes its input for transposed. Rows without any rating are
        # NaN, and those after the last one with ratings are left out.
        padded = []
        for found, length in zip((engine.p_factors(), engine.q_factors()), self.shape, strict=True):
            factor = np.zeros((length, RANK))
            factor[: len(found)] = np.nan_to_num(found)
            padded.append(factor)
        return with_biases(*padded, self.mean, 0)


def cheapest(errors, allowed):
    """The setting of fewest epochs, the best of these, whose error is allowed."""
    found = [setting for setting, error in errors.items() if error <= allowed]
    return min(found, key=lambda setting: (setting[2], errors[setting]), default=None)


def compare(data, setting):
    X, held = data()
    half = np.random.default_rng(1).random(len(held[0])) < 0.5
    choosing, reporting = (tuple(part[mask] for part in held) for mask in (half, ~half))
    peers = [Ours(X, setting.threads), Libmf(X, setting.threads)]
    grid = list(product(PENALTIES, RATES, EPOCHS))
    searched = [
        {s: held_out_rmse(peer.factors(peer.fit(*s)), choosing) for s in grid} for peer in peers
    ]
    best = [cheapest(errors, min(errors.values()) + TOLERANCE) for errors in searched]
    runs = [(peers[0], best[0]), (peers[1], best[1])]
    if (as_good := cheapest(searched[0], searched[1][best[1]])) is not None:
        runs.append((peers[0], as_good))
    seconds, errors = [[] for _ in runs], [[] for _ in runs]
    for _ in range(setting.repeats):
        for i, (peer, chosen) in enumerate(runs):
            start = perf_counter()
            fitted = peer.fit(*chosen)
            seconds[i].append(perf_counter() - start)
            errors[i].append(held_out_rmse(peer.factors(fitted), reporting))
    lines = [
        {"peer": peer.name, "setting": chosen, "seconds": median(s), "error": median(e)}
        for (peer, chosen), s, e in zip(runs, seconds, errors, strict=True)
    ]
    return {"lines": lines, "same_bits": peers[0].same_bits(*best[0]), "n_ratings": X.nnz}


def generated(small):
    shape = (2_000, 500, 60_000) if small else (20_000, 4_000, 1_111_111)
    return load(shape, np.float32)


def cases(args):
    single = ("float32",)
    found = [Case("Generated ratings", "both", partial(compare, partial(generated, args.small)))]
    if args.movielens:
        run = partial(compare, partial(movielens, args.movielens))
        found.append(Case("MovieLens 100k", "both", run))
    return [Case(c.group, c.peer, c.run, "libmf", single) for c in found]


def report(rows):
    header = "peer, penalty, learning rate, epochs, seconds (median), held-out RMSE, "
    header += "time over libmf's, RMSE less libmf's"
    for row in rows:
        if "lines" not in row:
            print(row)
            continue
        theirs = row["lines"][1]
        title = f"{row['group']}, {row['n_ratings']}, {row['threads']} threads, k = {RANK}"
        lines = [
            [
                line["peer"],
                *line["setting"],
                number(line["seconds"]),
                number(line["error"], 5),
                number(line["seconds"] / theirs["seconds"]),
                f"{line['error'] - theirs['error']:+.4f}",
            ]
            for line in row["lines"]
        ]
        print_table(title, header.split(", "), lines)
        print(f"\nOurs has the same bits with one thread and with two: {row['same_bits']}.")


def add_arguments(parser):
    parser.add_argument("--movielens", metavar="PATH", help="u.data of MovieLens 100k")


if __name__ == "__main__":
    main(cases, add_arguments, report)
