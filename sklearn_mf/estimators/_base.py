"""Base of all factorizations: validation, fitting, codes, reconstruction and containers."""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_checks import (
    check_observed,
    check_positions,
    warn_of_empty_columns,
    warn_of_empty_rows,
    what_is_expected,
)
from sklearn_mf.estimators._base_recommending import Recommendations
from sklearn_mf.estimators._base_traps import (
    warn_of_short_rows,
    warn_of_traps,
    warn_of_weights_as_y,
)
from sklearn_mf.fitting.early_stopping import HiddenScore
from sklearn_mf.fitting.fit import Run, fit
from sklearn_mf.fitting.observed import observed
from sklearn_mf.fitting.scores import score_of_hidden_entries
from sklearn_mf.fitting.stream import Past
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.fitting.uncertainty import standard_deviations
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.sweeping import sweeping
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.utils._all_at_once import Interrupted
from sklearn_mf.utils._callbacks import CallbackSupportMixin, FitTasks, has_callbacks
from sklearn_mf.utils._foreign import is_dask
from sklearn_mf.utils._monitors import Printer
from sklearn_mf.utils._threads import quiet_products
from sklearn_mf.utils._typing import ArrayLike, MatrixLike
from sklearn_mf.utils._validation import (
    check_complete,
    check_entry_weight,
    check_features,
    check_growth,
    check_parameters,
    check_X,
    is_nan,
    warn_of_unused_mark,
    wrap_in_container,
)


