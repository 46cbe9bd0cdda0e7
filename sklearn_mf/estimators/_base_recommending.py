"""What factorizations recommend: the methods of all of them, over functions of `retrieval`."""

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
from sklearn_mf.utils._validation import check_X
from sklearn_mf.utils._warnings import quiet, warn


class Recommendations:
    """Methods that `BaseFactorization` takes over, without one more class above it.

    They rank columns for rows, known ones or new.
    """

    def recommend(
        self, X, n=10, *, exclude_seen=True, items=None, exclude=None, return_scores=True
    ):
        """The columns of which each row expects most.

        Rows need not have been in `fit`: codes are those of `transform`. No more than a block of
        the scores is in memory at a time, and the result is the same for any number of threads,
        and for a row alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is known of the samples.
        n : int, default=10
            How many columns to recommend to each.
        exclude_seen : bool, default=True
            Whether what X has is not recommended: what it observes other than zero, and with
            ``unstored="missing"`` zeros, too.
        items : array-like, sparse matrix, LabeledMatrix or None, default=None
            What may be recommended. To all rows: numbers or names of columns, or a mask of shape
            (n_features,). To each row: a mask of shape (n_samples, n_features), sparse or of
            booleans; a LabeledMatrix has the labels of the data. None is everything.
        exclude : {array-like of bool, sparse matrix} of shape (n_samples, n_features), default=None
            What may not be recommended to a row; a LabeledMatrix, too.
        return_scores : bool, default=True
            Whether to return scores, too.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Columns, the best first, and of equally good ones the lower. -1 where fewer than n
            are left.
        scores : ndarray of shape (n_samples, n)
            If `return_scores`: what `inverse_transform` expects there, on the scale of the data.
            NaN where no column is left.

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
        self, X, n=10, *, batch_size=4096, exclude_seen=True, items=None, exclude=None
    ):
        """Recommend to some rows at a time, to be written away before the next.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is known of the samples.
        n : int, default=10
            How many columns to recommend to each.
        batch_size : int, default=4096
            How many rows at a time. What is recommended does not depend on it.
        exclude_seen : bool, default=True
            As in `recommend`.
        items : array-like, sparse matrix or None, default=None
            As in `recommend`.
        exclude : {array-like of bool, sparse matrix} of shape (n_samples, n_features), default=None
            As in `recommend`.

        Returns
        -------
        batches : iterator of tuple of (rows, items, scores)
            Numbers of the rows, and what `recommend` returns for them.

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

    def similar_features(self, columns=None, n=10, *, return_scores=True):
        """Features whose components point in the same direction.

        Parameters
        ----------
        columns : array-like of shape (n_columns,), default=None
            For which features: their numbers or names, or a mask. None are all.
        n : int, default=10
            How many to find for each.
        return_scores : bool, default=True
            Whether to return cosines, too.

        Returns
        -------
        items : ndarray of int of shape (n_columns, n)
            Other features, the most similar first, and of equally similar ones the lower. -1 where
            fewer than n have a direction: components of a feature without entries are zero.
        scores : ndarray of shape (n_columns, n)
            If `return_scores`: cosines of the components, whatever the biases.

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

    def similar_samples(self, X, n=10, *, among=None, return_scores=True):
        """Samples whose codes point in the same direction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is known of the samples.
        n : int, default=10
            How many to find for each.
        among : {array-like, sparse matrix} of shape (n_others, n_features), default=None
            Samples to find them among. None are the other ones of X.
        return_scores : bool, default=True
            Whether to return cosines, too.

        Returns
        -------
        rows : ndarray of int of shape (n_samples, n)
            Rows of `among`, the most similar first, and of equally similar ones the lower. -1 where
            fewer than n have a direction: codes that are zero have none.
        scores : ndarray of shape (n_samples, n)
            If `return_scores`: cosines of the codes, whatever the biases.

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

    def explain(self, X, column, n=10):
        """The entries of each row without which a prediction would be lower.

        Each entry is left out in turn, and the row's code solved again: what the prediction loses
        is what the entry contributes. This holds under any loss and penalty. Entries stand in for
        one another, so that contributions do not add up to the prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is known of the samples; few, as each takes as many solutions as it has entries.
        column : int or str
            Number or name of the feature whose prediction is to be explained.
        n : int, default=10
            How many entries to find.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Columns of the entries that raise the prediction most, the first most of all. -1 where a
            row has fewer.
        contributions : ndarray of shape (n_samples, n)
            Prediction less that without the entry, on the scale of the data; negative where an
            entry lowers it. NaN where a row has fewer entries.

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

        with quiet(UserWarning):  # of rows that are left without entries, which is meant
            return contributions(predict, X, seen_in(X, self.unstored), n)

    def rerank_mmr(self, items, scores, n=10, *, diversity=0.3):
        r"""Choose among recommendations such that they are good and unlike one another.

        Maximal marginal relevance: one after the other, the column is chosen that has the largest

        .. math:: (1 - d) r_j - d \max_{i \in S} \cos(h_i, h_j)

        with S what was chosen before, h the components, and r the score, brought to [0, 1]
        within the row.

        Parameters
        ----------
        items : array-like of int of shape (n_samples, m)
            More columns than needed, as `recommend` returns them.
        scores : array-like of shape (n_samples, m)
            Their scores.
        n : int, default=10
            How many to choose.
        diversity : float, default=0.3
            The weight d, from 0 for the best ones to 1 for the most different ones.

        Returns
        -------
        items : ndarray of int of shape (n_samples, n)
            Columns in the order in which they were chosen; -1 where none is left.
        scores : ndarray of shape (n_samples, n)
            Their scores; NaN where no column is left.

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
    """Data and candidates, validated."""
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
    """Say that these leave no column to any row."""
    causes = " and ".join(name for name, value in parameters.items() if value is not None)
    seen = " Use exclude_seen=False to rank what X has, too." if causes == "exclude_seen" else ""
    warn(f"Nothing is left to recommend to any row: all columns are left out by {causes}.{seen}")


def _batches(self, X, n, batch_size, candidates):
    for rows in gen_batches(X.shape[0], batch_size):
        with quiet(UserWarning):  # which was told of all rows, by their numbers
            W = self._codes(self._observe(X[rows], self.loss_))
        found = best_columns(self._model, W, n, candidates.of_rows(rows))
        yield np.arange(rows.start, rows.stop), *found


def _check_number(n, name):
    """Refuse what is no positive integer; True is one in Python."""
    check_scalar(n, name, Integral, min_val=1)
    if isinstance(n, bool):
        raise TypeError(f"{name} must be an integer, got {n}.")
