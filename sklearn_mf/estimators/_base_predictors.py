"""The two models that predict missing entries for the imputer: its own, or an estimator.

Both predict entries and their standard deviations, and draw entries. The imputer itself applies
rounding and limits.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_mf.imputation.completion import Completion, fit_completion
from sklearn_mf.utils._threads import one_blas_thread


@dataclass(frozen=True)
class StandardizedTable:
    """The parameter-free completion of standardized columns.

    Attributes
    ----------
    completion : Completion
        The completion of the columns with observed entries.
    mean, scale : ndarray of shape (n_columns,)
        By which these columns are standardized. The scale of constant columns is zero, so that they
        stay constant.
    seen : ndarray of bool of shape (n_features,)
        Which columns have observed entries.
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
            Columns with observed entries.
        random_state : RandomState
            Chooses the entries to hide.

        Returns
        -------
        model : StandardizedTable
            The fitted model.
        errors : dict of {int: float}
            Mean squared error of hidden entries for every rank that was tried.

        Raises
        ------
        ValueError
            If the variation of a column is so small that its square underflows.
        """
        X = _dense(X)[:, seen]
        wide = X.astype(np.float64)  # squares in single precision may overflow or underflow
        mean, scale = np.nanmean(wide, axis=0), np.nanstd(wide, axis=0)
        # Deviations of a constant column from its mean are rounding errors.
        rounding = 10 * np.finfo(X.dtype).eps * np.abs(mean)
        _refuse_vanishing(np.nanmax(np.abs(wide - mean), axis=0) > rounding, scale, seen)
        scale[scale <= rounding] = 0
        # Threads of BLAS would wait for one another in thousands of small systems.
        with one_blas_thread():
            completion, errors = fit_completion(_standardized(wide, mean, scale), random_state)
        return cls(completion, mean, scale, seen), errors

    @property
    def noise_variance(self):
        """Variance of each column given all others, in the squared unit of X."""
        return self.completion.model.noise * self.scale**2

    def predict(self, X, cells, return_std=False):
        """Expected values of missing entries and their standard deviations, or None."""
        X, cells, mean, scale = self._rows_of(X, cells)
        with one_blas_thread():
            values = self.completion.predict(X)[cells] * scale + mean
            if not return_std:
                return values, None
            return values, np.sqrt(self.completion.variances(X)[cells]) * scale

    def sample(self, X, cells, random_state):
        """One draw of missing entries from the posterior of the model, including noise."""
        X, cells, mean, scale = self._rows_of(X, cells)
        with one_blas_thread():
            return self.completion.sample(X, random_state)[cells] * scale + mean

    def _rows_of(self, X, cells):
        """The standardized rows of some cells, the cells within them, and their mean and scale."""
        rows, where = np.unique(cells[0], return_inverse=True)
        columns = (np.cumsum(self.seen) - 1)[cells[1]]
        X = _standardized(_dense(X[rows])[:, self.seen], self.mean, self.scale)
        return X, (where, columns), self.mean[columns], self.scale[columns]


def _refuse_vanishing(varies, scale, seen):
    """Refuse columns that vary so little that they would be treated as constant."""
    vanishing = varies & (scale < np.sqrt(np.finfo(np.float64).tiny))
    if vanishing.any():
        raise ValueError(
            f"The values of X in column {np.flatnonzero(seen)[vanishing][0]} are too small: their "
            "squares underflow. Scale X."
        )


class OfEstimator:
    """A fitted estimator with an `inverse_transform`.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator with `transform` and `inverse_transform`.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def predict(self, X, cells, return_std=False):
        """Reconstructed values of missing entries and their standard deviations, or None."""
        estimator = getattr(self.estimator, "best_estimator_", self.estimator)
        if hasattr(estimator, "predict_entries"):
            wanted = {"return_std": True} if return_std else {}
            predicted = estimator.predict_entries(X, *cells, **wanted)
            return predicted if return_std else (predicted, None)
        if return_std:
            raise ValueError(
                f"{type(estimator).__name__} has no method predict_entries, which computes "
                "standard deviations. Use an estimator of sklearn_mf, or estimator=None."
            )
        return np.asarray(estimator.inverse_transform(estimator.transform(X)))[cells], None

    def sample(self, X, cells, random_state):
        """Independent draws from normal distributions around the predictions."""
        try:
            values, std = self.predict(X, cells, return_std=True)
        except ValueError as error:
            raise ValueError(f"sample_posterior=True needs standard deviations. {error}") from error
        return values + std * random_state.standard_normal(len(values))


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X


def _standardized(X, mean, scale):
    return np.asarray((X - mean) / np.where(scale > 0, scale, 1), dtype=np.float64, order="C")
