"""Bi-cross-validation: blocks of rows and columns are left out together."""

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mf.fitting.scores import explained_share
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._validation import Integral, check_complete


def bi_cross_val_score(estimator, X, *, cv=(2, 2), random_state=0, n_jobs=None):
    r"""Bi-cross-validation of complete data.

    Rows and columns are split into folds. For each pair of folds, X is partitioned as

    .. math::

        \begin{pmatrix} A & B \\ C & D \end{pmatrix}

    and the block A is left out. The estimator is fitted to D alone. The codes of the rows of B come
    from `transform`, the components of the columns of C from a regression on the codes of D, and
    their product predicts A. For a truncated singular value decomposition of D, this is :math:`B
    \hat{D}^{+} C`. The fit uses neither rows nor columns of A.

    Parameters
    ----------
    estimator : estimator
        An estimator with `transform` and `inverse_transform`. It is cloned for every block. Its
        rank must be possible for D.
    X : array-like of shape (n_samples, n_features)
        Complete data.
    cv : tuple of two int, default=(2, 2)
        Numbers of folds of rows and of columns. Owen and Perry recommend large blocks.
    random_state : int, RandomState instance or None, default=0
        Controls the shuffling of rows and columns.
    n_jobs : int, default=None
        Number of blocks to fit in parallel.

    Returns
    -------
    scores : ndarray of shape (n_row_folds * n_column_folds,)
        R^2 of each left-out block, relative to the means of its columns in C.

    See Also
    --------
    cross_val_entries : Also for data with missing values.

    References
    ----------
    Owen, A. B. & Perry, P. O. (2009). Bi-cross-validation of the SVD and the nonnegative
    matrix factorization. Annals of Applied Statistics 3(2), 564-594.
    :doi:`10.1214/08-AOAS227`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.model_selection import bi_cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 20)) + rng.normal(size=(100, 20)) / 2
    >>> for n_components in (1, 2, 3):
    ...     model = MatrixFactorization(n_components)
    ...     print(bi_cross_val_score(model, X).mean().round(2))
    0.46
    0.88
    0.88
    """
    X = check_complete(X, "X")
    if not hasattr(estimator, "inverse_transform"):
        raise ValueError(
            f"{type(estimator).__name__} has no inverse_transform, which is needed to predict "
            "blocks. Use cross_val_entries, which also scores imputers."
        )
    shape = X.shape
    sizes = list(cv) if np.iterable(cv) else []
    if len(sizes) != 2 or not all(isinstance(n, Integral) and n >= 2 for n in sizes):
        raise ValueError(f"cv must be a tuple of two integers of at least 2, got {cv!r}.")
    if any(n > size for n, size in zip(cv, shape, strict=True)):
        raise ValueError(
            f"cv={cv!r} needs at least so many rows and columns, but X has shape {shape}."
        )
    rng = hiding_stream(random_state)
    row_folds, column_folds = (
        np.array_split(rng.permutation(size), n) for n, size in zip(cv, shape, strict=True)
    )
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_score_block)(clone(estimator), X, np.sort(rows), np.sort(columns))
        for rows in row_folds
        for columns in column_folds
    )
    return np.array(scores)


def _score_block(estimator, X, rows, columns):
    other_rows = np.setdiff1d(np.arange(X.shape[0]), rows)
    other_columns = np.setdiff1d(np.arange(X.shape[1]), columns)
    A, B = X[np.ix_(rows, columns)], X[np.ix_(rows, other_columns)]
    C, D = X[np.ix_(other_rows, columns)], X[np.ix_(other_rows, other_columns)]
    codes = np.asarray(estimator.fit(D).transform(D))
    # If the model is not zero for zero codes, it has offsets, so the regression on C needs them
    # too.
    offset = np.asarray(estimator.inverse_transform(np.zeros_like(codes[:1])))
    regression = LinearRegression(fit_intercept=bool(np.any(offset))).fit(codes, C)
    predicted = regression.predict(np.asarray(estimator.transform(B))).reshape(A.shape)
    return float(explained_share(np.sum((A - predicted) ** 2), np.sum((A - C.mean(axis=0)) ** 2)))
