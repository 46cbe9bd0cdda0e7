"""Data and parameters that are valid, and hardly what was meant: warnings that say so.

Each of them is silent where a doubt is left, as nobody can switch it off one by one.
"""

import re

import numpy as np
from scipy import sparse

from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.utils._warnings import is_called_by, warn

# Ratings are judged by so many of them.
N_EXAMPLES = 10_000
# Grades of ratings, at most; what counts take is not bounded.
MOST_GRADES = 20
# Of a table of users and items no pair should come twice by chance before it is taken for one.
TWINS_BY_CHANCE = 8
FEWEST_IDS = 10
# A table of millions of rows is known by its first.
MOST_ROWS = 100_000
NAME = re.compile("(user|customer|item|movie|product|rating)s?[_ ]?(id|number)?", re.IGNORECASE)


def warn_of_traps(estimator, X, loss, has_entry_weight):
    """Say what in data and parameters is hardly meant, before they are fitted.

    Parameters
    ----------
    estimator : BaseFactorization
        Its parameters are valid.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated data.
    loss : BaseLoss or ColumnLosses
        Resolved.
    has_entry_weight : bool
        Whether there are weights of entries: they tell which entries count.
    """
    _warn_of_a_single_penalty(estimator, X)
    if sparse.issparse(X):
        has_sample_bias = estimator.bias in ("samples", "both")
        if estimator.unstored == "zero" and has_sample_bias and not has_entry_weight:
            _warn_of_ratings(estimator.bias, X, loss)
        return
    if estimator.unstored == "missing" and not np.isnan(X.sum()):
        warn(
            "unstored='missing' is about sparse X, and X is dense: nothing in it is missing, and "
            "zeros are observed. Put NaN where entries are missing, or pass a sparse matrix."
        )
    names = getattr(estimator, "feature_names_in_", None)
    if X.shape[1] in (3, 4) and (_names_pairs(names) or _holds_pairs(X)):
        warn(
            f"X has {X.shape[1]} columns, of which the first two look like numbers of users and "
            "items: a table of (user, item, rating)? Rows of X must be samples, and columns "
            "features. Fit scipy.sparse.csr_array((ratings, (users, items))) instead, with "
            "unstored='missing'."
        )


def warn_of_weights_as_y(y, sample_weight):
    """Say that y is not used, where it may be the weights of samples, by their place.

    In a pipeline, or a search, y is what others predict: only who calls `fit` may mean weights.

    Parameters
    ----------
    y : array-like or None
        What `fit` got.
    sample_weight : array-like or None
        Likewise.
    """
    if y is None or sample_weight is not None or is_called_by("sklearn"):
        return
    y = np.asarray(y)
    if y.dtype.kind != "f" or y.ndim != 1 or not (y >= 0).all() or (y == np.rint(y)).all():
        return
    warn(
        "y is not used: fit(X, y) takes it by convention. If these are weights of samples, pass "
        "them as sample_weight=..."
    )


def warn_of_short_rows(estimator, observations: ObservedMatrix, width):
    """Say which rows have too few entries for their codes to be determined.

    Parameters
    ----------
    estimator : BaseFactorization
        Fitted.
    observations : ObservedMatrix
        The rows.
    width : int
        How many numbers the code of a row has.
    """
    if getattr(estimator, "alpha_W_", estimator.alpha_W) != 0 or getattr(
        estimator, "positive", True
    ) in (True, "W"):
        return
    if observations.complete:
        return
    n_entries = observations.n_in_row()
    # A complete row tells as much of a code as there is to know.
    short = np.flatnonzero((n_entries > 0) & (n_entries < min(width, observations.shape[1])))
    if len(short):
        warn(
            f"{len(short)} of {observations.shape[0]} samples have fewer observed entries than "
            f"their codes have numbers ({width}), the first is row {short[0]} with "
            f"{n_entries[short[0]]}: without a penalty many codes fit them equally well, and "
            "predictions may lie far beyond the data. Use alpha_W > 0."
        )


def _warn_of_a_single_penalty(estimator, X):
    alphas = {"alpha_W": estimator.alpha_W, "alpha_H": estimator.alpha_H}
    if alphas["alpha_H"] == "same":
        return
    values = X.data if sparse.issparse(X) else X
    is_complete = estimator.unstored == "zero" or not sparse.issparse(X)
    chosen = float(not is_complete or np.isnan(values.sum()))  # "auto": none of complete X
    free = [name for name, alpha in alphas.items() if (chosen if alpha == "auto" else alpha) == 0]
    if len(free) == 1:
        [penalized] = set(alphas) - set(free)
        warn(
            f"{penalized}={alphas[penalized]} has hardly any effect where {free[0]}=0: the "
            "penalized factor becomes small and the other one large, and their product stays "
            f"what it was. Use {free[0]} > 0, or alpha_H='same'."
        )


def _warn_of_ratings(bias, X, loss):
    """A sparse matrix of ratings whose unstored entries would count as zeros.

    Ratings are few, of several grades above zero, and the lowest is not the most frequent, as it
    is of counts. Losses for counts and classes know their zeros.
    """
    share = X.nnz / (X.shape[0] * X.shape[1])
    if not 0 < share < 0.5 or any(hasattr(part, "check_data") for part in loss.parts):
        return
    grades, counts = np.unique(X.data[:: -(-X.nnz // N_EXAMPLES)], return_counts=True)
    if not (grades[0] > 0 and 1 < len(grades) <= MOST_GRADES) or np.argmax(counts) == 0:
        return
    warn(
        f"Of the entries of sparse X {share:.2%} are stored, all positive: they look like "
        f"ratings, and bias={bias!r} counts all others as ratings of zero. Use "
        "unstored='missing' if nobody has rated them."
    )


def _names_pairs(names):
    """Whether at least two columns are called after users, items or ratings."""
    if names is None:
        return False
    found = filter(None, (NAME.fullmatch(str(name)) for name in names))
    return len({match[1].lower() for match in found}) > 1


def _holds_pairs(X):
    """Whether the first columns hold numbers of users and items, none of them without repeats.

    Of two columns that are no such numbers, as many pairs would be equal as chance has it.
    """
    X = X[:MOST_ROWS]
    ids = X[:, :2]
    if not np.array_equal(ids, np.floor(ids)) or ids.min() < 0 or ids.max() >= 2**31:
        return False
    ids = ids.astype(np.int64)
    n_ids = [len(np.unique(column)) for column in ids.T]
    if min(n_ids) < FEWEST_IDS:
        return False
    n_pairs = len(np.unique(ids[:, 0] << 32 | ids[:, 1]))
    by_chance = len(X) ** 2 / (2 * n_ids[0] * n_ids[1])
    if n_pairs == len(X) and by_chance >= TWINS_BY_CHANCE:
        return True
    # Drawn at random, with pairs that come twice: numbered from the first to the last, and graded.
    is_numbered = all(
        column.min() in (0, 1) and column.max() - column.min() < 1.1 * n
        for column, n in zip(ids.T, n_ids, strict=True)
    )
    n_grades = len(np.unique(X[:, 2]))
    return is_numbered and len(X) > 2 * max(n_ids) and n_grades <= min(*n_ids, MOST_GRADES) / 2
