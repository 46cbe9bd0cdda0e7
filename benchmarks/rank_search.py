"""The rank by cross-validation, against one fit at the largest rank.

Ranks 1 to 30 with five folds, the fit of the chosen rank to all ratings included, beside one fit
of rank 30 with the same parameters. The data are generated ratings as in `ratings.py`, or with
`--movielens PATH/u.data` those of MovieLens 100k. The note has the errors along the path beside
those of fits of their own: root mean squares over the same hidden fifth of the ratings.
"""

import warnings
from functools import partial

import numpy as np
from _harness import Case, main, measure
from ratings import ALPHA, load
from scipy import sparse

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.model_selection import EntryKFold

CHECKED = (2, 5, 10, 20, 30)


def ratings(path, shape, dtype):
    if path is None:
        return load(shape, dtype)[0]
    users, items, values = np.loadtxt(path, usecols=(0, 1, 2), unpack=True)
    cells = users.astype(np.int32) - 1, items.astype(np.int32) - 1
    return sparse.csr_array(sparse.coo_array((values.astype(dtype), cells)))


def model(bias):
    return MatrixFactorization(30, alpha_W=ALPHA, bias=bias, unstored="missing", random_state=0)


def one_fit(bias, path, shape, setting):
    X = ratings(path, shape, setting.dtype)
    fitted, result = measure(lambda: model(bias).fit(X), setting.repeats)
    return {**result, "note": f"{fitted.n_iter_} iterations"}


def search(bias, path, shape, setting):
    X = ratings(path, shape, setting.dtype)
    fitted, result = measure(
        lambda: RankSearchCV(model(bias), range(1, 31), random_state=0).fit(X), setting.repeats
    )
    return {**result, "note": f"chosen: {fitted.best_rank_}"}


def errors(bias, path, shape, setting):
    X = ratings(path, shape, setting.dtype)
    fold = [next(EntryKFold(5, random_state=0).split(X))]

    def error_of(ranks):
        found = RankSearchCV(model(bias), ranks, cv=fold, refit=False, random_state=0).fit(X)
        return np.sqrt(-found.cv_results_["mean_test_score"])

    warnings.simplefilter("ignore")
    path_errors = error_of(range(1, 31))
    pairs = (f"{k}: {path_errors[k - 1]:.4f} ({error_of([k])[0]:.4f})" for k in CHECKED)
    return {"note": "errors on the path (own fits) " + ", ".join(pairs)}


def cases(args):
    shape = (2_000, 500, 60_000) if args.small else (20_000, 2_000, 1_000_000)
    return [
        Case(f"bias={bias!r}", name, partial(run, bias, args.movielens, shape))
        for bias in (False, "both")
        for name, run in (
            ("sklearn_mf, one fit at rank 30", one_fit),
            ("RankSearchCV, ranks 1 to 30", search),
            ("errors", errors),
        )
    ]


def add_arguments(parser):
    parser.add_argument("--movielens", metavar="PATH", help="u.data of MovieLens 100k")


if __name__ == "__main__":
    main(cases, add_arguments)
