"""Vectors for a nearest-neighbor index that reproduces the rankings of `recommend`."""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_spectrum import deviation_of_codes
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.utils._typing import MatrixLike

__all__ = ["feature_vectors", "sample_vectors"]


def feature_vectors(estimator: BaseEstimator) -> np.ndarray:
    r"""Return vectors of the features whose inner products rank them as `recommend` does.

    The vector of a feature is :math:`(h_j, b_j)`: its components, with its bias as an additional
    coordinate. The inner product with :math:`(w_i, 1)`, the vector of a sample, is the model value
    without the bias of the sample, which is the same for all features. An index for inner products,
    such as those of faiss and usearch, therefore finds the same features, up to ties and the
    approximation error of the index.

    Parameters
    ----------
    estimator : estimator instance
        A fitted factorization of this package.

    Returns
    -------
    vectors : ndarray of shape (n_features, n_components + 1)
        One row for each feature.

    Raises
    ------
    ValueError
        If the columns have different losses, so that inner products cannot be compared.

    See Also
    --------
    sample_vectors : The vectors with which to query the index.

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
    return np.ascontiguousarray(vectors)  # indexes need this layout


def sample_vectors(estimator: BaseEstimator, X: MatrixLike) -> np.ndarray:
    """Return vectors of the samples whose inner products rank the features.

    Parameters
    ----------
    estimator : estimator instance
        A fitted factorization of this package.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Observed entries of the samples, which need not have been in the training data.

    Returns
    -------
    vectors : ndarray of shape (n_samples, n_components + 1)
        The codes, with a one as the last coordinate.

    Raises
    ------
    ValueError
        If the columns have different losses, so that inner products cannot be compared.

    See Also
    --------
    feature_vectors : The vectors to store in the index.

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
    """Return the model, built from public attributes, for codes returned by `transform`."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    model = FactorModel.of(estimator)
    if model.loss.kinds is not None:
        raise ValueError(
            "The columns have different losses, so inner products with them cannot be compared: "
            "use recommend, or a single loss."
        )
    if getattr(estimator, "whiten", False):
        deviations = deviation_of_codes(estimator, model.components.dtype)
        model = replace(model, components=deviations[:, None] * model.components)
    return model
