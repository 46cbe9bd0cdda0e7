"""Folds that hide blocks of sparse data with observed zeros: some columns of held-out rows."""

import numpy as np

from sklearn_mf.model_selection._split import BaseEntrySplit
from sklearn_mf.utils._hiding import random_block, random_columns
from sklearn_mf.utils._validation import Integral


def block_folds_of(cv, candidates, groups, rng):
    """Return masks of training rows, of held-out rows, and of the columns hidden in these.

    Parameters
    ----------
    cv : int, splitter or iterable
        Number of random blocks, or a way to split rows.
    candidates : Candidates
        The sparse X and the weights of samples.
    groups : array-like or None
        Groups for the splitter.
    rng : Generator
        Random numbers; see `hiding_stream`.

    Returns
    -------
    folds : list of tuple of three ndarrays of bool
        One block for each fold.

    Raises
    ------
    ValueError
        If cv does not split rows, or training and test rows overlap.
    """
    shape, weight = candidates.X.shape, candidates.params.get("sample_weight")
    if min(shape) < 2:
        raise ValueError(
            f"RankSearchCV cannot choose a rank: X has n_samples={shape[0]} and n_features="
            f"{shape[1]}, but blocks need two rows and two columns. Use n_components=1."
        )
    if isinstance(cv, Integral):
        blocks = [random_block(shape, weight, 1 / cv, rng) for _ in range(cv)]
        if not all(aside.any() for aside, _ in blocks):
            raise ValueError(
                f"cv={cv} cannot hold out a row: sample_weight is positive for fewer than two rows."
            )
        return [(~aside, aside, columns) for aside, columns in blocks]
    if isinstance(cv, BaseEntrySplit):
        raise ValueError(
            f"cv={cv!r} splits single entries, but for a sparse X with observed zeros, blocks are "
            "hidden: cv must be an int or a splitter of rows, such as KFold. If the unstored "
            "entries of X are missing, use unstored='missing' for the estimator. Otherwise pass "
            "X.toarray()."
        )
    folds = []
    for train, test in cv.split(candidates.X, groups=groups) if hasattr(cv, "split") else cv:
        parts = _mask(train, shape[0]), _mask(test, shape[0])
        if not all(part.any() for part in parts) or (parts[0] & parts[1]).any():
            raise ValueError(
                "cv must give each fold training rows and different test rows. One fold has "
                f"{int(parts[0].sum())} training rows and {int(parts[1].sum())} test rows, of "
                f"which {int((parts[0] & parts[1]).sum())} are in both."
            )
        folds.append((*parts, random_columns(shape[1], rng)))
    if not folds:
        raise ValueError(f"cv={cv!r} has no folds.")
    return folds


def _mask(rows, n_rows):
    rows = np.asarray(rows)
    is_mask = rows.dtype == bool and rows.shape == (n_rows,)
    if rows.size == 0:
        return np.zeros(n_rows, dtype=bool)
    if not is_mask and (
        not np.issubdtype(rows.dtype, np.integer)
        or (rows.size and not (rows.min() >= 0 and rows.max() < n_rows))
    ):
        raise ValueError(
            "For a sparse X with observed zeros, blocks of rows and columns are hidden: cv must be "
            f"an int, or give arrays of row indices from 0 to {n_rows - 1}. If the unstored "
            "entries of X are missing, use unstored='missing' for the estimator. Otherwise pass "
            "X.toarray()."
        )
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask
