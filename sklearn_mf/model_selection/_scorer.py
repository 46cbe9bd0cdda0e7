"""A scorer that hides entries of the test rows."""

from collections.abc import Callable

from sklearn.base import BaseEstimator

from sklearn_mf.model_selection._metrics import hide_and_score
from sklearn_mf.model_selection._split import EntryShuffleSplit
from sklearn_mf.utils._typing import RandomState
from sklearn_mf.utils._validation import Interval, Real, check_parameters


class MaskedEntryScorer(BaseEstimator):
    r"""Score of hidden entries, for the ``scoring`` parameter of scikit-learn.

    Hides a share of the observed entries of the rows to be scored, lets the estimator
    `transform` what is left and reconstruct it by `inverse_transform`, and compares the
    reconstruction with what was hidden. An imputer, whose `transform` completes the data, needs
    no `inverse_transform`. The estimator may be a whole pipeline: hidden entries reach none of
    its steps, and the comparison is on the scale of X.

    Every row and every column keeps an observed entry.

    Parameters
    ----------
    fraction : float, default=0.2
        Share of the observed entries to hide, in (0, 1).
    metric : str or callable, default="r2"
        What is returned; higher is better for each.

        - "r2": :math:`1 - \sum (x - \hat{x})^2 / \sum (x - \bar{x}_j)^2`, with
          :math:`\bar{x}_j` the mean of the visible entries of feature j. 0 is no better than
          :class:`sklearn.impute.SimpleImputer`.
        - "rmse", "mae": root of the mean squared error, mean absolute error, negative.
        - "deviance": twice the mean loss of the estimator, negative.
        - "ndcg", or with a number as in "ndcg@10": normalized discounted cumulative gain of
          the hidden entries of each row, the first 10 of them, ordered by prediction; see
          :func:`sklearn.metrics.ndcg_score`.
        - a callable ``metric(y_true, y_pred)``.
    random_state : int, RandomState instance or None, default=0
        Which entries are hidden. With an int they are the same ones for all candidates of a
        search, which can then be compared in pairs.

    See Also
    --------
    EntryHoldout : Hides entries of rows that take part in the fit.

    Notes
    -----
    Missing is what is NaN, or `missing_values` of the estimator, in a pipeline of the first step
    that has it; of a sparse X what it does not store.

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
            Fitted; a factorization or an imputer, as in :func:`cross_val_entries`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        if isinstance(self.fraction, str) or callable(self.fraction):
            raise ValueError(
                f"fraction={self.fraction!r} is no share of the entries: for a metric write "
                f"MaskedEntryScorer(metric={self.fraction!r})."
            )
        check_parameters(self)
        splitter = EntryShuffleSplit(1, test_size=self.fraction, random_state=self.random_state)
        return hide_and_score(estimator, X, splitter, self.metric)
