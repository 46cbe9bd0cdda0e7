"""Rankings of the unstored columns of each row, by any estimator that reconstructs data."""

import numpy as np
from sklearn.utils import gen_batches

from sklearn_mf import kernels
from sklearn_mf.model_selection._entries import check_holed
from sklearn_mf.retrieval import Candidates, seen_in
from sklearn_mf.utils._threads import n_threads

# Maximum number of entries of the dense reconstruction that are computed at a time.
BLOCK_SIZE = 1 << 20


def ranked_columns(estimator, visible, n):
    """Return the best columns of each row of sparse data, among those it does not store.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator that recommends or reconstructs its input.
    visible : CSR or labeled matrix of shape (n_samples, n_features)
        The data without the hidden entries.
    n : int
        Number of columns to return.

    Returns
    -------
    items : ndarray of int of shape (n_samples, n)
        The best columns first; -1 if there are fewer candidates.
    """
    stored = seen_in(check_holed(visible), "missing")
    if hasattr(estimator, "recommend"):
        return estimator.recommend(
            visible, n=n, exclude_seen=False, exclude=stored, return_scores=False
        )
    codes = estimator.transform(visible)
    candidates = Candidates(excluded=(stored,))
    items = np.empty((visible.shape[0], n), dtype=np.int64)
    for rows in gen_batches(visible.shape[0], max(1, BLOCK_SIZE // visible.shape[1])):
        part = codes.iloc[rows] if hasattr(codes, "iloc") else codes[rows]
        scores = np.array(estimator.inverse_transform(part), order="C")
        candidates.marker(rows)(scores, slice(0, scores.shape[1]))
        items[rows], _ = kernels.top_columns(scores, n, n_threads(scores.size))
    return items
