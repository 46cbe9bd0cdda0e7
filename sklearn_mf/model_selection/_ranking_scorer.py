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
    """Score of rankings of all columns, for the ``scoring`` parameter of scikit-learn.

    Of the rows to be scored, which were not in the fit, a share of the positive entries is hidden.
    The estimator finds their codes by what is left, ranks all columns that a row does not store
    any more, and the metric tells how high those come that were hidden. X is sparse, and
    its zeros are never made dense, but for a block of rows at a time where the estimator is a
    pipeline.

    Parameters
    ----------
    metric : str, default="ndcg@20"
        A name of :func:`~sklearn_mf.metrics.ranking_report`, with the number of columns that count:
        "precision@20", "recall@20" (of all that was hidden), "capped_recall@20" (of at most 20),
        "hit_rate@20", "map@20", "mrr@20", "ndcg@20" (values are gains), "binary_ndcg@20",
        "coverage@20", "gini@20", which is taken negative.
    fraction : float, default=0.2
        Share of the positive entries to hide, in (0, 1). At least one entry of each row
        stays visible, and rows with a single one are not scored.
    random_state : int, RandomState instance or None, default=0
        Which entries are hidden. With an int they are the same ones for all candidates of a
        search, which can then be compared in pairs.

    See Also
    --------
    MaskedEntryScorer : Compares values of hidden entries, and ranks these among themselves.
    cross_val_entries : Takes this scorer as its ``metric``, to rank what a splitter hides.

    Notes
    -----
    What an estimator sees is X without the hidden entries: they are not stored, which is read as
    zero or as missing as its parameter `unstored` says.

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
            Fitted; it recommends, or reconstructs what it transforms.
        X : sparse matrix of shape (n_samples, n_features)
            Data; never changed.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        self.check()
        self.check_data(X)
        rows, _, values = entries = observed_entries(X)
        positive = np.flatnonzero(values > 0)
        rng = hiding_stream(self.random_state)
        hidden = positive[random_share_of_rows(rows[positive], self.fraction, rng)]
        if not len(hidden):
            raise ValueError(
                "RankingScorer finds nothing to hide: no row of X has two positive entries. Score "
                "more rows at once."
            )
        truth = _truth(entries, hidden, X.shape)
        return self._score(estimator, hide_entries(X, hidden), truth)

    def score_hidden(self, estimator, X, visible, hidden):
        """Score a fitted estimator on hidden entries, by ranking what it does not see.

        Parameters
        ----------
        estimator : estimator
            Fitted; it recommends, or reconstructs what it transforms.
        X : sparse matrix of shape (n_samples, n_features)
            Data.
        visible : sparse matrix of shape (n_samples, n_features)
            X without the hidden entries, and maybe others.
        hidden : ndarray of int
            Their numbers, in the order of :func:`observed_entries`.

        Returns
        -------
        score : float
            Higher is better.
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
        """Refuse wrong parameters.

        Returns
        -------
        name : str
            Of the metric.
        k : int
            How many columns count.
        """
        check_parameters(self)
        name, _, k = self.metric.partition("@")
        if name not in METRICS:
            raise ValueError(
                f"metric must be one of {METRICS}, with a number as in 'ndcg@20', got "
                f"{self.metric!r}.{did_you_mean(name, METRICS)}"
            )
        if not (k.isdecimal() and int(k) > 0):
            raise ValueError(
                f"metric={self.metric!r} does not say how many columns count: write '{name}@20'."
            )
        return name, int(k)

    def check_data(self, X):
        """Refuse data whose entries cannot be ranked among others.

        Parameters
        ----------
        X : sparse matrix of shape (n_samples, n_features)
            Data.
        """
        if not sparse.issparse(check_holed(X)):
            raise ValueError(
                "RankingScorer needs a sparse X, whose entries that are not stored are what there "
                f"is to rank, got {type(X).__name__}. Use scipy.sparse.csr_array(X)."
            )


def _truth(entries, hidden, shape):
    """Hidden entries by themselves."""
    rows, columns, values = (array[hidden] for array in entries)
    return sparse.csr_array((values, (rows, columns)), shape=shape)
