"""Plots of components."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.components import fitted_components, last_step
from sklearn_mf.utils._validation import check_complete, check_matplotlib_support

__all__ = ["ComponentsDisplay"]


class ComponentsDisplay:
    """Components as images, or as bars of their largest features.

    Create it with `from_estimator`. For other components, such as the result of
    :func:`~sklearn_mf.components.canonical_form`, use the constructor and then `plot`. All
    parameters are stored as attributes.

    Parameters
    ----------
    components : array-like of shape (n_components, n_features)
        The components to plot.
    image_shape : tuple of two ints, default=None
        Height and width of the images. With None, bars are plotted.
    feature_names : array-like of str of shape (n_features,), default=None
        Labels of the bars. None uses "x0", "x1" and so on.
    n_top_features : int, default=10
        Number of bars for each component.

    Attributes
    ----------
    artists_ : list of matplotlib artists
        The image, or the container of the bars, for every component.
    axes_ : ndarray of matplotlib Axes of shape (n_components,)
        The axes of every component.
    figure_ : matplotlib Figure
        The figure that contains the axes.

    See Also
    --------
    sklearn_mf.components.sort_components : Orders components by their contribution.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.plotting import ComponentsDisplay
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> X = StandardScaler().set_output(transform="pandas").fit_transform(X)
    >>> model = MatrixFactorization(2).fit(X)
    >>> display = ComponentsDisplay.from_estimator(model, n_top_features=3)
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()]
    ['flavanoids', 'total_phenols', 'od280/od315_of_diluted_wines']
    """

    def __init__(self, *, components, image_shape=None, feature_names=None, n_top_features=10):
        self.components = components
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.n_top_features = n_top_features

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        image_shape=None,
        n_components=None,
        feature_names=None,
        n_top_features=10,
        axes=None,
        artist_kwargs=None,
    ):
        """Plot ``components_`` of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with ``components_``, of this package or of scikit-learn; a pipeline
            that ends with one; or a search over one, such as
            :class:`sklearn.model_selection.GridSearchCV`, whose best estimator is used.
        image_shape : tuple of two ints, default=None
            Height and width of the images. With None, bars are plotted.
        n_components : int, default=None
            Number of components to plot, starting with the first. None plots all of them.
        feature_names : array-like of str of shape (n_features,), default=None
            Labels of the bars. None uses ``feature_names_in_`` of the estimator with the
            components, or "x0", "x1" and so on.
        n_top_features : int, default=10
            Number of bars for each component.
        axes : array-like of matplotlib axes, default=None
            Axes to plot on, one for each component. None creates a new figure.
        artist_kwargs : dict, default=None
            Keyword arguments passed to matplotlib's ``imshow`` or ``barh``.

        Returns
        -------
        display : ComponentsDisplay
            The display.

        Raises
        ------
        ValueError
            If there are no components, fewer than requested, or if their size does not match that
            of the images or names.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        components = fitted_components(estimator)
        if n_components is not None:
            largest = len(components)
            check_scalar(n_components, "n_components", Integral, min_val=1, max_val=largest)
            components = components[:n_components]
        if feature_names is None:
            feature_names = getattr(last_step(estimator), "feature_names_in_", None)
        display = cls(
            components=components,
            image_shape=image_shape,
            feature_names=feature_names,
            n_top_features=n_top_features,
        )
        return display.plot(axes, artist_kwargs=artist_kwargs)

    def plot(self, axes=None, *, artist_kwargs=None):
        """Plot the components.

        Each image has its own scale: blue for negative and red for positive values or, if all
        components are non-negative, white for zero and black for the largest value. The bars are
        ordered by their absolute values, with the largest on top.

        Parameters
        ----------
        axes : array-like of matplotlib axes, default=None
            Axes to plot on, one for each component. None creates a new figure.
        artist_kwargs : dict, default=None
            Keyword arguments passed to matplotlib's ``imshow`` or ``barh``.

        Returns
        -------
        display : ComponentsDisplay
            This display.

        Raises
        ------
        ValueError
            If the size of the components does not match that of the images or names, or if there
            are not as many axes as components.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        components = check_complete(self.components, "components")
        if self.image_shape is None:
            names = _check_names(self.feature_names, components.shape[1])
            check_scalar(self.n_top_features, "n_top_features", Integral, min_val=1)
            n_bars = min(self.n_top_features, components.shape[1])
            panel = (3.2, 0.8 + 0.22 * n_bars)
        else:
            height, width = _check_image_shape(self.image_shape, components.shape[1])
            panel = (1.6, 0.3 + 1.6 * height / width)
        axes = _new_axes(len(components), panel) if axes is None else _check_axes(axes, components)
        style = artist_kwargs or {}
        signed = (components < 0).any()
        self.artists_ = []
        for number, (ax, component) in enumerate(zip(axes, components, strict=True)):
            if self.image_shape is None:
                artist = _draw_bars(ax, component, names, n_bars, style)
            else:
                artist = _draw_image(ax, component.reshape(height, width), signed, style)
            ax.set_title(f"Component {number}")
            self.artists_.append(artist)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self


def _draw_image(ax, image, signed, style):
    largest = np.abs(image).max() or 1.0  # a component of zeros needs any positive scale
    scale = {"cmap": "RdBu_r" if signed else "gray_r", "vmin": -largest * signed, "vmax": largest}
    ax.set(xticks=[], yticks=[])
    return ax.imshow(image, **(scale | style))


def _draw_bars(ax, component, names, n_bars, style):
    # Names may repeat, so the bars are placed at numbers.
    top = np.argsort(-np.abs(component), kind="stable")[:n_bars]
    bars = ax.barh(np.arange(n_bars), component[top], **style)
    ax.set_yticks(np.arange(n_bars), labels=names[top])
    ax.invert_yaxis()
    ax.axvline(0, color="0.5", linewidth=0.8)
    return bars


def _new_axes(n_axes, panel):
    """Return axes on a new figure, in a nearly square grid of panels of this size in inches."""
    import matplotlib.pyplot as plt

    n_columns = int(np.ceil(np.sqrt(n_axes)))
    n_rows = -(-n_axes // n_columns)
    _, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(panel[0] * n_columns, panel[1] * n_rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in grid.flat[n_axes:]:
        ax.remove()
    return grid.flatten()[:n_axes]


def _check_axes(axes, components):
    axes = np.ravel(axes)
    if len(axes) != len(components):
        raise ValueError(
            f"There are {len(axes)} axes but {len(components)} components: pass as many axes."
        )
    return axes


def _check_image_shape(image_shape, n_features):
    if np.shape(image_shape) != (2,) or np.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} does not match components of {n_features} features: pass "
            "a height and a width with this product."
        )
    return image_shape


def _check_names(feature_names, n_features):
    if feature_names is None:
        return np.array([f"x{number}" for number in range(n_features)], dtype=object)
    if len(feature_names) != n_features:
        raise ValueError(
            f"feature_names has {len(feature_names)} names, but the components have {n_features} "
            "features: pass one name for each."
        )
    return np.asarray(feature_names, dtype=object)
