"""What a search for the rank found."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.utils._validation import check_matplotlib_support

__all__ = ["RankSearchDisplay"]


class RankSearchDisplay:
    """Errors or scores against the number of components, with the chosen one marked.

    Where several penalties were tried, each has a curve, and that of the chosen one is
    emphasized. Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    ranks : array-like of int of shape (n_ranks,)
        Numbers of components, ascending.
    values : array-like of shape (n_ranks,) or (n_alphas, n_ranks)
        Mean errors of hidden entries, or mean scores; NaN where a model was not tried.
    standard_errors : array-like of the shape of values
        Standard errors of these means.
    best_rank : int
        The chosen number of components.
    alphas : array-like of shape (n_alphas,), default=None
        The penalties, one for each row of `values`. None: there is one curve.
    best_alpha : float or str, default=None
        The chosen penalty, one of `alphas`.
    limit : float, default=None
        The best value and one standard error of it. The simplest model on the better side of
        it was looked for. None: no such line is drawn.
    value_label : str, default="Mean squared error of hidden entries"
        Label of the y-axis.

    Attributes
    ----------
    errorbars_ : list of matplotlib ErrorbarContainer
        Values with their standard errors, one for each penalty.
    chosen_ : matplotlib Line2D
        The mark of the chosen rank.
    limit_ : matplotlib Line2D or None
        The line one standard error from the best value.
    ax_ : matplotlib Axes
        Axes with all of them.
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

    def __init__(
        self,
        *,
        ranks,
        values,
        standard_errors,
        best_rank,
        alphas=None,
        best_alpha=None,
        limit=None,
        value_label="Mean squared error of hidden entries",
    ):
        self.ranks = ranks
        self.values = values
        self.standard_errors = standard_errors
        self.best_rank = best_rank
        self.alphas = alphas
        self.best_alpha = best_alpha
        self.limit = limit
        self.value_label = value_label

    @classmethod
    def from_estimator(cls, search, *, yscale="linear", ax=None, errorbar_kwargs=None):
        """Draw the results of a fitted search.

        Parameters
        ----------
        search : RankSearchCV, GridSearchCV or RandomizedSearchCV
            Fitted; also at the end of a pipeline, or as the best estimator of a search. A search
            of scikit-learn must have tried values of ``n_components``, if only of a step of a
            pipeline. Of other parameters than ``alpha_W`` the best values are shown.
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

        Raises
        ------
        ValueError
            If no search is found that has tried numbers of components.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(search)
        return cls(**_results(_search_within(search))).plot(
            ax, yscale=yscale, errorbar_kwargs=errorbar_kwargs
        )

    def plot(self, ax=None, *, yscale="linear", errorbar_kwargs=None):
        """Draw the errors or scores.

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
        alphas = [None] if self.alphas is None else list(self.alphas)
        colors = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(alphas)))
        curves = zip(np.atleast_2d(self.values), np.atleast_2d(self.standard_errors), strict=True)
        self.errorbars_ = []
        for alpha, color, (values, errors) in zip(alphas, colors, curves, strict=True):
            style = {"marker": ".", "capsize": 3}
            if self.alphas is not None:
                is_best = alpha == self.best_alpha
                style |= {"color": color, "linewidth": 2.5 if is_best else 1}
                style["label"] = f"alpha_W={alpha if isinstance(alpha, str) else f'{alpha:.3g}'}"
            style |= errorbar_kwargs or {}
            self.errorbars_.append(ax.errorbar(self.ranks, values, errors, **style))
        label = f"chosen: {self.best_rank}"
        self.chosen_ = ax.axvline(self.best_rank, color="0.5", linestyle="--", label=label)
        self.limit_ = None
        if self.limit is not None:
            label = "best and one standard error"
            self.limit_ = ax.axhline(self.limit, color="0.5", linestyle=":", label=label)
        ax.set(xlabel="Number of components", ylabel=self.value_label, yscale=yscale)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
        return self


def _search_within(search):
    """The search that tried numbers of components: this one, or the one inside."""
    given = type(search).__name__
    while not (hasattr(search, "cv_results_") and _column(search.cv_results_, "n_components")):
        inner = search[-1] if isinstance(search, Pipeline) else None
        search = getattr(search, "best_estimator_", inner)
        if search is None:
            raise ValueError(
                f"This {given} has tried no numbers of components: pass a fitted RankSearchCV, a "
                "GridSearchCV over n_components, or a pipeline that ends in one of them."
            )
    return search


def _column(results, parameter):
    """The column of a parameter in ``cv_results_``, also of a step of a pipeline, or None."""
    ends = f"param_{parameter}", f"__{parameter}"
    return next((name for name in results if name == ends[0] or name.endswith(ends[1])), None)


def _results(search):
    """What a search found, as parameters of a display."""
    results, best = search.cv_results_, search.best_index_
    own = hasattr(search, "best_rank_")
    metric = search.refit if isinstance(getattr(search, "refit", None), str) else "score"
    sign = -1.0 if own else 1.0
    columns = _column(results, "n_components"), _column(results, "alpha_W")
    others = [name for name in results if name.startswith("param_") and name not in columns]
    shown = [
        i
        for i in range(len(results["params"]))
        if all(str(results[name][i]) == str(results[name][best]) for name in others)
    ]
    found_ranks = [results[columns[0]][i] for i in shown]
    found_alphas = [None if columns[1] is None else results[columns[1]][i] for i in shown]
    ranks = sorted(set(found_ranks))
    alphas = sorted(set(found_alphas), key=lambda alpha: (isinstance(alpha, str), alpha))
    means, errors = np.full((2, len(alphas), len(ranks)), np.nan)
    share = np.sqrt(max(search.n_splits_ - 1, 1))
    for i, rank, alpha in zip(shown, found_ranks, found_alphas, strict=True):
        place = alphas.index(alpha), ranks.index(rank)
        means[place] = sign * results[f"mean_test_{metric}"][i]
        errors[place] = results[f"std_test_{metric}"][i] / share
    limit = None
    if own and search.one_standard_error:
        lowest = np.unravel_index(np.nanargmin(means), means.shape)
        limit = means[lowest] + errors[lowest]
    several = len(alphas) > 1
    parameters = {
        "ranks": np.array(ranks),
        "values": means if several else means[0],
        "standard_errors": errors if several else errors[0],
        "best_rank": int(results[columns[0]][best]),
        "alphas": alphas if several else None,
        "best_alpha": results[columns[1]][best] if several else None,
        "limit": limit,
    }
    if not own:
        parameters["value_label"] = f"Mean {'score' if metric == 'score' else metric} of the folds"
    return parameters
