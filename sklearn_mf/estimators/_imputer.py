"""Imputation of missing values by a factorization of the covariance, or by an estimator."""

from typing import Self

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_predictors import OfEstimator, StandardizedTable
from sklearn_mf.fitting.scores import HIDDEN_SEED, HIDDEN_SHARE, explained_share
from sklearn_mf.utils._hiding import hiding_stream, random_share_of_rows
from sklearn_mf.utils._limits import Limits
from sklearn_mf.utils._tables import (
    integer_columns,
    is_frame,
    make_of,
    native,
    rebuilt,
    retyped,
)
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    HasMethods,
    MissingValues,
    Real,
    admit,
    cells_of,
    check_numbers,
    check_parameters,
    check_X,
    fit_context,
    input_names,
    is_nan,
    warn_of_unused_mark,
    wrap_in_container,
)
from sklearn_mf.utils._warnings import EmptyFeatures, quiet, warn


class FactorizationImputer(TransformerMixin, BaseEstimator):
    r"""Imputation of missing values of a table; observed values are kept.

    Without an `estimator`, no parameter needs to be chosen. Columns are standardized using their
    observed entries. Rows are then modelled as draws from a normal distribution,

    .. math::

        x_i \sim N(\mu, \Sigma), \qquad
        \Sigma = (1 - w) \Sigma_0 + w (H^\top H + \Psi),

    whose covariance shrinks, by a weight w, the maximum likelihood estimate :math:`\Sigma_0`
    towards that of a few components H with separate noise :math:`\Psi` for every column. Clusters
    and curved dependencies are not normal, so averages over neighbouring rows, of entries and of
    residuals of the normal model, are added. The weight, the rank and the shares of the neighbours
    are those that predict hidden entries best. For this a tenth of the observed entries is hidden
    at a time, and in small tables each tenth is hidden once.

    If X has more than 200 columns, or more columns than rows, a full covariance is not estimated.
    Then X is factorized by variational Bayes, with a rank that is doubled until the predictions of
    hidden entries no longer improve.

    Read more in the :ref:`User Guide <imputation>`.

    Parameters
    ----------
    estimator : estimator object, default=None
        Estimator that predicts missing entries: any estimator with `fit`, `transform` and
        `inverse_transform` that accepts NaN, such as :class:`~sklearn_mf.MatrixFactorization`, or a
        pipeline or search that ends in one. It is cloned and gets X unchanged, including data
        frames with all their columns, so its parameters may refer to columns. None: the model
        described above.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        Placeholder for missing entries, as in :class:`sklearn.impute.SimpleImputer`. Masked
        entries of a masked array are missing as well.
    add_indicator : bool, default=False
        Whether to append the columns of a :class:`sklearn.impute.MissingIndicator`.
    keep_empty_features : bool, default=False
        Whether to keep features without any observed entry in `fit`. They are then filled with 0.
        Otherwise they are dropped, and a warning names them.
    min_value : float, array-like of shape (n_features,), dict or None, default=-np.inf
        Smallest imputed value, for all features or for each feature. The keys of a dict, or the
        index of a pandas Series, are names or numbers of features, and features that are not
        among them have no limit. None means no limit, and NaN means no limit for that
        feature. Expected values below the limit are set to the limit. Draws are from the normal
        distribution truncated at the limit.
    max_value : float, array-like of shape (n_features,), dict or None, default=np.inf
        Largest imputed value, given in the same way as `min_value`.
    round_features : column specification, "from_dtype" or None, default=None
        Features whose imputed values are rounded to integers: names, numbers, a slice, a
        mask or a callable, as in :class:`sklearn.compose.ColumnTransformer`. With "from_dtype", the
        features whose columns have an integer or boolean dtype in `fit` are rounded. Their imputed
        values are limited to the range of that dtype, and they have it again in data frames that
        ``set_output`` requests, if these are of the same library as in `fit`. Booleans are 0 and 1.
    sample_posterior : bool, default=False
        Whether to draw imputed values from their posterior distribution instead of taking its mean,
        for multiple imputation with one `random_state` for each. A draw includes the uncertainty
        of the fitted distribution. With an `estimator`, entries are drawn independently from
        normal distributions around its predictions, with the standard deviations that
        ``predict_entries(..., return_std=True)`` returns.
    random_state : int, RandomState instance or None, default=None
        Random numbers for hiding entries, and for draws if `sample_posterior`. With an int, every
        call of `transform` draws the same values.

    Attributes
    ----------
    estimator_ : estimator object or None
        The fitted estimator, if one was given and X has an observed entry.
    n_components_ : int
        Without an estimator: the chosen rank. It is 0 if features do not depend on one another.
    hidden_errors_ : dict of {int: float}
        Without an estimator: mean squared error of hidden entries of standardized columns for each
        rank that was tried, in ascending order. Rank 0 stands for the means of the columns. The
        error is NaN if no entry could be hidden. It does not include the averages over neighbours.
    noise_variance_ : ndarray of shape (n_features_used,)
        Without an estimator: variance of each feature given all other features, in the squared unit
        of X.
    indicator_ : :class:`sklearn.impute.MissingIndicator` or None
        The indicator whose columns are appended if `add_indicator`.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if they are all strings.

    See Also
    --------
    MatrixFactorization : Its `predict_entries` predicts single entries, also of sparse data.
    sklearn.impute.IterativeImputer : Regresses every feature on the others.
    sklearn.impute.KNNImputer : Averages neighbouring rows.
    sklearn_mf.model_selection.cross_val_entries : Compares imputers on hidden entries of a table.

    References
    ----------
    Little, R. J. A. & Rubin, D. B. (2002). Statistical analysis with missing data. Wiley,
    section 11.2. :doi:`10.1002/9781119013563`

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
        "min_value": [Real, "array-like", dict, None],
        "max_value": [Real, "array-like", dict, None],
        "round_features": "no_validation",
        "sample_posterior": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        *,
        missing_values: object = np.nan,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        min_value: float | ArrayLike | dict | None = -np.inf,
        max_value: float | ArrayLike | dict | None = np.inf,
        round_features: object = None,
        sample_posterior: bool = False,
        random_state: RandomState = None,
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
    def fit(self, X: MatrixLike, y: object = None, **fit_params) -> Self:
        """Learn how the features depend on one another.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing values. X is never changed. In a sparse matrix, stored NaN are
            missing, and entries that are not stored are zero.
        y : Ignored
            Not used, present by convention.
        **fit_params : dict
            Parameters for `fit` of the estimator. If metadata routing is enabled, only those that
            it requests are passed on.

        Returns
        -------
        self : FactorizationImputer
            The fitted imputer.
        """
        table, X = native(X), check_X(self, X, reset=True)
        warn_of_unused_mark(self, X)
        _, (_, columns) = _missing(X)
        self._seen = np.bincount(columns, minlength=X.shape[1]) < X.shape[0]
        self._make, names = make_of(table), input_names(self)
        with_types = table if hasattr(table, "shape") else X
        self._limits = Limits.of_imputer(self, with_types, names, ~self._seen)
        if not (self._seen.all() or self.keep_empty_features):
            warn(
                f"Features without any observed value are dropped: {names[~self._seen].tolist()}."
                " Use keep_empty_features=True to fill them with 0.",
            )
        self.indicator_ = None
        if self.add_indicator:
            # Here, because it brings all of sklearn.neighbors with it.
            from sklearn.impute import MissingIndicator

            indicator = MissingIndicator(error_on_new=False).set_output(transform="default")
            self.indicator_ = indicator.fit(X)
        self._fit_model(self._source(table, X), y, fit_params)
        return self

    def transform(
        self, X: MatrixLike, return_std: bool = False
    ) -> MatrixLike | tuple[MatrixLike, MatrixLike]:
        """Impute the missing values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data with missing values. X is never changed.
        return_std : bool, default=False
            Whether to return standard deviations as well.

        Returns
        -------
        X_filled : {ndarray, CSR matrix, DataFrame} of shape (n_samples, n_features_out)
            X with imputed values in place of missing values.
        std : {ndarray, CSR matrix} of shape (n_samples, n_features_out)
            Only if ``return_std=True``. Standard deviation of each imputed entry, including
            noise, before limits and rounding. It is zero for observed entries, and for entries that
            are not imputed from other entries.
        """
        check_is_fitted(self)
        table, X = native(X), check_X(self, X, reset=False)
        missing, cells = _missing(X)
        random_state = check_random_state(self.random_state) if self.sample_posterior else None
        source = self._source(table, X)
        marks = None
        if self.indicator_ is not None:
            marks = self.indicator_.transform(X).astype(X.dtype)
        seen = self._seen[cells[1]]
        cells = cells[0][seen], cells[1][seen]
        values = np.zeros(len(seen), dtype=X.dtype)
        values[seen] = self._imputed(source, cells, random_state)
        filled = self._completed(X, missing, values, marks)
        if self._limits.stored and self._make is not None:
            filled = self._as_stored(filled, table, missing)
        if not return_std:
            return filled
        std = np.zeros(len(seen), dtype=X.dtype)
        if seen.any():
            std[seen] = self._model.predict(source, cells, return_std=True)[1]
        return filled, self._completed(0 * X, missing, std, None if marks is None else 0 * marks)

    def score(self, X: MatrixLike, y: object = None) -> float:
        """R^2 of hidden entries relative to the means of the features.

        A fifth of the observed entries of every row is hidden, always the same entries, and imputed
        from the others without drawing. A score of 1 is perfect, and 0 is no better than the means
        of the features, so the score can be used in grid search. Features of larger variance have
        more influence.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            ``1 - sum (x - imputed)^2 / sum (x - mean)^2`` over the hidden entries of features
            that `fit` saw.
        """
        check_is_fitted(self)
        table, X = native(X), check_X(self, X, reset=False)
        truth = X.toarray() if sparse.issparse(X) else X
        observed = rows, columns = np.nonzero(~np.isnan(truth) & self._seen)
        counts = np.bincount(columns, minlength=X.shape[1])
        means = np.bincount(columns, truth[observed], len(counts)) / np.maximum(counts, 1)
        hidden = random_share_of_rows(rows, HIDDEN_SHARE, hiding_stream(HIDDEN_SEED))
        cells = rows, columns = rows[hidden], columns[hidden]
        if not (counts[columns] > 1).any():
            warn(
                "score is not defined: no entry of X can be spared and compared with others of its "
                "column. Score more rows at once.",
                UndefinedMetricWarning,
            )
            return float("nan")
        visible = truth.copy()
        visible[cells] = np.nan
        if sparse.issparse(X):
            visible = sparse.csr_array(visible)
        elif self.estimator is not None and is_frame(table):
            visible = rebuilt(table, visible)
        error = np.sum((truth[cells] - self._imputed(visible, cells, None)) ** 2)
        baseline = np.sum((truth[cells] - means[columns]) ** 2)
        return float(explained_share(error, baseline))

    def inverse_transform(self, X: MatrixLike) -> MatrixLike:
        """Restore the missing values, as :class:`sklearn.impute.SimpleImputer` does.

        Entries become missing again where the columns of the indicator are set. Features without
        missing values in `fit` have no such column.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features_out)
            What `transform` returned, with ``add_indicator=True``.

        Returns
        -------
        X_original : {ndarray, CSR matrix} of shape (n_samples, n_features)
            X with `missing_values` where entries were missing, and in features that were dropped.
        """
        check_is_fitted(self)
        if self.indicator_ is None:
            raise ValueError(
                "inverse_transform needs the columns that tell what was missing. Got "
                f"add_indicator={self.add_indicator}: use add_indicator=True."
            )
        X = check_numbers(admit(X), accept_sparse="csr")
        kept, marked = np.flatnonzero(self._kept), self.indicator_.features_
        if X.shape[1] != len(kept) + len(marked):
            raise ValueError(
                f"X has {X.shape[1]} features, but transform returns {len(kept) + len(marked)}: "
                "those that are kept, then those of the indicator."
            )
        mark = np.nan if is_nan(self.missing_values) else self.missing_values
        # Columns of X by feature; of features that were left out, its last one, to be marked.
        places = np.full(self.n_features_in_, -1)
        places[kept] = np.arange(len(kept))
        rows, columns = X[:, len(kept) :].nonzero()
        original = (X.tolil() if sparse.issparse(X) else X)[:, places]
        original[rows, marked[columns]] = mark
        return original.tocsr() if sparse.issparse(X) else original

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features. None: ``feature_names_in_``, or x0, x1, ...

        Returns
        -------
        names : ndarray of str
            Names of the features that are kept, followed by those of the missing indicators.
        """
        check_is_fitted(self)
        names = input_names(self, input_features)
        if self.indicator_ is None:
            return names[self._kept]
        return np.concatenate([names[self._kept], self.indicator_.get_feature_names_out(names)])

    def get_metadata_routing(self) -> MetadataRouter:
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            The routing of the parameters of `fit` to the estimator.
        """
        router = MetadataRouter(owner=self)
        if self.estimator is not None:
            mapping = MethodMapping().add(callee="fit", caller="fit")
            router.add(estimator=self.estimator, method_mapping=mapping)
        return router

    def _source(self, table, X):
        """The data from which missing entries are predicted: the frame itself for an estimator."""
        if self.estimator is None or not is_frame(table):
            return X
        if is_nan(self.missing_values):
            return table
        return X if sparse.issparse(X) else rebuilt(table, X)

    def _fit_model(self, X, y, fit_params):
        """Fit the model, unless no entry is observed at all."""
        self.estimator_ = self._model = None
        if self.estimator is not None:
            if hasattr(self.estimator, "add_indicator"):
                raise ValueError(
                    f"estimator={self.estimator!r} is an imputer itself: use it directly. Here, "
                    "pass a factorization, or a pipeline that ends in one."
                )
            if get_config()["enable_metadata_routing"]:
                fit_params = process_routing(self, "fit", **fit_params).estimator.fit
            if self._seen.any():
                # A warning has named the empty features, for which scalers compute 0 / 0.
                invalid = None if self._seen.all() else "ignore"
                with quiet(EmptyFeatures), np.errstate(invalid=invalid):
                    self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
                self._model = OfEstimator(self.estimator_)
            return
        if fit_params:
            raise TypeError(
                f"fit got {sorted(fit_params)}: fit parameters are passed on to an estimator, but "
                "estimator=None. Pass estimator=..., or leave them out."
            )
        if not self._seen.any():
            self.n_components_, self.hidden_errors_ = 0, {0: np.nan}
            self.noise_variance_ = np.zeros(0)
            return
        random_state = check_random_state(self.random_state)
        model, errors = StandardizedTable.of_table(X, self._seen, random_state)
        self._model, self.hidden_errors_ = model, dict(sorted(errors.items()))
        self.n_components_ = min(self.hidden_errors_, key=self.hidden_errors_.get)
        self.noise_variance_ = model.noise_variance

    def _imputed(self, X, cells, random_state):
        """Imputed values of missing entries, in features with an observed entry in `fit`."""
        columns, limits, model = cells[1], self._limits, self._model
        if len(columns) == 0:
            return np.zeros(0)
        limited = limits.limited(columns)
        if random_state is None:
            values, _ = model.predict(X, cells)
        else:
            values = model.sample(X, cells, random_state)
            if limited.any():
                mean, std = model.predict(X, cells, return_std=True)
                of_limited = values[limited], mean[limited], std[limited], columns[limited]
                values[limited] = limits.truncated(*of_limited)
        if np.isfinite(values).all():
            return limits.within(values, columns)
        if self.estimator_ is None:
            raise ValueError("X is too large to impute from: its squares overflow. Scale X.")
        raise ValueError(
            f"{type(self.estimator_).__name__} predicts values that are not finite. Scale X, or "
            "raise its penalties."
        )

    def _completed(self, X, missing, values, marks):
        """A copy of the kept features of X, with values in place of missing entries."""
        X = X.copy()
        if sparse.issparse(X):
            X.data[missing] = values
            X.eliminate_zeros()
        else:
            X[missing] = values
        X = X[:, self._kept]
        if marks is None:
            return X
        if sparse.issparse(X):
            return sparse.hstack([X, marks], format="csr")
        return np.hstack([X, marks])

    def _as_stored(self, values, table, missing):
        """A frame with the integer dtypes of X, if `set_output` requests a frame like X."""
        columns = self.get_feature_names_out()
        if make_of(wrap_in_container(self, values, table, columns)) != self._make:
            return values
        names, places = input_names(self), np.cumsum(self._kept) - 1
        dtypes, now = {}, integer_columns(table)
        for j, (dtype, span) in self._limits.stored.items():
            if not self._kept[j]:
                continue
            dtypes[j] = names[j], dtype
            column = values[:, places[j]]
            if now.get(j) == (dtype, span):
                # Rounded to floats, integers near the limits of the dtype may lie beyond them.
                column[:] = column.clip(*span)
            wrong = (column != np.rint(column)) | (column != column.clip(*span))
            if wrong.any():
                i = np.argmax(wrong)
                raise ValueError(
                    f"X has {column[i]} in row {i}, column {names[j]!r}, which the dtype {dtype} "
                    "that the column had in fit cannot represent. Use round_features=None."
                )
        frame = wrap_in_container(self, values, table, columns)
        return retyped(frame, dtypes, table, missing)

    @property
    def _kept(self):
        return self._seen | self.keep_empty_features

    def _validate_params(self):
        check_parameters(self)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_model")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = is_nan(self.missing_values)
        tags.input_tags.sparse = (
            self.estimator is None or get_tags(self.estimator).input_tags.sparse
        )
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _missing(X):
    """A mask of the missing values that X stores, and their rows and columns."""
    missing = np.isnan(X.data if sparse.issparse(X) else X)
    return missing, cells_of(X, missing)
