"""Vectors for an index of nearest neighbours, which then finds what `recommend` would."""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_spectrum import deviation_of_codes
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.utils._typing import MatrixLike

__all__ = ["feature_vectors", "sample_vectors"]


def feature_vectors(estimator: BaseEstimator) -> np.ndarray:
    r"""Vectors of the features whose inner products rank them as `recommend` does.

    The vector of a feature is :math:`(h_j, b_j)`: its components, and its bias as one more
    coordinate. Its inner product with :math:`(w_i, 1)`, the vector of a sample, is what the
    model expects there, less what is the same for all features: the bias of the sample. So an index
    of inner products, such as those of faiss and usearch, finds the same features, up to
    ties and the approximation of the index.

    Parameters
    ----------
    estimator : estimator instance
        A fitted factorization of this package.

    Returns
    -------
    vectors : ndarray of shape (n_features, n_components + 1)
        A row for each feature.

    Raises
    ------
    ValueError
        If columns have losses of their own, as then no inner product compares them.

    See Also
    --------
    sample_vectors : What to ask the index for.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.recommending import feature_vectors, sample_vectors
    >>> X = np.random.default_rng(0).normal(size=(50, 8)) + np.arange(8)
    >>> model = MatrixFactorization(2, bias="features").fit(X)
    >>> products = sample_vectors(model, X) @ feature_vectors(model).T
    >>> bool(np.allclose(products, model.inverse_transform(model.transform(X))))
    True
    """
    model = _model_of(estimator)
    vectors = np.column_stack([model.components.T, model.feature_bias])
    return np.ascontiguousarray(vectors)  # as indices want them


def sample_vectors(estimator: BaseEstimator, X: MatrixLike) -> np.ndarray:
    """Vectors of samples whose inner products with those of the features rank these.

    Parameters
    ----------
    estimator : estimator instance
        A fitted factorization of this package.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        What is known of the samples. They need not have been in `fit`.

    Returns
    -------
    vectors : ndarray of shape (n_samples, n_components + 1)
        Codes, and a one as last coordinate.

    Raises
    ------
    ValueError
        If columns have losses of their own, as then no inner product compares them.

    See Also
    --------
    feature_vectors : What to put into the index.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.recommending import sample_vectors
    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 2.0])
    >>> sample_vectors(MatrixFactorization(1).fit(X), X)[:, -1]
    array([1., 1., 1.])
    """
    model = _model_of(estimator)
    codes = estimator.transform(X)[:, : model.n_components]
    return np.ascontiguousarray(np.column_stack([codes, np.ones_like(codes[:, :1])]))


def _model_of(estimator):
    """The model by the public attributes, for codes as `transform` returns them."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    model = FactorModel.of(estimator)
    if model.loss.kinds is not None:
        raise ValueError(
            "Columns have losses of their own, and no inner product compares what is expected of "
            "them: use recommend, or one loss."
        )
    if getattr(estimator, "whiten", False):
        deviations = deviation_of_codes(estimator, model.components.dtype)
        model = replace(model, components=deviations[:, None] * model.components)
    return model
