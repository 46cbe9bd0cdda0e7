"""From validated arrays to observations."""

from sklearn_mf.losses.columns import check_data
from sklearn_mf.observations import observe
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
    observations = observe(
        X,
        unstored=unstored,
        entry_weight=check_entry_weight(entry_weight, X, unstored, names),
        sample_weight=check_sample_weight(sample_weight, X),
        column_kinds=loss.kinds,
    )
    check_data(loss, observations, names)
    return observations
