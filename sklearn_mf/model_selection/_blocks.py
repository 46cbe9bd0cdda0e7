"""Folds that hide blocks of sparse data whose zeros count: some columns, in rows set aside."""

import numpy as np

from sklearn_mf.model_selection._split import BaseEntrySplit
from sklearn_mf.utils._hiding import random_block, random_columns
from sklearn_mf.utils._validation import Integral


def block_folds_of(cv, candidates, groups, rng):
    """Masks of rows to train on, of rows to set aside, and of the columns hidden in these.

    Parameters
    ----------
    cv : int, splitter or iterable
        Number of random blocks; or what splits rows.
    candidates : Candidates
        Of sparse X, with the weights of samples.
    groups : array-like or None
        For the splitter.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    folds : list of tuple of three ndarrays of bool
        One block each.

    Raises
    ------
    ValueError
        If cv splits something else, or a fold does not hide what it tests with.
    """
    shape, weight = candidates.X.shape, candidates.params.get("sample_weight")
    if min(shape) < 2:
        raise ValueError(
            f"RankSearchCV has nothing to choose: X has n_samples={shape[0]} and n_features="
            f"{shape[1]}, and blocks of some rows and columns need two of each. Use n_components=1."
        )
    if isinstance(cv, Integral):
        blocks = [random_block(shape, weight, 1 / cv, rng) for _ in range(cv)]
        if not all(aside.any() for aside, _ in blocks):
            raise ValueError(
                f"cv={cv} can set no row aside: sample_weight leaves fewer than two rows."
            )
        return [(~aside, aside, columns) for aside, columns in blocks]
    if isinstance(cv, BaseEntrySplit):
        raise ValueError(
            f"cv={cv!r} splits single entries, but of a sparse X whose zeros count blocks are "
            "hidden: cv must be an int, or split rows, as KFold of scikit-learn. Use unstored="
            "'missing' for the estimator if what X does not store is missing, else X.toarray()."
        )
    folds = []
    for train, test in cv.split(candidates.X, groups=groups) if hasattr(cv, "split") else cv:
        parts = _mask(train, shape[0]), _mask(test, shape[0])
        if not all(part.any() for part in parts) or (parts[0] & parts[1]).any():
            raise ValueError(
                "cv must give each fold rows to train on and other rows to set aside. It has one "
                f"with {int(parts[0].sum())} and {int(parts[1].sum())} rows, of which "
                f"{int((parts[0] & parts[1]).sum())} are in both."
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
            "cv must number rows of a sparse X whose zeros count, of which blocks are hidden: "
            f"arrays of integers from 0 to {n_rows - 1}, or an int. Use unstored='missing' for "
            "the estimator if what X does not store is missing, else X.toarray()."
        )
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask
