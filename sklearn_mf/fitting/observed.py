"""From validated arrays to observations."""

from functools import partial

import numpy as np

from sklearn_mf.blocks import RowBlocks
from sklearn_mf.losses.columns import check_data
from sklearn_mf.observations import BlockedObservations, Look, observe
from sklearn_mf.utils._foreign import is_dask
from sklearn_mf.utils._validation import check_entry_weight, check_sample_weight


def observed(X, loss, unstored, names=None, entry_weight=None, sample_weight=None):
    """What is observed of X, weights validated, as far as the loss can take it.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated, NaN where missing.
    loss : BaseLoss
        Columns resolved.
    unstored : {"zero", "missing"}
        What the entries are that a sparse X does not store.
    names : ndarray of str or None, default=None
        Of the features, for messages.
    entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        As users give it.
    sample_weight : array-like of shape (n_samples,), default=None
        As users give it.

    Returns
    -------
    observations : ObservedMatrix
        With the weights.

    Raises
    ------
    ValueError
        If weights are invalid or of other columns, or X has values that the loss has no cost for.
    """
    if isinstance(X, RowBlocks):
        if not loss.is_squared:
            raise ValueError(
                f"loss={loss.name!r} is not served where X lies in blocks of rows: use "
                "loss='squared'."
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
    """What is observed of rows in blocks.

    Parameters
    ----------
    X : RowBlocks
        Each block is validated when it is read.
    make : callable
        Makes observations of a block; see `Look`.
    entry_weight : RowBlocks, dask.array.Array or None, default=None
        In the same blocks.
    sample_weight : array-like of shape (n_samples,), default=None
        As users give it.

    Returns
    -------
    observations : BlockedObservations
        Nothing is read yet.
    """
    engine = X.engine(_blocks_of_weights(entry_weight, X))
    if is_dask(sample_weight):  # a number for each row, as codes are
        sample_weight = sample_weight.compute()
    sample_weight = check_sample_weight(sample_weight, X)
    return BlockedObservations(engine, Look(make), X.shape, X.dtype, sample_weight)


def _blocks_of_weights(entry_weight, X):
    """Weights of entries in the blocks of X, or None."""
    if entry_weight is None:
        return None
    if is_dask(entry_weight):
        from sklearn_mf.dask import row_blocks

        entry_weight = row_blocks(entry_weight, "entry_weight")
    if isinstance(entry_weight, RowBlocks) and np.array_equal(entry_weight.starts, X.starts):
        return entry_weight
    raise ValueError(
        "entry_weight must lie in the same blocks, or chunks, of rows as X: make it as X was made."
    )
