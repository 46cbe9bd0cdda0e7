"""Where values are missing."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_scalar

from sklearn_mf.utils._tables import column_names
from sklearn_mf.utils._validation import check_complete, check_holed, check_matplotlib_support

__all__ = ["MissingPatternDisplay"]


class MissingPatternDisplay:
    """Where values of a table are missing: its rows and columns, and the share of each column.

    Whether values are missing by themselves, in blocks, or in whole rows decides how they should
    be hidden when models are compared. Use `from_data` to make one. All parameters are stored as
    attributes.

    Parameters
    ----------
    pattern : array-like of shape (n_bands, n_features)
        Share of missing values of every feature, in bands of rows that follow one another.
    n_samples : int
        Number of rows of the table.
    feature_names : array-like of str of shape (n_features,), default=None
        Labels of the columns. None: "x0", "x1" and so on.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The pattern: white where nothing is missing, black where all is.
    bars_ : matplotlib BarContainer
        Share of missing values of every feature.
    ax_ : matplotlib Axes
        Axes with the pattern.
    bars_ax_ : matplotlib Axes
        Axes with the bars, above.
    figure_ : matplotlib Figure
        Figure containing both.

    See Also
    --------
    sklearn_mf.FactorizationImputer : Fills what is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mf.plotting import MissingPatternDisplay
    >>> X = pd.DataFrame({"height": [1.7, None, 1.8, 1.6], "weight": [60.0, None, None, 55.0]})
    >>> display = MissingPatternDisplay.from_data(X)
    >>> [float(bar.get_height()) for bar in display.bars_]
    [0.25, 0.5]
    """

    def __init__(self, *, pattern, n_samples, feature_names=None):
        self.pattern = pattern
        self.n_samples = n_samples
        self.feature_names = feature_names

    @classmethod
    def from_data(cls, X, *, missing_values=np.nan, max_bands=200, ax=None):
        """Draw where values of X are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A table.
        missing_values : int, float or np.nan, default=np.nan
            What marks a missing value in X.
        max_bands : int, default=200
            Draw at most so many bands of rows. Where there are more rows, a band has several of
            them, and is grey where only some of their values are missing.
        ax : matplotlib axes, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : MissingPatternDisplay
            Holds what was drawn.

        Raises
        ------
        TypeError
            If X is sparse.
        """
        check_matplotlib_support(f"{cls.__name__}.from_data")
        check_scalar(max_bands, "max_bands", Integral, min_val=1)
        if sparse.issparse(X):
            raise TypeError(
                "X is sparse, and has no pattern of missing values to draw: pass a dense array, "
                "such as X.toarray() where NaN is stored."
            )
        missing = np.isnan(check_holed(X, missing_values, keep_sparse=False))
        bands = np.array_split(missing, min(max_bands, len(missing)))
        return cls(
            pattern=np.array([band.mean(axis=0) for band in bands]),
            n_samples=len(missing),
            feature_names=column_names(X),
        ).plot(ax)

    def plot(self, ax=None):
        """Draw the pattern, and the share of missing values of every feature above it.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : MissingPatternDisplay
            This display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        pattern = check_complete(self.pattern, "pattern")
        n_features = pattern.shape[1]
        if ax is None:
            width = min(12, max(4, 0.35 * n_features))
            _, ax = plt.subplots(figsize=(width, 5.5), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        extent = (-0.5, n_features - 0.5, self.n_samples - 0.5, -0.5)
        style = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
        self.image_ = ax.imshow(pattern, cmap="gray_r", extent=extent, **style)
        ax.set_ylabel("Row")
        names = self.feature_names
        if names is None:
            names = [f"x{number}" for number in range(n_features)]
        shown = np.arange(0, n_features, -(-n_features // 40))
        labels = [str(names[number]) for number in shown]
        ax.set_xticks(shown, labels, rotation=90)
        self.bars_ax_ = ax.inset_axes((0, 1.05, 1, 0.25), sharex=ax)
        sizes = [len(band) for band in np.array_split(np.arange(self.n_samples), len(pattern))]
        shares = np.average(pattern, axis=0, weights=sizes)
        self.bars_ = self.bars_ax_.bar(np.arange(n_features), shares, color="#0072b2")
        self.bars_ax_.tick_params(labelbottom=False)
        self.bars_ax_.set(ylim=(0, 1), ylabel="Missing")
        return self
