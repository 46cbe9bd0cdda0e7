"""The recommending methods of all factorizations, on top of the functions of `retrieval`."""

from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_scalar, gen_batches
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.estimators._base_checks import warn_of_empty_rows
from sklearn_mf.retrieval import (
    Candidates,
    best_columns,
    check_rankings,
    column_list,
    contributions,
    most_similar,
    reranked,
    seen_in,
)
from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._typing import ArrayLike, MatrixLike
from sklearn_mf.utils._validation import check_X
from sklearn_mf.utils._warnings import quiet, warn


class Recommendations:
    """Methods that rank columns for rows.

    `BaseFactorization` assigns them to itself, which keeps its chain of base classes short.
    """

    def recommend(
        self,
        X: MatrixLike,
        n: int = 10,
        *,
        exclude_seen: bool = True,
        items: MatrixLike | None = None,
        exclude: MatrixLike | None = None,
        return_scores: bool = True,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Recommend the columns with the largest predicted values to each row.

        The rows need not have been in `fit`, since their codes are computed as in `transform`. Only
        a block of the scores is in memory at a time. The result does not depend on the number of
        threads, nor on the other rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        n : int, default=10
            Number of columns to recommend to each row.
        exclude_seen : bool, default=True
            Whether to leave out columns for which X has an entry other than zero, and with
            ``unstored="missing"`` also columns for which it has a zero.
        items : array-like, sparse matrix, LabeledMatrix or None, default=None
            Columns that may be recommended. For all rows: numbers or names of columns, or a mask
            of shape (n_features,). For each row: a boolean or sparse mask of shape (n_samples,
            n_features), or a LabeledMatrix with the labels of the data. None: all columns.
        exclude : {array-like of bool, sparse matrix} of shape (n_samples, n_features), default=None
            Columns that must not be recommended to a row. A LabeledMatrix is accepted as well.
        return_scores : bool, default=True
            Whether to return scores as well.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Column numbers, the best first. Of columns with equal scores the lower number comes
            first. If fewer than n columns are left, the rest is -1.
        scores : ndarray of shape (n_samples, n)
            Only if ``return_scores=True``. Predicted values on the scale of the data, as
            `inverse_transform` returns them, and NaN where no column is left.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import MatrixFactorization
        >>> X = np.array([[5, 4, np.nan, 1], [4, np.nan, 4, 1], [1, 2, 1, np.nan], [1, 1, 2, 5]])
        >>> model = MatrixFactorization(1, bias="features", alpha_W=0.1).fit(X)
        >>> items, scores = model.recommend([[5, np.nan, np.nan, np.nan]], n=2)
        >>> items
        array([[2, 1]])
        """
        X, candidates = _asked(self, X, n, exclude_seen, items, exclude)
        W = self._codes(self._observe(X, self.loss_))
        columns, scores = best_columns(self._model, W, n, candidates)
        if (columns < 0).all():
            _warn_of_nothing(items=items, exclude=exclude, exclude_seen=exclude_seen or None)
        return (columns, scores) if return_scores else columns

    def iter_recommend(
        self,
        X: MatrixLike,
        n: int = 10,
        *,
        batch_size: int = 4096,
        exclude_seen: bool = True,
        items: MatrixLike | None = None,
        exclude: MatrixLike | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Recommend in batches of rows, so that results can be stored batch by batch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        n : int, default=10
            Number of columns to recommend to each row.
        batch_size : int, default=4096
            Number of rows in a batch. It does not change what is recommended.
        exclude_seen : bool, default=True
            As in `recommend`.
        items : array-like, sparse matrix or None, default=None
            As in `recommend`.
        exclude : {array-like of bool, sparse matrix} of shape (n_samples, n_features), default=None
            As in `recommend`.

        Returns
        -------
        batches : iterator of tuple of (rows, items, scores)
            Row numbers of each batch, and the result of `recommend` for them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import NMF
        >>> X = np.random.default_rng(0).poisson(0.5, size=(50, 20)).astype(float)
        >>> model = NMF(3, init="nndsvda", max_iter=1000).fit(X)
        >>> for rows, items, scores in model.iter_recommend(X, n=5, batch_size=20):
        ...     print(rows[0], rows[-1], items.shape)
        0 19 (20, 5)
        20 39 (20, 5)
        40 49 (10, 5)
        """
        _check_number(batch_size, "batch_size")
        X, candidates = _asked(self, X, n, exclude_seen, items, exclude)
        warn_of_empty_rows(self._observe(X, self.loss_), self._mean_code)
        return _batches(self, X, n, batch_size, candidates)

    def similar_features(
        self, columns: ArrayLike | None = None, n: int = 10, *, return_scores: bool = True
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find the features whose components are most similar, by the cosine.

        Parameters
        ----------
        columns : array-like of shape (n_columns,), default=None
            Features for which to find similar ones: numbers, names, or a mask. None: all features.
        n : int, default=10
            Number of similar ones to find for each.
        return_scores : bool, default=True
            Whether to return cosines as well.

        Returns
        -------
        items : ndarray of int of shape (n_columns, n)
            Numbers of other features, the most similar first. Of equally similar ones the lower
            number comes first. Features whose components are zero are not included, so the rest is
            -1 if fewer than n are left.
        scores : ndarray of shape (n_columns, n)
            Only if ``return_scores=True``. Cosines of the components; biases are not included.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import MatrixFactorization
        >>> X = np.outer([1.0, 2, 3, 4], [1, 0, -1, 2]) + np.outer([1, -1, 1, -1], [0, 3, 0, 0])
        >>> model = MatrixFactorization(2).fit(X)
        >>> model.similar_features([0], n=1, return_scores=False)
        array([[3]])
        """
        check_is_fitted(self)
        _check_number(n, "n")
        if columns is None:
            columns = np.arange(self.n_features_in_)
        else:
            columns = column_list(columns, self.n_features_in_, self._feature_names, "columns")
        vectors = self._model.components.T
        found, cosines = most_similar(vectors[columns], vectors, n, columns)
        return (found, cosines) if return_scores else found

    def similar_samples(
        self,
        X: MatrixLike,
        n: int = 10,
        *,
        among: MatrixLike | None = None,
        return_scores: bool = True,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find the samples whose codes are most similar, by the cosine.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        n : int, default=10
            Number of similar ones to find for each.
        among : {array-like, sparse matrix} of shape (n_others, n_features), default=None
            Samples among which to search. None: the other samples of X.
        return_scores : bool, default=True
            Whether to return cosines as well.

        Returns
        -------
        rows : ndarray of int of shape (n_samples, n)
            Row numbers of `among`, the most similar first. Of equally similar ones the lower number
            comes first. Samples whose codes are zero are not included, so the rest is -1 if fewer
            than n are left.
        scores : ndarray of shape (n_samples, n)
            Only if ``return_scores=True``. Cosines of the codes; biases are not included.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import MatrixFactorization
        >>> X = np.array([[1.0, 2, 3], [3, 1, 1], [2, 4, 6.5]])
        >>> MatrixFactorization(2).fit(X).similar_samples(X[:1], n=2, among=X[1:])[0]
        array([[1, 0]])
        """
        check_is_fitted(self)
        _check_number(n, "n")
        k = self.n_components_
        vectors = self._codes(self._observe(check_X(self, X, reset=False), self.loss_))[:, :k]
        if among is None:
            found, cosines = most_similar(vectors, vectors, n, np.arange(len(vectors)))
        else:
            others = self._codes(self._observe(check_X(self, among, reset=False), self.loss_))
            found, cosines = most_similar(vectors, others[:, :k].astype(vectors.dtype), n)
        return (found, cosines) if return_scores else found

    def explain(
        self, X: MatrixLike, column: int | str, n: int = 10
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the entries of each row that contribute most to a prediction.

        Each entry of a row is left out in turn and the code of the row is solved again. The
        decrease of the prediction is the contribution of the entry. This works for any loss and
        penalty. Entries can replace one another, so contributions do not add up to the prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples. Pass few of them: each one is solved as many times as
            it has entries.
        column : int or str
            Number or name of the feature whose prediction is explained.
        n : int, default=10
            Number of entries to find.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Column numbers of the entries that increase the prediction most, in descending order.
            If a row has fewer than n entries, the rest is -1.
        contributions : ndarray of shape (n_samples, n)
            Prediction minus the prediction without the entry, on the scale of the data. It is
            negative if the entry decreases the prediction, and NaN where a row has fewer entries.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import MatrixFactorization
        >>> X = np.array([[5, 4, np.nan, 1], [4, np.nan, 4, 1], [1, 2, 1, np.nan], [1, 1, 2, 5]])
        >>> model = MatrixFactorization(1, bias="features", alpha_W=0.1).fit(X)
        >>> items, contributions = model.explain(X[:1], column=2, n=3)
        >>> items
        array([[0, 1, 3]])
        """
        check_is_fitted(self)
        _check_number(n, "n")
        X = check_X(self, X, reset=False)
        if np.ndim(column) != 0:
            raise ValueError(f"column must be one column, by its number or name, got {column!r}.")
        [number] = column_list([column], X.shape[1], self._feature_names, "column")

        def predict(rows):
            W = self._codes(self._observe(rows, self.loss_))
            each = np.arange(len(W))
            return self._model.decode_entries(W, each, np.full(len(W), number))

        with quiet(UserWarning):  # rows that lose their only entry are intended here
            return contributions(predict, X, seen_in(X, self.unstored), n)

    def rerank_mmr(
        self, items: ArrayLike, scores: ArrayLike, n: int = 10, *, diversity: float = 0.3
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Select from recommendations so that they have high scores and differ from one another.

        By maximal marginal relevance, columns are selected one after the other, each time the one
        with the largest

        .. math:: (1 - d) r_j - d \max_{i \in S} \cos(h_i, h_j)

        where S are the columns selected before, h are the components, and r is the score, scaled to
        [0, 1] within the row.

        Parameters
        ----------
        items : array-like of int of shape (n_samples, m)
            Candidate columns, more than n of them, as `recommend` returns them.
        scores : array-like of shape (n_samples, m)
            Their scores.
        n : int, default=10
            Number of columns to select.
        diversity : float, default=0.3
            The weight d in [0, 1]: 0 selects the highest scores, and 1 the most different columns.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Column numbers in the order of selection, -1 where none is left.
        scores : ndarray of shape (n_samples, n)
            Their scores, NaN where no column is left.

        References
        ----------
        Carbonell, J. and Goldstein, J. (1998). The use of MMR, diversity-based reranking for
        reordering documents and producing summaries. SIGIR '98, 335-336.
        :doi:`10.1145/290941.291025`

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mf import NMF
        >>> X = np.random.default_rng(0).poisson(0.5, size=(50, 20)).astype(float)
        >>> model = NMF(3, init="nndsvda", max_iter=1000).fit(X)
        >>> items, scores = model.rerank_mmr(*model.recommend(X, n=15), n=5)
        >>> items.shape
        (50, 5)
        """
        check_is_fitted(self)
        _check_number(n, "n")
        check_scalar(diversity, "diversity", Real, min_val=0, max_val=1)
        items = check_rankings(items, self.n_features_in_)
        scores = np.asarray(scores)
        if scores.shape != items.shape:
            raise ValueError(
                f"scores has the shape {scores.shape}, items has {items.shape}: one for each."
            )
        return reranked(items, scores, self._model.components.T, n, diversity)


def _asked(self, X, n, exclude_seen, items, exclude):
    """Validated data and candidate columns."""
    check_is_fitted(self)
    _check_number(n, "n")
    if not isinstance(exclude_seen, bool | np.bool_):
        raise TypeError(f"exclude_seen must be True or False, got {exclude_seen!r}.")
    for name, given in (("items", items), ("exclude", exclude)):
        _check_rows(X, given, name)
    X = check_X(self, X, reset=False)
    seen = seen_in(X, self.unstored) if exclude_seen else None
    return X, Candidates.of(items, exclude, seen, X.shape, self._feature_names)


def _check_rows(X, given, name):
    """Refuse a labeled mask of other rows than those of labeled data."""
    if not (isinstance(X, LabeledMatrix) and isinstance(given, LabeledMatrix)):
        return
    if X.row_labels.tolist() != given.row_labels.tolist():
        raise ValueError(
            f"{name} has other rows than X, or in another order. Make it with row_labels="
            "X.row_labels."
        )


def _warn_of_nothing(**parameters):
    """Warn that these parameters leave no column to recommend."""
    causes = " and ".join(name for name, value in parameters.items() if value is not None)
    seen = " Use exclude_seen=False to rank columns of X with entries, too."
    remedy = seen if causes == "exclude_seen" else ""
    warn(f"Nothing is left to recommend to any row: all columns are left out by {causes}.{remedy}")


def _batches(self, X, n, batch_size, candidates):
    for rows in gen_batches(X.shape[0], batch_size):
        with quiet(UserWarning):  # a warning about all rows has come before
            W = self._codes(self._observe(X[rows], self.loss_))
        found = best_columns(self._model, W, n, candidates.of_rows(rows))
        yield np.arange(rows.start, rows.stop), *found


def _check_number(n, name):
    """Refuse values that are not positive integers; True counts as an int in Python."""
    check_scalar(n, name, Integral, min_val=1)
    if isinstance(n, bool):
        raise TypeError(f"{name} must be an integer, got {n}.")
