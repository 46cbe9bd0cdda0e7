"""A meta-estimator that hides entries before fitting."""

from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import Bunch, check_random_state, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_mf.model_selection._metrics import (
    check_metric,
    check_unstored,
    first_split,
    hide_and_score,
    ranks,
    reads_unstored_as_missing,
)
from sklearn_mf.model_selection._split import EntryShuffleSplit
from sklearn_mf.utils._tables import native
from sklearn_mf.utils._validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_parameters,
    fit_context,
)


class EntryHoldout(MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    """Fit to a part of the observed entries, and score on the others.

    `fit` hides a fraction of the observed entries and fits the whole estimator, which may be a
    pipeline, to the others. `score` of the same data is the score of the hidden entries. It
    measures how well entries are predicted in rows that were in the training data, such as ratings
    of known users. In a grid search, all rows are used for both training and testing::

        rows = np.arange(len(X))
        GridSearchCV(EntryHoldout(estimator), grid, cv=[(rows, rows)])

    Parameters
    ----------
    estimator : estimator
        A factorization or an imputer, as in :func:`cross_val_entries`.
    test_size : float or int, default=0.2
        Fraction of the observed entries to hide, in (0, 1), or their number. At least one entry of
        each row and column remains visible.
    stratify : {"rows", "columns"} or None, default=None
        Whether to hide the same fraction of each row, or of each column.
    metric : str, callable or RankingScorer, default="r2"
        The score that `score` returns, as in :class:`MaskedEntryScorer`. With a
        :class:`RankingScorer`, the hidden entries of a sparse X are ranked among all columns; its
        `fraction` is ignored.
    random_state : int, RandomState instance or None, default=0
        Controls which entries are hidden. An int hides the same entries for all candidates of a
        search. A list of integers in the grid gives repetitions.

    Attributes
    ----------
    estimator_ : estimator
        The estimator, fitted to the entries that were not hidden.
    splitter_ : EntryShuffleSplit
        The splitter that chose the hidden entries, and chooses them again in `score`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    MaskedEntryScorer : Hides entries of rows that were not in the training data.
    cross_val_entries : Hides each entry once.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.model_selection import EntryHoldout
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 20)) + rng.normal(size=(100, 20)) / 2
    >>> rows = np.arange(len(X))
    >>> grid = {"estimator__n_components": [1, 2, 3, 4]}
    >>> holdout = EntryHoldout(MatrixFactorization(alpha_W=0.01))
    >>> GridSearchCV(holdout, grid, cv=[(rows, rows)]).fit(X).best_params_
    {'estimator__n_components': 2}
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "transform"])],
        "test_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "stratify": [StrOptions({"rows", "columns"}), None],
        "metric": [str, callable],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator, *, test_size=0.2, stratify=None, metric="r2", random_state=0):
        self.estimator = estimator
        self.test_size = test_size
        self.stratify = stratify
        self.metric = metric
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **params):
        """Hide entries and fit the estimator to the others.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values, which are never modified.
        y : array-like of shape (n_samples,), default=None
            Passed to the estimator.
        **params : dict
            Parameters for `fit` of the estimator. With metadata routing, those that it requests.

        Returns
        -------
        self : EntryHoldout
            The fitted estimator.
        """
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **params)
        else:
            routed = Bunch(estimator=Bunch(fit=params))
        check_metric(self.metric)
        check_unstored(self.estimator, X, self.metric)
        # `score` must hide the same entries, even if `random_state` is not an int.
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        splitter = EntryShuffleSplit(
            1, test_size=self.test_size, stratify=self.stratify, random_state=seed
        )
        visible, _ = first_split(self.estimator, X, splitter)
        self.estimator_ = clone(self.estimator).fit(visible, y, **routed.estimator.fit)
        self.splitter_ = splitter
        validate_data(self, native(X), skip_check_array=True)
        return self

    def score(self, X, y=None):
        """Return the score of the hidden entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data: the same entries are hidden as in `fit`. For other data, entries are
            hidden in the same way.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            The score; higher is better.
        """
        check_is_fitted(self)
        validate_data(self, native(X), reset=False, skip_check_array=True)
        return hide_and_score(self.estimator_, X, self.splitter_, self.metric)

    def transform(self, X):
        """Return the transformed data (codes), computed from all observed entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.

        Returns
        -------
        W : ndarray of shape (n_samples, n_features_out)
            The transformed data.
        """
        check_is_fitted(self)
        return self.estimator_.transform(X)

    @available_if(lambda self: hasattr(self.estimator, "inverse_transform"))
    def inverse_transform(self, X):
        """Reconstruct data from codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as returned by `transform`.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            The reconstructed data.
        """
        check_is_fitted(self)
        return self.estimator_.inverse_transform(X)

    @available_if(lambda self: hasattr(self.estimator, "predict_entries"))
    def predict_entries(self, X, rows, columns, return_std=False):
        """Predict single entries, without the whole reconstruction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        rows : array-like of int of shape (n_entries,)
            Row index of each entry.
        columns : array-like of int of shape (n_entries,)
            Column index of each entry.
        return_std : bool, default=False
            Whether to return standard deviations as well.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Predicted values.
        std : ndarray of shape (n_entries,)
            Standard deviation of a new observation of each entry, only if `return_std` is True.
        """
        check_is_fitted(self)
        wanted = {"return_std": True} if return_std else {}
        return self.estimator_.predict_entries(X, rows, columns, **wanted)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Passed to the estimator.

        Returns
        -------
        feature_names_out : ndarray of str
            Names returned by the estimator.
        """
        check_is_fitted(self)
        return self.estimator_.get_feature_names_out(input_features)

    def get_metadata_routing(self):
        """Return the metadata routing: weights are passed to `fit` of the estimator.

        Returns
        -------
        routing : MetadataRouter
            See scikit-learn's user guide on metadata routing.
        """
        return MetadataRouter(owner=self).add(
            estimator=self.estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )

    def _validate_params(self):
        check_parameters(self)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        # Hidden entries are missing, so the estimator accepts NaN.
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse &= ranks(self.metric) or reads_unstored_as_missing(self.estimator)
        tags.transformer_tags = inner.transformer_tags
        tags.non_deterministic = inner.non_deterministic
        return tags
