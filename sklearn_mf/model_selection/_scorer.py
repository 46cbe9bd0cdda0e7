"""A scorer that hides entries of the test rows."""

from collections.abc import Callable

from sklearn.base import BaseEstimator

from sklearn_mf.model_selection._metrics import hide_and_score
from sklearn_mf.model_selection._split import EntryShuffleSplit
from sklearn_mf.utils._typing import RandomState
from sklearn_mf.utils._validation import Interval, Real, check_parameters


class MaskedEntryScorer(BaseEstimator):
    r"""Score of hidden entries, for the ``scoring`` parameter of scikit-learn.

    A fraction of the observed entries of the test rows is hidden. The estimator transforms the rest
    with `transform` and reconstructs it with `inverse_transform`. The reconstruction is compared
    with the hidden entries. An imputer, whose `transform` completes the data, needs no
    `inverse_transform`. The estimator may be a whole pipeline: none of its steps sees the hidden
    entries, and they are compared on the scale of X.

    At least one entry of each row and column remains visible.

    Parameters
    ----------
    fraction : float, default=0.2
        Fraction of the observed entries to hide, in (0, 1).
    metric : str or callable, default="r2"
        The score; higher is better for each of them.

        - "r2": :math:`1 - \sum (x - \hat{x})^2 / \sum (x - \bar{x}_j)^2`, where
            :math:`\bar{x}_j` is the mean of the visible entries of feature j. 0 is the score of
            :class:`sklearn.impute.SimpleImputer`.
        - "rmse", "mae": negative root mean squared error, negative mean absolute error.
        - "deviance": negative of twice the mean loss of the estimator.
        - "ndcg", or with a number as in "ndcg@10": normalized discounted cumulative gain of the
          hidden entries of each row (of the first 10), ordered by their predictions; see
          :func:`sklearn.metrics.ndcg_score`.
        - a callable ``metric(y_true, y_pred)``.
    random_state : int, RandomState instance or None, default=0
        Controls which entries are hidden. An int hides the same entries for all candidates of a
        search, which can then be compared in pairs.

    See Also
    --------
    EntryHoldout : Hides entries of rows that are in the training data.

    Notes
    -----
    Missing entries are NaN, or marked by the parameter `missing_values` of the estimator (in a
    pipeline, of the first step that has this parameter). The unstored entries of a sparse X are
    missing.

    References
    ----------
    Wold, S. (1978). Cross-validatory estimation of the number of components in factor and
    principal components models. Technometrics 20(4), 397-405.
    :doi:`10.1080/00401706.1978.10489693`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.model_selection import MaskedEntryScorer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 20)) + rng.normal(size=(100, 20)) / 2
    >>> X[rng.random(X.shape) < 0.2] = np.nan
    >>> model = make_pipeline(StandardScaler(), MatrixFactorization(alpha_W=0.01))
    >>> grid = {"matrixfactorization__n_components": [1, 2, 3, 4]}
    >>> GridSearchCV(model, grid, scoring=MaskedEntryScorer()).fit(X).best_params_
    {'matrixfactorization__n_components': 2}
    """

    _parameter_constraints: dict = {
        "fraction": [Interval(Real, 0, 1, closed="neither")],
        "metric": [str, callable],
        "random_state": ["random_state"],
    }

    def __init__(
        self, fraction: float = 0.2, metric: str | Callable = "r2", random_state: RandomState = 0
    ):
        self.fraction = fraction
        self.metric = metric
        self.random_state = random_state

    def __call__(self, estimator, X, y=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted factorization or imputer, as in :func:`cross_val_entries`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values, which are never modified.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            The score; higher is better.
        """
        if isinstance(self.fraction, str) or callable(self.fraction):
            raise ValueError(
                f"fraction={self.fraction!r} is not a fraction of the entries: to select a metric, "
                f"use MaskedEntryScorer(metric={self.fraction!r})."
            )
        check_parameters(self)
        splitter = EntryShuffleSplit(1, test_size=self.fraction, random_state=self.random_state)
        return hide_and_score(estimator, X, splitter, self.metric)
