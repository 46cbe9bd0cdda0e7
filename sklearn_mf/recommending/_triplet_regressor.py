"""A regressor whose samples are the entries of a matrix, given by pairs of labels."""

from dataclasses import replace
from numbers import Real
from typing import Literal, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from sklearn_mf.utils._labels import LabeledMatrix, named, numbered, places_among
from sklearn_mf.utils._tables import column_names, is_frame, make_of, native
from sklearn_mf.utils._typing import ArrayLike, MatrixLike
from sklearn_mf.utils._validation import (
    HasMethods,
    StrOptions,
    admit,
    check_numbers,
    check_parameters,
    check_sample_weight,
    fit_context,
)
from sklearn_mf.utils._warnings import quiet, warn

__all__ = ["TripletRegressor"]

SIDES = ("row", "column")


class TripletRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    r"""Predict the value of a pair of labels, such as a user's rating of a movie.

    Each sample is an entry of a matrix: X has two columns, the label of the row and the label of
    the column, and y contains the values. `fit` builds the matrix and factorizes it, and `predict`
    returns predictions of pairs. Entries can therefore be split, scored and searched with
    scikit-learn's tools for regressors: `KFold`, `cross_val_score`, `GridSearchCV`,
    ``sample_weight``.

    Parameters
    ----------
    estimator : estimator instance
        An estimator with `predict_entries`, such as :class:`MatrixFactorization`, and with
        ``unstored="missing"``, because pairs that are not in X are unknown and not zero. It is
        cloned.
    unknown : {"bias", "nan", "error"}, default="bias"
        Prediction for labels that were not seen in `fit`. "bias" is the expected value given the
        other label, and the mean of y if both labels are new. For a new row, it is the estimator's
        prediction for a row without entries: the bias of the column if the model has one, or the
        prediction from the mean codes. For a new column, it is :math:`\mu + c_i`, the mean of y
        plus the bias of the row if the model has one. "nan" predicts NaN, which scorers refuse.
        "error" raises an error that names the labels.
    clip : tuple of (float, float) or None, default=None
        Smallest and largest prediction, such as the limits of a rating scale. None sets no limits.

    Attributes
    ----------
    estimator_ : estimator instance
        The estimator, fitted to `data_`.
    data_ : LabeledMatrix
        The matrix of entries with the labels of rows and columns. Repeated pairs are replaced by
        their weighted mean.
    entry_weight_ : csr_array, or None
        Sum of the weights of each entry; None if all are one.
    mean_ : float
        Weighted mean of y.
    n_features_in_ : int
        Number of columns of X, which is two.
    feature_names_in_ : ndarray of shape (2,)
        Names of the columns, if X had string names.

    See Also
    --------
    sklearn_mf.recommending.pivot_entries : Builds the matrix only.
    sklearn_mf.model_selection.EntryKFold : Splits the entries of a matrix.

    Notes
    -----
    A repeated pair becomes one entry with the weighted mean and the sum of the weights. Under the
    squared loss, this changes the objective by a constant only. A sample with weight 0 is ignored.

    The entries are stored, because the codes of a row are computed from its entries at prediction
    time.

    :class:`ImplicitFactorization` can be fitted as well, but it predicts whether a pair is likely,
    not y. Use its predictions for rankings, and do not compare them with y. `fit` warns in this
    case.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_mf import MatrixFactorization, TripletRegressor
    >>> rng = np.random.default_rng(0)
    >>> rows, columns = rng.integers(40, size=1000), rng.integers(20, size=1000)
    >>> y = rng.normal(size=40)[rows] + rng.normal(size=20)[columns]
    >>> X = np.column_stack([rows, columns])
    >>> model = MatrixFactorization(1, bias="both", unstored="missing", alpha_W=0.01)
    >>> regressor = TripletRegressor(model, clip=(-10, 10))
    >>> bool(cross_val_score(regressor, X, y).min() > 0.98)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_entries"])],
        "unknown": [StrOptions({"bias", "nan", "error"})],
        "clip": [tuple, list, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        unknown: Literal["bias", "nan", "error"] = "bias",
        clip: tuple[float, float] | None = None,
    ):
        self.estimator = estimator
        self.unknown = unknown
        self.clip = clip

    # The estimator validates its own parameters.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: MatrixLike, y: object, sample_weight: ArrayLike | None = None) -> Self:
        """Build a matrix of the entries and factorize it.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_entries, 2)
            Labels of rows and columns, of any type; they are never modified.
        y : array-like of shape (n_entries,)
            Values of the pairs.
        sample_weight : array-like of shape (n_entries,), default=None
            Non-negative weights of the entries. An entry with weight 2 counts twice; an entry with
            weight 0 is ignored.

        Returns
        -------
        self : TripletRegressor
            The fitted regressor.

        Raises
        ------
        ValueError
            If X does not have two columns, if a label or a value is missing, or if pairs that are
            not in X are zeros for the estimator.
        """
        _check_clip(self.clip)
        _check_estimator(self.estimator)
        columns = self._label_columns(X, y, reset=True)
        y = column_or_1d(check_numbers(admit(y, "y"), "y", ensure_2d=False), warn=True)
        check_consistent_length(X, y)
        weights = check_sample_weight(sample_weight, y[:, None])
        if weights is not None and not weights.any():  # older versions of scikit-learn do not check
            raise ValueError("sample_weight is zero for all samples: there is no entry to fit.")
        coded = [numbered(_taken(column, weights)) for column in columns]
        if weights is not None:
            y, weights = y[weights > 0], weights[weights > 0]
        _check_labels(coded)
        (rows, row_labels), (places, column_labels) = coded
        entries, entry_weight = _averaged(y, weights, (rows, places), coded)
        names = tuple(getattr(self, "feature_names_in_", SIDES))
        make = make_of(X) or "pandas"
        self.data_ = LabeledMatrix(entries, row_labels, column_labels, names, make)
        self.entry_weight_ = entry_weight
        self.mean_ = float(np.average(y, weights=weights))
        weighted = {} if entry_weight is None else {"entry_weight": entry_weight}
        if weighted and not has_fit_parameter(self.estimator, "entry_weight"):
            raise ValueError(
                "Sample weights and repeated pairs need an estimator whose fit accepts "
                f"entry_weight, which {type(self.estimator).__name__}.fit does not."
            )
        self.estimator_ = clone(self.estimator).fit(self.data_, **weighted)
        return self

    def predict(self, X: MatrixLike) -> np.ndarray:
        """Predict the values of pairs.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_entries, 2)
            Labels of rows and columns.

        Returns
        -------
        y : ndarray of shape (n_entries,)
            Expected values, within `clip`.

        Raises
        ------
        ValueError
            If a label is new and ``unknown="error"``, or if a label is missing.
        """
        check_is_fitted(self)
        _check_clip(self.clip)
        columns = self._label_columns(X, None, reset=False)
        coded = [numbered(column) for column in columns]
        _check_labels(coded)
        known = self.data_.row_labels, self.data_.column_labels
        places = [
            places_among(labels, of_side, side)[codes]
            for (codes, labels), of_side, side in zip(coded, known, SIDES, strict=True)
        ]
        is_known = [of_side >= 0 for of_side in places]
        y = np.full(len(places[0]), self.mean_, dtype=self.data_.X.dtype)
        if self.unknown == "error":
            self._refuse_unknown(columns, is_known)
        both = is_known[0] & is_known[1]
        y[both] = self._entries(places[0][both], places[1][both])
        if self.unknown == "nan":
            y[~both] = np.nan
        else:
            new_row, new_column = ~is_known[0] & is_known[1], is_known[0] & ~is_known[1]
            y[new_row] = self._of_new_rows(places[1][new_row])
            y[new_column] = self._of_new_columns(places[0][new_column])
        return y if self.clip is None else np.clip(y, *self.clip)

    def score(self, X: MatrixLike, y: object, sample_weight: ArrayLike | None = None) -> float:
        """Return the R^2 of the predicted values, as for any regressor of scikit-learn.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_entries, 2)
            Labels of rows and columns.
        y : array-like of shape (n_entries,)
            Values of the pairs.
        sample_weight : array-like of shape (n_entries,), default=None
            Weights of the entries.

        Returns
        -------
        score : float
            ``1 - sum (y - prediction)^2 / sum (y - mean)^2``.
        """
        return super().score(X, y, sample_weight)

    def _label_columns(self, X, y, reset):
        """Return the two columns of X, which may be a frame, an array, or a list of pairs."""
        if sparse.issparse(X):
            raise TypeError("X must be a dense array of pairs of labels, but it is sparse.")
        table = X if is_frame(native(X)) or hasattr(X, "dtype") else _array_of_objects(X)
        _check_shape(table)
        given = {"y": y} if reset else {}
        validate_data(self, table, reset=reset, skip_check_array=True, **given)
        if self.n_features_in_ != len(SIDES):
            raise ValueError(
                f"X has {self.n_features_in_} columns, but must have two: the labels of rows and "
                "of columns."
            )
        frame = native(table)
        if not is_frame(frame):
            _check_finite(frame)
            return [frame[:, 0], frame[:, 1]]
        if hasattr(frame, "iloc"):
            return [frame.iloc[:, 0], frame.iloc[:, 1]]
        return [frame[name] for name in column_names(frame)]

    def _refuse_unknown(self, columns, is_known):
        for column, known, side in zip(columns, is_known, SIDES, strict=True):
            if not known.all():
                _, labels = numbered(_taken(column, ~known))
                raise ValueError(
                    f"X contains labels of {side}s that were not seen in fit: {named(labels)}. "
                    "Remove these samples, or use unknown='bias'."
                )

    @property
    def _model(self):
        """Return the fitted estimator; for a search, the one of the selected rank."""
        return getattr(self.estimator_, "best_estimator_", self.estimator_)

    def _entries(self, rows, columns):
        """Return the expected values of entries of the matrix."""
        weighted = {} if self.entry_weight_ is None else {"entry_weight": self.entry_weight_}
        return self._model.predict_entries(self.data_, rows, columns, **weighted)

    def _of_new_rows(self, columns):
        """Return the expected values of rows without entries."""
        nothing = sparse.csr_array((1, self.data_.shape[1]), dtype=self.data_.X.dtype)
        empty = replace(self.data_, X=nothing, row_labels=self.data_.row_labels[:1])
        with quiet(UserWarning):  # the estimator warns of rows without entries
            return self._model.predict_entries(empty, np.zeros(len(columns), dtype=int), columns)

    def _of_new_columns(self, rows):
        """Return the mean plus the biases of rows, if the model has them."""
        loss = getattr(self._model, "loss_", None)
        n_codes = len(self._model.get_feature_names_out())
        if not len(rows) or loss is None or loss.kinds is not None:
            return self.mean_
        if n_codes == self._model.n_components_:
            return self.mean_
        needed, places = np.unique(rows, return_inverse=True)
        weights = self.entry_weight_
        weighted = {} if weights is None else {"entry_weight": weights[needed]}
        biases = self._model.transform(self.data_[needed], **weighted)[:, -1]
        return loss.mean(loss.from_mean(self.mean_) + biases)[places]

    def _validate_params(self):
        check_parameters(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # it means any number of columns, but two are needed
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.input_tags.sparse = False
        return tags


def _check_clip(clip):
    if clip is None:
        return
    if len(clip) != 2 or not all(isinstance(end, Real) for end in clip) or not clip[0] <= clip[1]:
        raise ValueError(
            f"clip must be a pair of numbers (low, high) with low <= high, got {clip!r}."
        )


def _check_estimator(estimator):
    """Refuse estimators for which unrated pairs are zeros; warn of those that only rank."""
    parameters = estimator.get_params()
    for part in (estimator, *parameters.values()):
        if getattr(part, "unstored", None) == "background":
            warn(
                f"{type(part).__name__} ranks pairs and does not predict y: it learns which pairs "
                "are likely, and predicts about 1 for those in X, whatever their values. To "
                "predict values, use MatrixFactorization(unstored='missing')."
            )
    for name, value in parameters.items():
        if name.rpartition("__")[2] == "unstored" and value == "zero":
            raise ValueError(
                f"{type(estimator).__name__} with {name}='zero' treats every pair that is not in X "
                f"as an entry of zero. Use {name}='missing'."
            )


def _check_shape(X):
    shape = X.shape
    if len(shape) != 2:
        raise ValueError(
            f"Expected 2D array, got X of shape {shape}: X must have a pair of labels for each "
            "entry. Reshape your data."
        )
    if shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={shape}) while 1 is required.")


def _check_finite(X):
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported: labels must not be complex numbers.")
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        i, j = np.argwhere(~np.isfinite(X))[0]
        raise ValueError(
            f"Input X contains NaN or infinity in row {i}, column {j}, which is not a label."
        )


def _check_labels(coded):
    for (codes, _), side in zip(coded, SIDES, strict=True):
        if codes.min() < 0:
            raise ValueError(
                f"The {side} label of sample {np.argmin(codes)} of X is missing. Remove samples "
                "without labels."
            )


def _array_of_objects(X):
    """Return pairs as an array of objects, so that numbers and strings keep their types."""
    return np.asarray(X, dtype=object)


def _taken(column, weights):
    """Return the labels with a positive weight."""
    if weights is None or (weights > 0).all():
        return column
    if hasattr(column, "iloc"):
        return column.iloc[weights > 0]
    return column.filter(weights > 0) if hasattr(column, "filter") else column[weights > 0]


def _averaged(y, weights, cells, coded):
    """Return the entries of pairs of labels, and their weights; None if all are one."""
    shape = tuple(len(labels) for _, labels in coded)
    ones = np.ones_like(y) if weights is None else weights
    total = sparse.csr_array((ones, cells), shape=shape)
    if total.nnz == len(y):  # no pair is repeated: keep the values exactly
        entries = sparse.csr_array((y, cells), shape=shape)
    else:
        entries = sparse.csr_array((ones * y, cells), shape=shape)
        entries.data /= total.data
    return entries, None if (total.data == 1).all() else total
