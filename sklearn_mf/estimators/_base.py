"""The one way in and the one way out for all estimators: validation, codes, containers."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_traps import warn_of_short_rows
from sklearn_mf.estimators._base_uncertainty import standard_deviations
from sklearn_mf.fitting.early_stopping import explained_share
from sklearn_mf.losses.columns import check_data
from sklearn_mf.objective.constants import column_constants
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import DenseObservations, ObservedMatrix, observe
from sklearn_mf.utils._callbacks import CallbackSupportMixin
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._threads import one_blas_thread, quiet_products
from sklearn_mf.utils._validation import (
    CheckedParametersMixin,
    check_complete,
    check_entry_weight,
    check_sample_weight,
    check_X,
    is_nan,
    wrap_in_container,
)
from sklearn_mf.utils._warnings import EmptyFeatures, warn

# Share of each row's observed entries that `score` hides, and the seed that chooses them.
HIDDEN_SHARE, HIDDEN_SEED = 0.2, 0


class BaseFactorization(
    CheckedParametersMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of all estimators: ``X ~ mean(feature_bias_ + W @ components_)``.

    A subclass has the parameters ``missing_values`` and ``unstored``, sets
    ``components_``, ``feature_bias_`` and ``loss_``, whose ``mean`` this is, in `fit`, and
    says in ``_problem`` what is minimised, and may set ``_unit``, in which codes are solved.
    """

    _unit = Unit()
    _takes_holes = True
    # Of a sample of which nothing is known; None where it is zero: biases are what is expected.
    _mean_code = None

    def transform(self, X, entry_weight=None):
        """Codes of samples: each row solved on its own observed entries, components fixed.

        Rows never influence one another. A row without any observed entry gets the code that
        stands for the feature biases alone, zero; without biases, the mean of the codes in `fit`,
        lest it be predicted to be zero. A warning says so.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components) or (n_samples, n_components + 1)
            Codes. The bias of the sample is one more, last column where there is one.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        return self._whitened(self._codes(self._observe(X, self.loss_, entry_weight)))

    def transform_columns(self, X, W, entry_weight=None):
        """Components of new features, of samples whose codes are known.

        Each column is solved on its own observed entries, the codes fixed: the regression
        by which `fit` finds the components, with the penalty ``alpha_H``. The estimator does
        not change.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_new_features)
            What is observed of the new features.
        W : array-like of shape (n_samples, n_features_out)
            Codes of the same samples, as `transform` returns them.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_new_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

        Returns
        -------
        H : ndarray of shape (n_new_features, n_components) or (n_new_features, n_components + 1)
            What ``components_.T`` has for other features. Where they have a bias, that of
            the new ones is one more, last column. A feature without an observed entry
            gets zeros, its bias that of no feature in particular.

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
                f"W has the shape {W.shape}, it must be {expected}: one row for each of X, and "
                "the columns that transform returned."
            )
        if self.loss_.kinds is not None:
            raise ValueError(
                "transform_columns does not know which loss new features have: it needs one loss "
                "for all features."
            )
        observations = self._observe(X, self.loss_, entry_weight)
        warn_of_empty_columns(observations)
        k, unit = self.n_components_, self._unit
        problem = self._problem(observations, self.loss_, k)
        problem = unit.problem(replace(problem, offset=self._offset))
        with threads_for(observations), np.errstate(over="ignore", invalid="ignore"):
            codes = np.ascontiguousarray(unit.inside(self._unwhitened(W), k))
            H = unit.outside(problem.T.fold_in(codes), k)
        if problem.columns.has_bias:
            H[:, -1] += H.dtype.type(self._offset)
        return H

    def inverse_transform(self, X):
        """Reconstruct data from codes, ``feature_bias_ + W @ components_``.

        Under a loss with a link this is put on the scale of the data: probabilities for
        the logistic loss, rates for that of Poisson. What was observed is reconstructed
        too, not kept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as `transform` returns them.

        Returns
        -------
        X_reconstructed : ndarray or DataFrame of shape (n_samples, n_features)
            Expected data, in the container that ``set_output`` asks for.
        """
        check_is_fitted(self)
        W = check_complete(X, "X")
        if W.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {W.shape[1]} columns, but the codes of this {type(self).__name__} have "
                f"{self._n_features_out}: pass what transform returned."
            )
        values = self._model.decode(self._unwhitened(W))
        return wrap_in_container(self, values, X, self._input_names())

    def predict_entries(self, X, rows, columns, return_std=False, entry_weight=None):
        r"""Predict single entries, without the whole reconstruction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is observed of the samples.
        rows : array-like of int of shape (n_entries,)
            Rows of X.
        columns : array-like of int of shape (n_entries,)
            Columns of X.
        return_std : bool, default=False
            Whether to return standard deviations too. They need ``loss="squared"`` and `fit`,
            and leave aside that penalties may be absolute values, or factors positive.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Non-negative weight of every entry of X; 0, or not stored, is missing.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Expected value of every pair of a row and a column, on the scale of the data.
        std : ndarray of shape (n_entries,)
            If `return_std`: standard deviation of a new observation there, the square root of

            .. math::

                \sigma^2 + h_j^\top \mathrm{Cov}(w_i) h_j + w_i^\top \mathrm{Cov}(h_j) w_i
                + \mathrm{tr}(\mathrm{Cov}(w_i) \mathrm{Cov}(h_j))

            with the covariances of the ridge regressions that codes and components are, and
            the noise :math:`\sigma^2` the squared residuals of `fit` per degree of freedom.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        rows = _check_positions(rows, "rows", X.shape[0])
        columns = _check_positions(columns, "columns", X.shape[1])
        if len(rows) != len(columns):
            raise ValueError(
                f"rows has {len(rows)} entries, columns has {len(columns)}: they go in pairs."
            )
        if not len(rows):
            nothing = np.zeros(0, dtype=X.dtype)
            return (nothing, nothing.copy()) if return_std else nothing
        needed, rows = np.unique(rows, return_inverse=True)
        E = check_entry_weight(entry_weight, X, self.unstored)
        E = None if E is None else E[needed]
        observations = self._observe(X[needed], self.loss_, E)
        W = self._codes(observations)
        values = self._model.decode_entries(W, rows, columns)
        if not return_std:
            return values
        return values, standard_deviations(self, observations, W, (rows, columns))

    def score(self, X, y=None, entry_weight=None):
        """R^2 of hidden entries against the means of the features; D^2 under other losses.

        A fifth of the observed entries of every row is hidden, always the same ones; the
        codes are solved on the others. 1 is perfect, 0 no better than a constant for each
        feature: under the squared loss its mean. So a higher rank does not win by itself,
        and grid search can use the score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without.
        y : Ignored
            Not used, present by convention.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry, hidden or not; 0, masked or not stored is
            missing. NaN may stand where X has no entry.

        Returns
        -------
        score : float
            ``1 - sum loss(x, model) / sum loss(x, constant)`` over the hidden entries, with
            the constant of each feature that has the smallest loss over the observed
            entries of X: for the squared loss ``1 - sum (x - xhat)^2 / sum (x - mean)^2``.
            With weights, all of these are weighted sums.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        observations = self._observe(X, self.loss_, entry_weight)
        problem = self._unit.problem(self._problem(observations, self.loss_, self.n_components_))
        model = self._model
        problem, Ht = model.fixed(problem)
        observations, loss = problem.observations, problem.loss
        with threads_for(observations):
            constants = column_constants(problem)[:, None]
        in_column = observations.T.n_in_row()
        rng = hiding_stream(HIDDEN_SEED)
        error = baseline = n_hidden = 0
        comparable = False
        for _, block in observations.blocks():
            visible, hidden = block.split(HIDDEN_SHARE, rng)
            with threads_for(visible), quiet_products():
                W = model.solve(replace(problem, observations=visible), Ht)
                error += hidden.total_loss(*problem.model_factors(W, Ht), loss)
            ones = np.ones((block.shape[0], 1), dtype=block.dtype)
            baseline += hidden.total_loss(ones, constants, loss)
            n_hidden += hidden.n_observed
            comparable |= bool(hidden.T.n_in_row()[in_column > 1].any())
        if not comparable:
            why = "no row of X has an observed entry to spare"
            if n_hidden:
                why = "no entry that it hides has another one in its column to be compared with"
            warn(f"score is not defined: {why}. Score more rows at once.", UndefinedMetricWarning)
            return float("nan")
        # Predictions beyond all numbers are infinitely bad.
        return explained_share(np.inf if np.isnan(error) else error, baseline)

    def __sklearn_is_fitted__(self):
        # Of a batch without entries, or of data that were refused, only names are known.
        return hasattr(self, "components_")

    @property
    def _n_features_out(self):
        return self.n_components_ + self._has_sample_bias

    def _input_names(self):
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = np.array([f"x{i}" for i in range(self.n_features_in_)], dtype=object)
        return names

    def _observe(self, X, loss, entry_weight=None, sample_weight=None):
        observations = observe(
            X,
            unstored=self.unstored,
            entry_weight=check_entry_weight(entry_weight, X, self.unstored),
            sample_weight=check_sample_weight(sample_weight, X),
            column_kinds=loss.kinds,
        )
        check_data(loss, observations, getattr(self, "feature_names_in_", None))
        return observations

    def _codes(self, observations: ObservedMatrix):
        warn_of_empty_rows(observations, self._mean_code)
        warn_of_short_rows(self, observations)
        problem = self._problem(observations, self.loss_, self.n_components_)
        with threads_for(observations, uses_kernels=not problem.is_smooth), quiet_products():
            return self._expected_where_empty(self._model.encode(problem), observations)

    def _expected_where_empty(self, W, observations: ObservedMatrix):
        """Codes, those of rows without an entry being what is to be expected."""
        empty = observations.row_totals() == 0
        if self._mean_code is not None and empty.any():
            W = W.copy()
            W[empty] = self._mean_code
        return W

    def _whitened(self, W):
        """Codes as `transform` returns them."""
        return W

    def _unwhitened(self, W):
        """Codes that go with the components, of those that `transform` returned."""
        return W

    @property
    def _model(self):
        """What the fitted attributes mean, as users may have changed them."""
        attributes = self.components_, self.feature_bias_, self._has_sample_bias, self.loss_
        return FactorModel(*attributes, self._unit)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = is_nan(self.missing_values) and self._takes_holes
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def threads_for(observations: ObservedMatrix, uses_kernels=False):
    """Context in which these data are solved: threads for BLAS, or for the kernels."""
    dense = isinstance(observations, DenseObservations) and observations.complete
    return nullcontext() if dense and not uses_kernels else one_blas_thread()


