"""Conversion of validated arrays to observations."""

from functools import partial

import numpy as np

from sklearn_mf.blocks import RowBlocks
from sklearn_mf.losses.columns import check_data
from sklearn_mf.observations import BlockedObservations, Look, observe
from sklearn_mf.utils._foreign import is_dask
from sklearn_mf.utils._validation import check_entry_weight, check_sample_weight


def observed(X, loss, unstored, names=None, entry_weight=None, sample_weight=None):
    """Return the observations of X, with validated weights and data that the loss accepts.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated data with NaN for missing values.
    loss : BaseLoss
        The loss, with columns resolved.
    unstored : {"zero", "missing"}
        Meaning of the unstored entries of a sparse X.
    names : ndarray of str or None, default=None
        Names of the features for messages.
    entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Weights of the entries, as passed by the user.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, as passed by the user.

    Returns
    -------
    observations : ObservedMatrix
        The observations, with weights.

    Raises
    ------
    ValueError
        If weights are invalid or have other columns, or if the loss does not accept a value of X.
    """
    if isinstance(X, RowBlocks):
        if not loss.is_squared:
            raise ValueError(
                f"loss={loss.name!r} does not support X in blocks of rows: use loss='squared'."
            )
        make = partial(observe, unstored=unstored)
        return observed_in_blocks(X, make, entry_weight, sample_weight)
    observations = observe(
        X,
        unstored=unstored,
        entry_weight=check_entry_weight(entry_weight, X, unstored, names),
        sample_weight=check_sample_weight(sample_weight, X),
        column_kinds=loss.kinds,
    )
    check_data(loss, observations, names)
    return observations


def observed_in_blocks(X, make, entry_weight=None, sample_weight=None):
    """Return the observations of rows in blocks.

    Parameters
    ----------
    X : RowBlocks
        The data; each block is validated when it is read.
    make : callable
        A function that returns the observations of a block; see `Look`.
    entry_weight : RowBlocks, dask.array.Array or None, default=None
        Weights of the entries, in the same blocks.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, as passed by the user.

    Returns
    -------
    observations : BlockedObservations
        The observations; nothing is read yet.
    """
    engine = X.engine(_blocks_of_weights(entry_weight, X))
    if is_dask(sample_weight):  # one number for each row fits into memory
        sample_weight = sample_weight.compute()
    sample_weight = check_sample_weight(sample_weight, X)
    return BlockedObservations(engine, Look(make), X.shape, X.dtype, sample_weight)


def _blocks_of_weights(entry_weight, X):
    """Return the weights of entries in the blocks of X, or None."""
    if entry_weight is None:
        return None
    if is_dask(entry_weight):
        from sklearn_mf.dask import row_blocks

        entry_weight = row_blocks(entry_weight, "entry_weight")
    if isinstance(entry_weight, RowBlocks) and np.array_equal(entry_weight.starts, X.starts):
        return entry_weight
    raise ValueError(
        "entry_weight must have the same blocks, or chunks, of rows as X: create it like X."
    )
