"""What a search for the rank found."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.utils._validation import check_matplotlib_support

__all__ = ["RankSearchDisplay"]


class RankSearchDisplay:
    """Error of hidden entries against the number of components, with the chosen one marked.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    ranks : array-like of int of shape (n_ranks,)
        Numbers of components, ascending.
    errors : array-like of shape (n_ranks,)
        Mean squared errors of hidden entries.
    standard_errors : array-like of shape (n_ranks,)
        Standard errors of these means.
    best_rank : int
        The chosen number of components.

    Attributes
    ----------
    errorbar_ : matplotlib ErrorbarContainer
        Errors with their standard errors.
    chosen_ : matplotlib Line2D
        The mark of the chosen rank.
    ax_ : matplotlib Axes
        Axes with both.
    figure_ : matplotlib Figure
        Figure containing them.

    See Also
    --------
    sklearn_mf.RankSearchCV : The search.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization, RankSearchCV
    >>> from sklearn_mf.plotting import RankSearchDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 15))
    >>> X += 0.3 * rng.standard_normal(X.shape)
    >>> search = RankSearchCV(MatrixFactorization(), [1, 2, 3], random_state=0).fit(X)
    >>> display = RankSearchDisplay.from_estimator(search)
    >>> display.best_rank
    2
    """

    def __init__(self, *, ranks, errors, standard_errors, best_rank):
        self.ranks = ranks
        self.errors = errors
        self.standard_errors = standard_errors
        self.best_rank = best_rank

    @classmethod
    def from_estimator(cls, search, *, yscale="linear", ax=None, errorbar_kwargs=None):
        """Draw the results of a fitted search.

        Parameters
        ----------
        search : RankSearchCV
            Fitted; also at the end of a pipeline, or as the best estimator of a search.
        yscale : {"linear", "log"} or another scale of matplotlib, default="linear"
            Scale of the y-axis.
        ax : matplotlib axes, default=None
            Where to draw. None: on a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        display : RankSearchDisplay
            Holds what was drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(search)
        while not hasattr(search, "best_rank_"):
            inner = search[-1] if isinstance(search, Pipeline) else None
            inner = getattr(search, "best_estimator_", inner)
            if inner is None:
                raise ValueError(
                    f"This {type(search).__name__} has no best_rank_: pass a fitted RankSearchCV, "
                    "or a pipeline that ends in one."
                )
            search = inner
        results = search.cv_results_
        # Of several penalties, the chosen one.
        alphas = np.asarray(results.get("param_alpha_W", np.zeros(len(results["params"]))))
        shown = alphas == alphas[search.best_index_]
        display = cls(
            ranks=np.asarray(results["param_n_components"])[shown],
            errors=-results["mean_test_score"][shown],
            standard_errors=results["std_test_score"][shown]
            / np.sqrt(max(search.n_splits_ - 1, 1)),
            best_rank=search.best_rank_,
        )
        return display.plot(ax, yscale=yscale, errorbar_kwargs=errorbar_kwargs)

    def plot(self, ax=None, *, yscale="linear", errorbar_kwargs=None):
        """Draw the errors.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw. None: on a new figure.
        yscale : {"linear", "log"} or another scale of matplotlib, default="linear"
            Scale of the y-axis.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        display : RankSearchDisplay
            This display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        style = {"marker": ".", "capsize": 3} | (errorbar_kwargs or {})
        self.errorbar_ = ax.errorbar(self.ranks, self.errors, self.standard_errors, **style)
        label = f"chosen: {self.best_rank}"
        self.chosen_ = ax.axvline(self.best_rank, color="0.5", linestyle="--", label=label)
        ax.set(xlabel="Number of components", ylabel="Mean squared error of hidden entries")
        ax.set(yscale=yscale)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
        return self