def warn_of_empty_rows(observations: ObservedMatrix, mean_code=None):
    """Say which rows have no entry, and what their codes are."""
    empty = np.flatnonzero(observations.row_totals() == 0)
    if len(empty):
        codes = "zero" if mean_code is None else "the mean of those in fit"
        warn(
            f"{len(empty)} of {observations.shape[0]} samples have no observed entry, the "
            f"first is row {empty[0]}: their codes are {codes}.",
        )


def warn_of_empty_columns(observations: ObservedMatrix, expected=""):
    """Say which features have no entry, their components being zero."""
    empty = np.flatnonzero(observations.T.row_totals() == 0)
    if len(empty):
        warn(
            f"{len(empty)} of {observations.shape[1]} features have no observed entry, the "
            f"first is column {empty[0]}: their components are zero{expected}.",
            EmptyFeatures,
        )


def _check_positions(positions, name, size):
    if np.ma.is_masked(positions):
        raise ValueError(f"{name} has masked positions: every entry needs a row and a column.")
    positions = np.asarray(positions)
    if positions.size == 0:
        return np.zeros(0, dtype=np.int64)
    if positions.ndim != 1 or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"{name} must be a one-dimensional array of integers.")
    if not (positions.min() >= 0 and positions.max() < size):
        raise ValueError(f"{name} must lie in [0, {size}), the size of X on that side.")
    return positions.astype(np.int64)
