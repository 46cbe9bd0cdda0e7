"""A scorer that ranks hidden entries among all columns."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_mf.metrics import ranking_report
from sklearn_mf.metrics._ranking import METRICS
from sklearn_mf.model_selection._entries import check_holed, hide_entries, observed_entries
from sklearn_mf.model_selection._ranked import ranked_columns
from sklearn_mf.utils._hiding import hiding_stream, random_share_of_rows
from sklearn_mf.utils._hints import did_you_mean
from sklearn_mf.utils._validation import Interval, Real, check_parameters


class RankingScorer(BaseEstimator):
    """Score of rankings among all columns, for the ``scoring`` parameter of scikit-learn.

    A fraction of the positive entries is hidden in the rows to be scored, which were not in the
    training data. The estimator computes the codes of these rows from the other entries and ranks
    all columns that a row does not store. The metric measures how high the hidden entries are
    ranked. X is sparse and is never converted to a dense array, except for one block of rows at a
    time if the estimator is a pipeline.

    Parameters
    ----------
    metric : str, default="ndcg@20"
        A name of :func:`~sklearn_mf.metrics.ranking_report` with the number of top columns that
        count: "precision@20", "recall@20" (relative to all hidden entries), "capped_recall@20"
        (relative to at most 20), "hit_rate@20", "map@20", "mrr@20", "ndcg@20" (values are gains),
        "binary_ndcg@20", "coverage@20", or "gini@20", which is returned negative.
    fraction : float, default=0.2
        Fraction of the positive entries to hide, in (0, 1). At least one entry of each row remains
        visible, and rows with a single entry are not scored.
    random_state : int, RandomState instance or None, default=0
        Controls which entries are hidden. An int hides the same entries for all candidates of a
        search, which can then be compared in pairs.

    See Also
    --------
    MaskedEntryScorer : Compares predicted and true values of hidden entries.
    cross_val_entries : Accepts this scorer as ``metric`` for the entries of a splitter.

    Notes
    -----
    The estimator gets X without the hidden entries. They are not stored, so they are zeros or
    missing, depending on its parameter `unstored`.

    References
    ----------
    Liang, D., Krishnan, R. G., Hoffman, M. D. and Jebara, T. (2018). Variational autoencoders for
    collaborative filtering. WWW '18, 689-698. :doi:`10.1145/3178876.3186150`

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_mf import ImplicitFactorization
    >>> from sklearn_mf.model_selection import RankingScorer
    >>> rng = np.random.default_rng(0)
    >>> tastes, topics = rng.gamma(0.3, size=(200, 4)), rng.gamma(0.3, size=(4, 50))
    >>> X = sparse.csr_array(rng.poisson(tastes @ topics))
    >>> search = GridSearchCV(
    ...     ImplicitFactorization(4, random_state=0),
    ...     {"alpha_W": [0.001, 0.1, 10]},
    ...     scoring=RankingScorer("recall@10"),
    ... )
    >>> search.fit(X).best_params_
    {'alpha_W': 0.1}
    """

    _parameter_constraints: dict = {
        "metric": [str],
        "fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(self, metric="ndcg@20", *, fraction=0.2, random_state=0):
        self.metric = metric
        self.fraction = fraction
        self.random_state = random_state

    def __call__(self, estimator, X, y=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator that recommends or reconstructs its input.
        X : sparse matrix of shape (n_samples, n_features)
            Data, which are never modified.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            The score; higher is better.
        """
        self.check()
        self.check_data(X)
        rows, _, values = entries = observed_entries(X)
        positive = np.flatnonzero(values > 0)
        rng = hiding_stream(self.random_state)
        hidden = positive[random_share_of_rows(rows[positive], self.fraction, rng)]
        if not len(hidden):
            raise ValueError(
                "RankingScorer cannot hide any entry: no row of X has two positive entries. Score "
                "more rows at once."
            )
        truth = _truth(entries, hidden, X.shape)
        return self._score(estimator, hide_entries(X, hidden), truth)

    def score_hidden(self, estimator, X, visible, hidden):
        """Score a fitted estimator by its ranking of hidden entries among the unstored ones.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator that recommends or reconstructs its input.
        X : sparse matrix of shape (n_samples, n_features)
            Data.
        visible : sparse matrix of shape (n_samples, n_features)
            X without the hidden entries, and possibly without others.
        hidden : ndarray of int
            Indices of the hidden entries, numbered as in :func:`observed_entries`.

        Returns
        -------
        score : float
            The score; higher is better.
        """
        self.check()
        self.check_data(X)
        return self._score(estimator, visible, _truth(observed_entries(X), hidden, X.shape))

    def _score(self, estimator, visible, truth):
        name, k = self.check()
        judged = np.flatnonzero(np.diff(truth.indptr))
        items = ranked_columns(estimator, visible[judged], k)
        score = ranking_report(truth[judged], items, k=k)[f"{name}@{k}"]
        return -score if name == "gini" else score

    def check(self):
        """Raise a ValueError for invalid parameters.

        Returns
        -------
        name : str
            Name of the metric.
        k : int
            Number of top columns that count.
        """
        check_parameters(self)
        name, _, k = self.metric.partition("@")
        if name not in METRICS:
            raise ValueError(
                f"metric must be one of {METRICS}, followed by a number as in 'ndcg@20', got "
                f"{self.metric!r}.{did_you_mean(name, METRICS)}"
            )
        if not (k.isdecimal() and int(k) > 0):
            raise ValueError(
                f"metric={self.metric!r} does not say how many columns count: use '{name}@20'."
            )
        return name, int(k)

    def check_data(self, X):
        """Raise a ValueError for data whose entries cannot be ranked among others.

        Parameters
        ----------
        X : sparse matrix of shape (n_samples, n_features)
            Data.
        """
        if not sparse.issparse(check_holed(X)):
            raise ValueError(
                "RankingScorer ranks the unstored entries of a sparse X, but got "
                f"{type(X).__name__}. Use scipy.sparse.csr_array(X)."
            )


def _truth(entries, hidden, shape):
    """Hidden entries by themselves."""
    rows, columns, values = (array[hidden] for array in entries)
    return sparse.csr_array((values, (rows, columns)), shape=shape)
