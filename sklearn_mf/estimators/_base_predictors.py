"""What the imputer asks for missing entries: a model of its own, or an estimator.

Either predicts entries, their standard deviations if wanted, and draws them. Rounding and limits
are no concern of theirs.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_mf.imputation.completion import Completion, fit_completion
from sklearn_mf.utils._threads import one_blas_thread


@dataclass(frozen=True)
class StandardizedTable:
    """The completion of standardized columns that needs no parameter.

    Attributes
    ----------
    completion : Completion
        Of the columns that have entries.
    mean, scale : ndarray of shape (n_columns,)
        By which these are standardized; the scale of constant ones is zero, so that they stay so.
    seen : ndarray of bool of shape (n_features,)
        Which they are.
    """

    completion: Completion
    mean: np.ndarray
    scale: np.ndarray
    seen: np.ndarray

    @classmethod
    def of_table(cls, X, seen, random_state):
        """Choose the rank and fit.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n_samples, n_features)
            The data, NaN where missing.
        seen : ndarray of bool of shape (n_features,)
            Columns that have entries.
        random_state : RandomState
            Chooses the entries to hide.

        Returns
        -------
        model : StandardizedTable
            Fitted.
        errors : dict of {int: float}
            Mean squared error of hidden entries at every rank that was tried.

        Raises
        ------
        ValueError
            If a column varies by less than what can be squared.
        """
        X = _dense(X)[:, seen]
        wide = X.astype(np.float64)  # since squares in single precision overflow, or vanish
        mean, scale = np.nanmean(wide, axis=0), np.nanstd(wide, axis=0)
        # What a constant column has beside its mean are rounding errors.
        rounding = 10 * np.finfo(X.dtype).eps * np.abs(mean)
        _refuse_vanishing(np.nanmax(np.abs(wide - mean), axis=0) > rounding, scale, seen)
        scale[scale <= rounding] = 0
        # Of thousands of small systems each alone: threads of BLAS would wait for one another.
        with one_blas_thread():
            completion, errors = fit_completion(_standardized(wide, mean, scale), random_state)
        return cls(completion, mean, scale, seen), errors

    @property
    def noise_variance(self):
        """Variance of each column, given all others, in units of X squared."""
        return self.completion.model.noise * self.scale**2

    def predict(self, X, cells, return_std=False):
        """Expected values of missing entries, and their standard deviations."""
        X, cells, mean, scale = self._rows_of(X, cells)
        with one_blas_thread():
            values = self.completion.predict(X)[cells] * scale + mean
            if not return_std:
                return values, None
            return values, np.sqrt(self.completion.variances(X)[cells]) * scale

    def sample(self, X, cells, random_state):
        """One draw of missing entries, of the model and of the noise."""
        X, cells, mean, scale = self._rows_of(X, cells)
        with one_blas_thread():
            return self.completion.sample(X, random_state)[cells] * scale + mean

    def _rows_of(self, X, cells):
        """Rows that have the cells, standardized; where these are in them; and their units."""
        rows, where = np.unique(cells[0], return_inverse=True)
        columns = (np.cumsum(self.seen) - 1)[cells[1]]
        X = _standardized(_dense(X[rows])[:, self.seen], self.mean, self.scale)
        return X, (where, columns), self.mean[columns], self.scale[columns]


def _refuse_vanishing(varies, scale, seen):
    """Refuse columns that are not constant, but would seem to be."""
    vanishing = varies & (scale < np.sqrt(np.finfo(np.float64).tiny))
    if vanishing.any():
        raise ValueError(
            f"X is too small to impute from in column {np.flatnonzero(seen)[vanishing][0]}: its "
            "squares underflow. Scale X."
        )


class OfEstimator:
    """A fitted estimator that reconstructs what it transforms.

    Parameters
    ----------
    estimator : estimator
        With `transform` and `inverse_transform`.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def predict(self, X, cells, return_std=False):
        """Reconstruction of missing entries, and its standard deviations."""
        estimator = getattr(self.estimator, "best_estimator_", self.estimator)
        if hasattr(estimator, "predict_entries"):
            wanted = {"return_std": True} if return_std else {}
            predicted = estimator.predict_entries(X, *cells, **wanted)
            return predicted if return_std else (predicted, None)
        if return_std:
            raise ValueError(
                f"{type(estimator).__name__} has no predict_entries, which would know "
                "standard deviations. Use an estimator of sklearn_mf itself, or estimator=None."
            )
        return np.asarray(estimator.inverse_transform(estimator.transform(X)))[cells], None

    def sample(self, X, cells, random_state):
        """Normal numbers around the predictions, each by itself."""
        try:
            values, std = self.predict(X, cells, return_std=True)
        except ValueError as error:
            raise ValueError(f"sample_posterior=True needs standard deviations. {error}") from error
        return values + std * random_state.standard_normal(len(values))


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X


def _standardized(X, mean, scale):
    return np.asarray((X - mean) / np.where(scale > 0, scale, 1), dtype=np.float64, order="C")
