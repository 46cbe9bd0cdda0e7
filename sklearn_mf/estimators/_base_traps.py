"""Warnings about data and parameters that are valid, but are probably not what was intended.

Users cannot disable them one by one, so each of them stays silent in case of doubt.
"""

import re

import numpy as np
from scipy import sparse

from sklearn_mf.blocks import RowBlocks
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.utils._warnings import is_called_by, warn

# Number of stored entries that are examined.
N_EXAMPLES = 10_000
# Largest number of different ratings; counts take more different values.
MOST_GRADES = 20
# A table of random integers would contain at least this many repeated pairs of users and items.
TWINS_BY_CHANCE = 8
FEWEST_IDS = 10
# Number of rows that are examined.
MOST_ROWS = 100_000
NAME = re.compile("(user|customer|item|movie|product|rating)s?[_ ]?(id|number)?", re.IGNORECASE)


def warn_of_traps(estimator, X, loss, has_entry_weight):
    """Warn before the fit about data and parameters that are probably not intended.

    Parameters
    ----------
    estimator : BaseFactorization
        Its parameters are valid.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated data.
    loss : BaseLoss or ColumnLosses
        The loss with its columns resolved.
    has_entry_weight : bool
        Whether entry weights are given, which state which entries count.
    """
    if isinstance(X, RowBlocks):
        return  # whose values nobody has seen yet
    _warn_of_a_single_penalty(estimator, X)
    if sparse.issparse(X):
        has_sample_bias = estimator.bias in ("samples", "both")
        if estimator.unstored == "zero" and has_sample_bias and not has_entry_weight:
            _warn_of_ratings(estimator.bias, X, loss)
        return
    if estimator.unstored == "missing" and not np.isnan(X.sum()):
        warn(
            "unstored='missing' applies to sparse X only, but X is dense: none of its entries is "
            "missing, and zeros are observed. Set missing entries to NaN, or pass a sparse matrix."
        )
    names = getattr(estimator, "feature_names_in_", None)
    if X.shape[1] in (3, 4) and (_names_pairs(names) or _holds_pairs(X)):
        warn(
            f"X has {X.shape[1]} columns, of which the first two look like numbers of users and "
            "items. If this is a table of (user, item, rating), note that rows of X must be "
            "samples and columns features: fit scipy.sparse.csr_array((ratings, (users, items))) "
            "with unstored='missing', or see sklearn_mf.recommending.pivot_entries."
        )


def warn_of_weights_as_y(y, sample_weight):
    """Warn that y is not used if it may be sample weights that were passed by position.

    In a pipeline or a search, y is the target of other steps, so only direct calls of `fit` count.

    Parameters
    ----------
    y : array-like or None
        The argument of `fit`.
    sample_weight : array-like or None
        The argument of `fit`.
    """
    if y is None or sample_weight is not None or is_called_by("sklearn"):
        return
    y = np.asarray(y)
    if y.dtype.kind != "f" or y.ndim != 1 or not (y >= 0).all() or (y == np.rint(y)).all():
        return
    warn(
        "y is not used, fit(X, y) only accepts it by convention. If these are sample weights, pass "
        "them as sample_weight=..."
    )


def warn_of_short_rows(estimator, observations: ObservedMatrix, width):
    """Warn about rows with too few entries to determine their codes.

    Parameters
    ----------
    estimator : BaseFactorization
        Fitted.
    observations : ObservedMatrix
        The rows.
    width : int
        Number of coefficients in the code of a row.
    """
    if getattr(estimator, "alpha_W_", estimator.alpha_W) != 0 or getattr(
        estimator, "positive", True
    ) in (True, "W"):
        return
    if observations.complete:
        return
    n_entries = observations.n_in_row()
    # The codes of complete rows are determined as well as they can be.
    short = np.flatnonzero((n_entries > 0) & (n_entries < min(width, observations.shape[1])))
    if len(short):
        warn(
            f"{len(short)} of {observations.shape[0]} samples have fewer observed entries than "
            f"their codes have coefficients ({width}), the first is row {short[0]} with "
            f"{n_entries[short[0]]}. Without a penalty, many codes fit them equally well, and "
            "predictions may lie far outside the range of the data. Use alpha_W > 0."
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
            f"{penalized}={alphas[penalized]} has hardly any effect because {free[0]}=0: the "
            "penalized factor shrinks, the other one grows, and their product stays the same. "
            f"Use {free[0]} > 0, or alpha_H='same'."
        )


def _warn_of_ratings(bias, X, loss):
    """Warn about a sparse matrix of ratings whose unstored entries would count as zeros.

    Ratings take a few positive values, and the lowest is not the most frequent one, unlike that of
    counts. For losses of counts and of classes zeros are meaningful.
    """
    share = X.nnz / (X.shape[0] * X.shape[1])
    if not 0 < share < 0.5 or any(hasattr(part, "check_data") for part in loss.parts):
        return
    grades, counts = np.unique(X.data[:: -(-X.nnz // N_EXAMPLES)], return_counts=True)
    if not (grades[0] > 0 and 1 < len(grades) <= MOST_GRADES) or np.argmax(counts) == 0:
        return
    warn(
        f"Sparse X stores {share:.2%} of its entries, all of them positive. They look like "
        f"ratings, and with unstored='zero' and bias={bias!r} all other entries count as ratings "
        "of zero. Use unstored='missing' if these are unknown."
    )


def _names_pairs(names):
    """Whether the names of at least two columns refer to users, items or ratings."""
    if names is None:
        return False
    found = filter(None, (NAME.fullmatch(str(name)) for name in names))
    return len({match[1].lower() for match in found}) > 1


def _holds_pairs(X):
    """Whether the first two columns hold numbers of users and items, each of which repeats.

    In two columns of other integers, some pairs would be equal by chance.
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
    # Pairs may repeat if both columns are numbered without gaps and the third takes few values.
    is_numbered = all(
        column.min() in (0, 1) and column.max() - column.min() < 1.1 * n
        for column, n in zip(ids.T, n_ids, strict=True)
    )
    n_grades = len(np.unique(X[:, 2]))
    return is_numbered and len(X) > 2 * max(n_ids) and n_grades <= min(*n_ids, MOST_GRADES) / 2
