"""Keeps what is observed and fills the rest."""

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.utils._tables import is_frame, native
from sklearn_mf.utils._validation import (
    CheckedParametersMixin,
    HasMethods,
    MissingValues,
    Real,
    check_limits,
    check_table,
    column_indices,
    fit_context,
    input_names,
    is_nan,
    warn_of_unused_mark,
)
from sklearn_mf.utils._warnings import warn
from sklearn_mf.variational import fit_variational


class FactorizationImputer(CheckedParametersMixin, TransformerMixin, BaseEstimator):
    r"""Imputation by matrix factorization: what is observed is kept, the rest is filled.

    Without an `estimator` nothing needs to be chosen. Columns are standardized by what is
    observed of them, then factorized by variational Bayes,

    .. math::

        x_{ij} \sim N(w_i^\top h_j + b_j,\ \psi_j), \qquad
        w_i \sim N(0, I), \qquad h_j \sim N(0, \mathrm{diag}(\lambda)^{-1}),

    with noise :math:`\psi_j` of its own in every column and penalties :math:`\lambda` of the
    components that are estimated too. The rank is chosen on hidden entries: a tenth of what
    is observed is hidden (of small tables up to ten times, until that is enough), ranks are
    doubled, beginning with 0 (the means of the columns), until the hidden entries are
    predicted no better. With as many components as columns
    this is the shrunk normal distribution of all columns.

    Read more in the :ref:`User Guide <imputation>`.

    Parameters
    ----------
    estimator : estimator object, default=None
        What to predict missing entries by: anything with `fit`, `transform` and
        `inverse_transform` that takes NaN, such as
        :class:`~sklearn_mf.MatrixFactorization`, a pipeline that ends in one or a search
        over one. It is cloned and used as it is. None: see above.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        What stands for a missing entry, as in :class:`sklearn.impute.SimpleImputer`. What is
        masked is missing as well.
    add_indicator : bool, default=False
        Whether to append the columns of a :class:`sklearn.impute.MissingIndicator`.
    keep_empty_features : bool, default=False
        Whether to keep features of which `fit` sees no entry. They are then filled with 0;
        otherwise they are left out, and a warning names them.
    min_value : float or array-like of shape (n_features,), default=-np.inf
        Least imputed value, of all or of each feature.
    max_value : float or array-like of shape (n_features,), default=np.inf
        Largest imputed value, of all or of each feature.
    round_features : column specification or None, default=None
        Features whose imputed values are rounded to integers: names, numbers, a slice, a
        mask or a callable, as in :class:`sklearn.compose.ColumnTransformer`.
    sample_posterior : bool, default=False
        Whether to draw imputed values from the posterior instead of taking its mean: for
        multiple imputation, with a seed for each. A draw comprises the components, the
        codes and the noise. With an `estimator`, normal numbers around its predictions,
        each by itself, of the spread that its
        `predict_entries(..., return_std=True)` tells.
    random_state : int, RandomState instance or None, default=None
        Chooses the hidden entries, and draws if `sample_posterior`. With an int `transform`
        always draws the same.

    Attributes
    ----------
    estimator_ : estimator object or None
        The fitted estimator, if one was given.
    components_ : ndarray of shape (n_components_, n_features_used)
        Without an estimator: mean H, in units of X, of the features that have an entry.
    n_components_ : int
        Without an estimator: the rank that was chosen.
    hidden_errors_ : dict of {int: float}
        Without an estimator: mean squared error of hidden entries, of standardized columns,
        at each rank that was tried. NaN where nothing could be hidden.
    noise_variance_ : ndarray of shape (n_features_used,)
        Without an estimator: the noise :math:`\psi_j` in units of X squared.
    indicator_ : :class:`sklearn.impute.MissingIndicator` or None
        If `add_indicator`: where the columns that it appends come from.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are all strings.

    See Also
    --------
    MatrixFactorization : Its `predict_entries` fills single entries, also of sparse data.
    sklearn.impute.IterativeImputer : Regresses every feature on the others.
    sklearn.impute.KNNImputer : Averages neighbours.

    References
    ----------
    Ilin, A. & Raiko, T. (2010). Practical approaches to principal component analysis in the
    presence of missing values. Journal of Machine Learning Research 11.

    Bishop, C. M. (1999). Variational principal components. ICANN 99.
    :doi:`10.1049/cp:19991160`

    Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys. Wiley.
    :doi:`10.1002/9780470316696`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import FactorizationImputer
    >>> X = np.outer([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    >>> X[1, 2] = np.nan
    >>> imputer = FactorizationImputer(random_state=0)
    >>> print(imputer.fit_transform(X)[:2].round(1))
    [[1. 2. 3.]
     [2. 4. 6.]]
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "transform", "inverse_transform"]), None],
        "missing_values": [MissingValues(numeric_only=True)],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "min_value": [Real, "array-like"],
        "max_value": [Real, "array-like"],
        "round_features": "no_validation",
        "sample_posterior": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        missing_values=np.nan,
        add_indicator=False,
        keep_empty_features=False,
        min_value=-np.inf,
        max_value=np.inf,
        round_features=None,
        sample_posterior=False,
        random_state=None,
    ):
        self.estimator = estimator
        self.missing_values = missing_values
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.min_value = min_value
        self.max_value = max_value
        self.round_features = round_features
        self.sample_posterior = sample_posterior
        self.random_state = random_state

    # A given estimator checks its own parameters.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Learn how the features depend on one another.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with holes; never changed.
        y : Ignored
            Not used, present by convention.
        **fit_params : dict
            For `fit` of the estimator: all of them, or, where metadata routing is enabled,
            those that it requests.

        Returns
        -------
        self : FactorizationImputer
            The fitted imputer.
        """
        table, X = X, check_table(self, X, reset=True)
        warn_of_unused_mark(self, X)
        self._set_limits(native(table) if is_frame(native(table)) else X)
        missing = np.isnan(X)
        self._seen = ~missing.all(axis=0)
        if not self._seen.any():
            raise ValueError("X has no observed entry: there is nothing to impute from.")
        if not (self._seen.all() or self.keep_empty_features):
            names = input_names(self)[~self._seen].tolist()
            warn(
                f"Features without any observed value are left out: {names}. Use "
                "keep_empty_features=True to fill them with 0.",
            )
        self.indicator_ = None
        if self.add_indicator:
            # Here, because it brings all of sklearn.neighbors with it.
            from sklearn.impute import MissingIndicator

            self.indicator_ = MissingIndicator(error_on_new=False).fit(X)
        self._fit_model(X[:, self._seen], y, fit_params)
        return self

    def transform(self, X, return_std=False):
        """Fill what is missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with holes; never changed.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        X_filled : ndarray or DataFrame of shape (n_samples, n_features_out)
            Observed entries as they were, others imputed.
        std : ndarray of shape (n_samples, n_features_out)
            If `return_std`: standard deviation of each imputed entry, noise included; zero
            for observed entries and whatever was not imputed from the others.
        """
        check_is_fitted(self)
        X = check_table(self, X, reset=False)
        missing = np.isnan(X)
        values, std = np.where(missing, 0, X), np.zeros_like(X)
        values[:, self._seen], std[:, self._seen] = self._filled(X[:, self._seen], return_std)
        imputed = missing & self._seen
        columns = np.nonzero(imputed)[1]
        new = values[imputed]
        new = np.where(self._rounded[columns], np.rint(new), new)
        values[imputed] = np.clip(new, self._low[columns], self._high[columns])
        kept = self._kept
        values, std = values[:, kept], std[:, kept]
        if self.indicator_ is not None:
            marks = self.indicator_.transform(X).astype(X.dtype)
            values, std = np.hstack([values, marks]), np.hstack([std, np.zeros_like(marks)])
        return (values, std) if return_std else values

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features. None: ``feature_names_in_``, or x0, x1, ...

        Returns
        -------
        names : ndarray of str
            Of the features that are kept, then of the missing-value indicators.
        """
        check_is_fitted(self)
        names = input_names(self, input_features)
        if self.indicator_ is None:
            return names[self._kept]
        return np.concatenate([names[self._kept], self.indicator_.get_feature_names_out(names)])

    def get_metadata_routing(self):
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            What `fit` hands on to the estimator.
        """
        router = MetadataRouter(owner=self)
        if self.estimator is not None:
            mapping = MethodMapping().add(callee="fit", caller="fit")
            router.add(estimator=self.estimator, method_mapping=mapping)
        return router

    def _set_limits(self, table):
        """Which features are rounded, and the least and the largest value of each."""
        low, high = check_limits(self.min_value, self.max_value, table.shape[1])
        self._rounded = np.zeros(len(low), dtype=bool)
        if self.round_features is not None:
            try:
                self._rounded[column_indices(table, self.round_features)] = True
            except ValueError as error:
                raise ValueError(f"round_features={self.round_features!r}: {error}") from error
        self._low = np.where(self._rounded, np.ceil(low), low)
        self._high = np.where(self._rounded, np.floor(high), high)
        without = np.flatnonzero(self._low > self._high)
        if len(without):
            j = without[0]
            raise ValueError(
                f"round_features has {input_names(self)[j]!r}, but no integer lies between its "
                f"min_value={low[j]} and max_value={high[j]}."
            )

    def _fit_model(self, X, y, fit_params):
        """Fit to the features that have an entry."""
        if self.estimator is not None:
            if get_config()["enable_metadata_routing"]:
                fit_params = process_routing(self, "fit", **fit_params).estimator.fit
            self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
            return
        if fit_params:
            raise TypeError(
                f"fit got {sorted(fit_params)}: such parameters are for an estimator, and "
                "estimator=None takes none."
            )
        self.estimator_ = None
        self._mean, self._scale = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
        # Of a constant column only rounding errors would be left.
        constant = self._scale <= 10 * np.finfo(X.dtype).eps * np.abs(self._mean)
        self._scale[constant] = 1
        random_state = check_random_state(self.random_state)
        self._factors, self.hidden_errors_ = fit_variational(self._standardized(X), random_state)
        self.n_components_ = self._factors.rank
        components = self._factors.right[:, :-1] * self._scale[:, None]
        self.components_ = np.ascontiguousarray(components.T.astype(X.dtype))
        self.noise_variance_ = (self._factors.noise * self._scale**2).astype(X.dtype)

    def _standardized(self, X):
        return np.asarray((X - self._mean) / self._scale, dtype=np.float64, order="C")

    def _filled(self, X, return_std):
        """X with its missing entries filled, and how uncertain they are."""
        rows, columns = np.nonzero(np.isnan(X))
        values, std = X.copy(), np.zeros_like(X)
        if len(rows) == 0:
            return values, std
        random_state = check_random_state(self.random_state) if self.sample_posterior else None
        of_model = self._by_factors if self.estimator_ is None else self._by_estimator
        values[rows, columns], std[rows, columns] = of_model(
            X, (rows, columns), random_state, return_std
        )
        if not np.isfinite(values).all():
            if self.estimator_ is None:
                raise ValueError("X is too large to impute from: its squares overflow. Scale X.")
            raise ValueError(
                f"{type(self.estimator_).__name__} predicts values that are not finite. Scale "
                "X, or raise its penalties."
            )
        return values, std

    def _by_factors(self, X, cells, random_state, return_std):
        X, columns = self._standardized(X), cells[1]
        factors = self._factors
        filled = factors.predict(X) if random_state is None else factors.sample(X, random_state)
        std = np.sqrt(factors.variances(X)[cells]) if return_std else np.zeros(len(columns))
        return filled[cells] * self._scale[columns] + self._mean[columns], std * self._scale[
            columns
        ]

    def _by_estimator(self, X, cells, random_state, return_std):
        if random_state is None and not return_std:
            codes = self.estimator_.transform(X)
            return np.asarray(self.estimator_.inverse_transform(codes))[cells], 0.0
        estimator = getattr(self.estimator_, "best_estimator_", self.estimator_)
        if not hasattr(estimator, "predict_entries"):
            raise ValueError(
                f"{type(estimator).__name__} has no predict_entries, which would know "
                "standard deviations. Use an estimator of sklearn_mf itself, or estimator=None."
            )
        values, std = estimator.predict_entries(X, *cells, return_std=True)
        if random_state is not None:
            values = values + std * random_state.standard_normal(len(values))
        return values, std

    @property
    def _kept(self):
        return self._seen | self.keep_empty_features

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = is_nan(self.missing_values)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