class BaseFactorization(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    ABC,
):
    """Base of all factorizations, whose model is ``X ~ mean(feature_bias_ + W @ components_)``.

    A subclass has the parameters ``missing_values``, ``unstored``, ``bias``, ``max_iter``, ``tol``,
    ``random_state`` and ``verbose``. Its `fit` calls ``_fit``, which obtains the problem, the
    solver and the initialization from the abstract methods.
    """

    components_: np.ndarray
    feature_bias_: np.ndarray
    n_components_: int
    n_features_in_: int
    n_iter_: int
    loss_curve_: list[float]
    loss_curve_seconds_: list[float]
    reconstruction_err_: float

    # Unit of the data in which codes are solved.
    _unit = Unit()
    _takes_holes = True
    # Whether X may lie in blocks of rows.
    _takes_blocks = False
    # Code of a sample without any observed entry. None means zero, so that biases are predicted.
    _mean_code = None
    # Constant that biases are deviations from, in the unit of the data.
    _offset = 0.0
    # Scores the predictions of hidden entries, for early stopping.
    _judge = HiddenScore

    @abstractmethod
    def _resolve_loss(self, table, X):
        """Return the loss, or the losses of the columns, which may be named as in the table."""

    @abstractmethod
    def _objective(self, loss):
        """Return the objective, from the parameters and what the last fit has chosen."""

    @abstractmethod
    def _pose(self, observations: ObservedMatrix, loss, known):
        """Return the problem, including choices made from the data, and a known initialization."""

    @abstractmethod
    def _solver_of(self, problem: Problem):
        """Return the solver of the problem, or raise an error that says why none applies."""

    @abstractmethod
    def _start(self, context, problem: Problem, unit, random_state):
        """Return the initial W and Ht. The context is X, the solver and a known initialization."""

    def transform(self, X: MatrixLike, entry_weight: MatrixLike | None = None) -> np.ndarray:
        """Transform X to codes, by solving for each row with the components fixed.

        Each row is solved on its own observed entries, independently of other rows. The code of a
        row without any observed entry is zero if there are biases, so that the feature biases are
        predicted. Without biases it is the mean of the codes in `fit`. A warning names such rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components) or (n_samples, n_components + 1)
            Transformed data (codes). If there is a sample bias, it is an additional last column.
        """
        check_is_fitted(self)
        if is_dask(X):
            check_features(self, X)
            codes = partial(self._codes_of_rows, reset=None)
            return self._by_chunks(codes, X, self._n_features_out, entry_weight)
        return self._codes_of_rows(X, entry_weight)

    def transform_columns(
        self, X: MatrixLike, W: ArrayLike, entry_weight: MatrixLike | None = None
    ) -> np.ndarray:
        """Compute the components of new features from samples whose codes are known.

        Each column is solved on its own observed entries with the codes fixed, by the same
        regression and with the same penalty ``alpha_H`` as in `fit`. The estimator does not change.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_new_features)
            Observed entries of the new features.
        W : array-like of shape (n_samples, n_features_out)
            Codes of the same samples, as returned by `transform`.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_new_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        H : ndarray of shape (n_new_features, n_components) or (n_new_features, n_components + 1)
            Components of the new features, one row for each, like rows of ``components_.T``. If
            there are feature biases, those of the new features are an additional last column.
            The components of a feature without an observed entry are zero.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import MatrixFactorization
        >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
        >>> model = MatrixFactorization(1)
        >>> W = model.fit_transform(X)
        >>> H = model.transform_columns([[3.0], [6.0], [np.nan]], W)
        >>> print((W @ H.T).round(2))
        [[3.]
         [6.]
         [9.]]
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=None)
        W = check_complete(W, "W", dtype=X.dtype)
        expected = (X.shape[0], self._n_features_out)
        if W.shape != expected:
            raise ValueError(
                f"W has the shape {W.shape}, it must be {expected}: one row for each row of X, "
                "with the columns that transform returned."
            )
        if self.loss_.kinds is not None:
            raise ValueError(
                "transform_columns cannot be used with several losses, because the loss of new "
                "features is not known. Fit with one loss for all features."
            )
        observations = self._observe(X, self.loss_, entry_weight)
        warn_of_empty_columns(observations)
        k, unit = self.n_components_, self._unit
        problem = unit.problem(replace(self._problem(observations), offset=self._offset))
        with threads_for(observations), np.errstate(over="ignore", invalid="ignore"):
            codes = np.ascontiguousarray(unit.inside(self._unwhitened(W), k))
            H = unit.outside(problem.T.fold_in(codes), k)
        if problem.columns.has_bias:
            H[:, -1] += H.dtype.type(self._offset)
        return H

    def inverse_transform(self, X: MatrixLike) -> np.ndarray:
        """Reconstruct data from codes, as ``feature_bias_ + W @ components_``.

        Under a loss with a link function, the result is on the scale of the data: probabilities for
        the logistic loss and rates for the Poisson loss. Observed entries are replaced by
        their reconstruction as well.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as returned by `transform`.

        Returns
        -------
        X_reconstructed : ndarray or DataFrame of shape (n_samples, n_features)
            Reconstructed data, in the container requested by ``set_output``.
        """
        check_is_fitted(self)
        if is_dask(X):
            return self._by_chunks(self.inverse_transform, X, self.n_features_in_)
        W = check_complete(X, "X")
        if W.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {W.shape[1]} columns, but the codes of this {type(self).__name__} have "
                f"{self._n_features_out}: pass the result of transform."
            )
        values = self._model.decode(self._unwhitened(W))
        return wrap_in_container(self, values, X, self._input_names())

    def predict_entries(
        self,
        X: MatrixLike,
        rows: ArrayLike,
        columns: ArrayLike,
        return_std: bool = False,
        entry_weight: MatrixLike | None = None,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        r"""Predict single entries without reconstructing the whole matrix.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        rows : array-like of int of shape (n_entries,)
            Row numbers of the entries.
        columns : array-like of int of shape (n_entries,)
            Column numbers of the entries.
        return_std : bool, default=False
            Whether to return standard deviations as well. This requires ``loss="squared"`` and
            `fit`. They do not account for penalties on absolute values and for constraints.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Non-negative weight of every entry of X. An entry whose weight is 0 or not stored is
            missing.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Predicted value of every entry, on the scale of the data.
        std : ndarray of shape (n_entries,)
            Only if ``return_std=True``. Standard deviation of a new observation of the entry, which
            is the square root of

            .. math::

                \tau^2 + h_j^\top \mathrm{Cov}(w_i) h_j + w_i^\top \mathrm{Cov}(h_j) w_i
                + \mathrm{tr}(\mathrm{Cov}(w_i) \mathrm{Cov}(h_j))

            where the covariances are those of the ridge regressions for :math:`w_i` and
            :math:`h_j`, and the noise variance :math:`\tau^2` is the sum of squared residuals of
            `fit` divided by the degrees of freedom.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        rows = check_positions(rows, "rows", X.shape[0])
        columns = check_positions(columns, "columns", X.shape[1])
        if len(rows) != len(columns):
            raise ValueError(
                f"rows has {len(rows)} entries, but columns has {len(columns)}: pass one column "
                "for each row."
            )
        if not len(rows):
            nothing = np.zeros(0, dtype=X.dtype)
            return (nothing, nothing.copy()) if return_std else nothing
        needed, rows = np.unique(rows, return_inverse=True)
        E = check_entry_weight(entry_weight, X, self.unstored, self._feature_names)
        E = None if E is None else E[needed]
        observations = self._observe(X[needed], self.loss_, E)
        W = self._codes(observations)
        values = self._model.decode_entries(W, rows, columns)
        if not return_std:
            return values
        return values, self._standard_deviations(observations, W, (rows, columns))

    def score(
        self, X: MatrixLike, y: object = None, entry_weight: MatrixLike | None = None
    ) -> float:
        """R^2 of hidden entries relative to the means of the features; D^2 under other losses.

        A fifth of the observed entries of every row is hidden, always the same entries, and the
        codes are solved on the others. A score of 1 is perfect, and 0 is no better than the best
        constant for each feature, which is its mean under the squared loss. A higher rank does not
        improve the score by itself, so it can be used in grid search.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.
        y : Ignored
            Not used, present by convention.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry, hidden or not. An entry whose weight is 0, masked
            or not stored is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        score : float
            ``1 - sum loss(x, model) / sum loss(x, constant)`` over the hidden entries, where the
            constant of each feature minimizes the loss over the observed entries of X. For the
            squared loss this is ``1 - sum (x - xhat)^2 / sum (x - mean)^2``. With weights, all sums
            are weighted.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        observations = self._observe(X, self.loss_, entry_weight)
        return score_of_hidden_entries(self._unit.problem(self._problem(observations)), self._model)

    recommend = Recommendations.recommend
    iter_recommend = Recommendations.iter_recommend
    similar_features = Recommendations.similar_features
    similar_samples = Recommendations.similar_samples
    explain = Recommendations.explain
    rerank_mmr = Recommendations.rerank_mmr

    def __sklearn_is_fitted__(self):
        # After a batch without entries, or data that were refused, only feature names are set.
        return hasattr(self, "components_")

    def _validate_params(self):
        check_parameters(self)

    @property
    def _has_sample_bias(self):
        return self.bias in ("samples", "both")

    @property
    def _n_features_out(self):
        return self.n_components_ + self._has_sample_bias

    @property
    def _feature_names(self):
        """Names of the features, None where they have none."""
        return getattr(self, "feature_names_in_", None)

    def _input_names(self):
        names = self._feature_names
        if names is None:
            names = np.array([f"x{i}" for i in range(self.n_features_in_)], dtype=object)
        return names

    def _observe(self, X, loss, entry_weight=None, sample_weight=None):
        weights = entry_weight, sample_weight
        return observed(X, loss, self.unstored, self._feature_names, *weights)

    def _fit(self, X, y, sample_weight, entry_weight, known=None):
        """Fit and set the fitted attributes; ``known`` is an initialization given by the caller."""
        table, given = X, {"X": X, "y": y}
        if self._is_warm_start:
            check_growth(self, X)
        X = check_X(self, X, reset=True)
        warn_of_unused_mark(self, X)
        loss = self._resolve_loss(table, X)
        observations = self._observe(X, loss, entry_weight, sample_weight)
        check_observed(observations)
        problem, known = self._pose(observations, loss, known)
        problem = sweeping(problem)
        warn_of_empty_columns(observations, what_is_expected(problem))
        solver = self._solver_of(problem)
        warn_of_weights_as_y(y, sample_weight)
        warn_of_traps(self, X, loss, entry_weight is not None)
        run = Run(
            solver,
            partial(self._start, (X, solver, known)),
            partial(self._monitors, solver, given),
            self.max_iter,
            self.tol,
            self.random_state,
            self._validation_split,
            self._judge,
        )
        result = fit(problem, run)
        vars(self).update(self._fitted_attributes(result), **self._left_by(result))
        if result.state.interrupted:
            raise Interrupted
        warn_of_empty_rows(observations, self._mean_code)
        warn_of_short_rows(self, observations, self._n_features_out)
        for monitor in result.monitors:
            monitor.finish()
        return result

    @property
    def _is_warm_start(self):
        """Whether this fit is a warm start from the previous one."""
        return getattr(self, "warm_start", False) and hasattr(self, "components_")

    @property
    def _validation_split(self):
        """Share of entries hidden for early stopping and iterations without gain, or None."""
        return None

    def _monitors(self, solver, given, result_at, unit):
        """Monitors of the solver: callbacks and printed progress."""
        monitors = []
        if has_callbacks(self):

            def attributes(state):
                return self._fitted_attributes(result_at(state))

            monitors.append(FitTasks(self, given, self.max_iter, attributes))
        if self.verbose:
            monitors.append(Printer(solver.name, self.verbose, unit.of_objective))
        return monitors

    def _fitted_attributes(self, result):
        """Attributes that `fit` sets, for the factors of a state."""
        unit, state = result.unit, result.state
        return {
            **model_attributes(result.model),
            "n_iter_": max(1, state.n_iter),
            "loss_curve_": [unit.of_objective * value for value in state.history],
            "loss_curve_seconds_": list(state.seconds),
            "solver_": result.solver,
            "loss_": result.posed.loss,
            "_unit": unit,
        }

    def _left_by(self, result):
        """Attributes that only a finished fit sets."""
        return {"reconstruction_err_": result.reconstruction_err, "_mean_code": result.mean_code}

    def _codes_after(self, result, X, entry_weight):
        """Codes of a fit to X; of a collection of Dask they are found when they are asked for."""
        return self.transform(X, entry_weight) if is_dask(X) else self._codes_of(result)

    def _codes_of(self, result):
        """Codes of a fit, the same that `transform` returns."""
        W = result.unit.outside(result.codes, self.n_components_)
        return self._whitened(self._expected_where_empty(W, result.posed.observations))

    def _codes_of_rows(self, X, entry_weight=None, reset=False):
        """What `transform` says of rows that are here."""
        X = check_X(self, X, reset=reset)
        return self._whitened(self._codes(self._observe(X, self.loss_, entry_weight)))

    def _by_chunks(self, function, X, n_columns, entry_weight=None):
        """What a function gives for the rows of each chunk of a collection of Dask, if asked."""
        from sklearn_mf.dask import by_chunks

        return by_chunks(function, X, n_columns, self.components_.dtype, entry_weight)

    def _codes(self, observations: ObservedMatrix):
        warn_of_empty_rows(observations, self._mean_code)
        warn_of_short_rows(self, observations, self._n_features_out)
        problem = self._problem(observations)
        with threads_for(observations, uses_kernels=not problem.is_smooth), quiet_products():
            return self._expected_where_empty(self._model.encode(problem), observations)

    def _expected_where_empty(self, W, observations: ObservedMatrix):
        """Codes, with the mean code for rows without an observed entry."""
        empty = observations.empty_rows()
        if self._mean_code is not None and empty.any():
            W = W.copy()
            W[empty] = self._mean_code
        return W

    def _problem(self, observations: ObservedMatrix):
        """The problem whose rows are the codes of these data."""
        return self._objective(self.loss_).problem(observations, self.n_components_)

    def _standard_deviations(self, observations: ObservedMatrix, W, cells):
        """Standard deviations of new observations of some cells, for rows with these codes."""
        if not self.loss_.is_squared:
            raise ValueError("return_std=True needs loss='squared': other losses have no noise.")
        past, unit = getattr(self, "_stream", None), self._unit
        if not isinstance(past, Past):
            raise ValueError(
                f"return_std=True: this {type(self).__name__} cannot estimate standard deviations. "
                "Use MatrixFactorization, and fit instead of partial_fit."
            )
        problem = replace(unit.problem(self._problem(observations)), offset=past.offset)
        if not problem.is_elastic:
            raise ValueError(
                "return_std=True needs codes that are ridge regressions: use penalties that are "
                "Ridge or ElasticNet."
            )
        factors = unit.inside(W, self.n_components_), self._model.features_factor(problem)
        error = self.reconstruction_err_ / unit.size
        std = unit.size * standard_deviations(past, problem, factors, cells, error)
        return std.astype(observations.dtype)

    def _whitened(self, W):
        """Whitened codes, if the estimator has that option."""
        return W

    def _unwhitened(self, W):
        """Codes in the scale of `components_`, from codes that `transform` returned."""
        return W

    @property
    def _model(self):
        """The model of the current fitted attributes, which users may have changed."""
        attributes = self.components_, self.feature_bias_, self._has_sample_bias, self.loss_
        return FactorModel(*attributes, self._unit)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = is_nan(self.missing_values) and self._takes_holes
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def model_attributes(model: FactorModel):
    """The fitted attributes of a model."""
    return {
        "components_": model.components,
        "feature_bias_": model.feature_bias,
        "n_components_": model.n_components,
    }
