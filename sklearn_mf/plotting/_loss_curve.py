"""Plots of the progress of a fit."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.components import last_step
from sklearn_mf.utils._validation import check_matplotlib_support

__all__ = ["LossCurveDisplay"]

# The attribute and the label for each choice of an axis.
X_AXES = {
    "iterations": (None, "Iteration"),
    "seconds": ("loss_curve_seconds_", "Seconds"),
}
Y_AXES = {
    "objective": ("loss_curve_", "Objective"),
    "validation": ("validation_scores_", "Score of hidden entries"),
}


class LossCurveDisplay:
    """The objective, or the score of hidden entries, during a fit.

    Create it with `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    x_values : array-like of shape (n_iterations,)
        Iteration numbers, or seconds since the start.
    y_values : array-like of shape (n_iterations,)
        Objective or score after each iteration.
    name : str, default=None
        Label in the legend. With None, there is no legend.
    x_label : str, default="Iteration"
        Label of the x-axis.
    y_label : str, default="Objective"
        Label of the y-axis.
    best_index : int, default=None
        Where the iteration is, of those in `x_values`, whose factors were kept because hidden
        entries were predicted best. None: the last one was kept, and nothing is marked.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    best_ : matplotlib Artist or None
        The mark of the iteration that was kept.
    ax_ : matplotlib Axes
        The axes with the curve.
    figure_ : matplotlib Figure
        The figure that contains the curve.

    See Also
    --------
    sklearn_mf.MatrixFactorization : Its attribute ``loss_curve_`` is plotted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.plotting import LossCurveDisplay
    >>> X = np.array([[5.0, 3.0, 1.0], [3.0, 2.0, 1.0], [2.0, 1.0, 1.0], [1.0, 1.0, 2.0]])
    >>> als = MatrixFactorization(1, solver="als").fit(X)
    >>> gd = MatrixFactorization(1, solver="gd").fit(X)
    >>> display = LossCurveDisplay.from_estimator(als, name="als")
    >>> other = LossCurveDisplay.from_estimator(gd, name="gd", ax=display.ax_)
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['als', 'gd']
    """

    def __init__(
        self,
        *,
        x_values,
        y_values,
        name=None,
        x_label="Iteration",
        y_label="Objective",
        best_index=None,
    ):
        self.x_values = x_values
        self.y_values = y_values
        self.name = name
        self.x_label = x_label
        self.y_label = y_label
        self.best_index = best_index

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        x="iterations",
        y="objective",
        yscale="linear",
        name=None,
        ax=None,
        curve_kwargs=None,
    ):
        """Plot the curve of a fitted estimator, optionally on the axes of another curve.

        After a fit with ``early_stopping=True`` a ring marks the iteration whose factors were
        kept.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~sklearn_mf.MatrixFactorization`, or another estimator with
            ``loss_curve_``; a pipeline that ends with one; or a search over one, whose best
            estimator is used.
        x : {"iterations", "seconds"}, default="iterations"
            Quantity on the x-axis. Seconds are better to compare solvers whose iterations differ in
            cost.
        y : {"objective", "validation"}, default="objective"
            Quantity on the y-axis. "validation" is the score of the hidden entries of a fit with
            ``early_stopping=True``.
        yscale : {"linear", "log"} or another scale of matplotlib, default="linear"
            Scale of the y-axis.
        name : str, default=None
            Label in the legend. None uses the name of the class.
        ax : matplotlib axes, default=None
            Axes to plot on, such as ``display.ax_``. None creates a new figure.
        curve_kwargs : dict, default=None
            Keyword arguments passed to matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay
            The display.

        Raises
        ------
        ValueError
            If the estimator does not have the requested curve.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        estimator = last_step(estimator)
        x_attribute, x_label = _choice("x", x, X_AXES)
        y_attribute, y_label = _choice("y", y, Y_AXES)
        y_values = getattr(estimator, y_attribute, None)
        if y_values is None:
            how = " Fit it with early_stopping=True." if y == "validation" else ""
            raise ValueError(
                f"y={y!r} needs {y_attribute}, which this {type(estimator).__name__} does not "
                f"have.{how}"
            )
        x_values = range(1, len(y_values) + 1)
        if x_attribute is not None:
            x_values = getattr(estimator, x_attribute)
        display = cls(
            x_values=list(x_values),
            y_values=list(y_values),
            name=type(estimator).__name__ if name is None else name,
            x_label=x_label,
            y_label=y_label,
            best_index=_best_index(estimator),
        )
        return display.plot(ax, yscale=yscale, curve_kwargs=curve_kwargs)

    def plot(self, ax=None, *, name=None, yscale="linear", curve_kwargs=None):
        """Plot the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to plot on. None creates a new figure.
        name : str, default=None
            Label in the legend. None uses the label of the display.
        yscale : {"linear", "log"} or another scale of matplotlib, default="linear"
            Scale of the y-axis.
        curve_kwargs : dict, default=None
            Keyword arguments passed to matplotlib's ``plot``.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        label = self.name if name is None else name
        # A single iteration is plotted as a point, because a line would be invisible.
        style = {"label": label, "marker": "o" if len(self.y_values) == 1 else None}
        (self.line_,) = ax.plot(self.x_values, self.y_values, **(style | (curve_kwargs or {})))
        self.best_ = None
        if self.best_index is not None:
            place = [self.x_values[self.best_index]], [self.y_values[self.best_index]]
            color = self.line_.get_color()
            ring = {"markersize": 11, "markerfacecolor": "none", "color": color, "linestyle": ""}
            (self.best_,) = ax.plot(*place, marker="o", **ring)
        ax.set(xlabel=self.x_label, ylabel=self.y_label, yscale=yscale)
        if self.line_.get_label() and not self.line_.get_label().startswith("_"):
            ax.legend()
        return self


def _best_index(estimator):
    """The iteration with the best score of hidden entries; None without early stopping."""
    scores = getattr(estimator, "validation_scores_", None)
    return None if scores is None or not len(scores) else int(np.nanargmax(scores))


def _choice(parameter, value, choices):
    if value not in choices:
        raise ValueError(f"{parameter}={value!r} is unknown: use one of {sorted(choices)}.")
    return choices[value]
