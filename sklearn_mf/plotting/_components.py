"""What components look like."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.components import fitted_components, last_step
from sklearn_mf.utils._validation import check_complete, check_matplotlib_support

__all__ = ["ComponentsDisplay"]


class ComponentsDisplay:
    """Components as images, or as bars of the features that count most in each.

    Use `from_estimator` to make one, or the constructor for components that are not those of
    an estimator, such as the result of :func:`~sklearn_mf.components.canonical_form`, and
    then `plot`. All parameters are stored as attributes.

    Parameters
    ----------
    components : array-like of shape (n_components, n_features)
        What to draw.
    image_shape : tuple of two ints, default=None
        Height and width of the images. None: draw bars.
    feature_names : array-like of str of shape (n_features,), default=None
        Labels of the bars. None: "x0", "x1" and so on.
    n_top_features : int, default=10
        Number of bars of each component.

    Attributes
    ----------
    artists_ : list of matplotlib artists
        The image, or the container of the bars, of every component.
    axes_ : ndarray of matplotlib Axes of shape (n_components,)
        Axes of every component.
    figure_ : matplotlib Figure
        Figure containing them.

    See Also
    --------
    sklearn_mf.components.sort_components : Orders components by how much they contribute.

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
        """Draw ``components_`` of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``components_``, of this package or of scikit-learn; a pipeline
            that ends in one, or a search over one, such as
            :class:`sklearn.model_selection.GridSearchCV`, whose best estimator is drawn.
        image_shape : tuple of two ints, default=None
            Height and width of the images. None: draw bars.
        n_components : int, default=None
            Draw so many, the first ones. None: all.
        feature_names : array-like of str of shape (n_features,), default=None
            Labels of the bars. None: ``feature_names_in_`` of the estimator that has the
            components, or "x0", "x1" and so on.
        n_top_features : int, default=10
            Number of bars of each component.
        axes : array-like of matplotlib axes, default=None
            Where to draw, one for each component. None: on a new figure.
        artist_kwargs : dict, default=None
            Passed to matplotlib's ``imshow`` or ``barh``.

        Returns
        -------
        display : ComponentsDisplay
            Holds what was drawn.

        Raises
        ------
        ValueError
            If there are no components, fewer than asked for, or they do not have the size
            of the images or of the names.
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
        """Draw the components.

        Every image has a scale of its own: blue below zero and red above or, where no component
        is negative anywhere, white at zero and black at the largest value. Bars are ordered
        by their size, the largest on top.

        Parameters
        ----------
        axes : array-like of matplotlib axes, default=None
            Where to draw, one for each component. None: on a new figure.
        artist_kwargs : dict, default=None
            Passed to matplotlib's ``imshow`` or ``barh``.

        Returns
        -------
        display : ComponentsDisplay
            This display.

        Raises
        ------
        ValueError
            If components do not have the size of the images or of the names, or axes are
            not as many as components.
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
    largest = np.abs(image).max() or 1.0  # of a component of zeros, any scale will do
    scale = {"cmap": "RdBu_r" if signed else "gray_r", "vmin": -largest * signed, "vmax": largest}
    ax.set(xticks=[], yticks=[])
    return ax.imshow(image, **(scale | style))


def _draw_bars(ax, component, names, n_bars, style):
    # Names may be the same, so bars stand at numbers.
    top = np.argsort(-np.abs(component), kind="stable")[:n_bars]
    bars = ax.barh(np.arange(n_bars), component[top], **style)
    ax.set_yticks(np.arange(n_bars), labels=names[top])
    ax.invert_yaxis()
    ax.axvline(0, color="0.5", linewidth=0.8)
    return bars


def _new_axes(n_axes, panel):
    """Axes on a new figure, a rough square of panels of this size in inches."""
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
        raise ValueError(f"axes are {len(axes)}, components {len(components)}: give one for each.")
    return axes


def _check_image_shape(image_shape, n_features):
    if np.shape(image_shape) != (2,) or np.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} does not fit components of {n_features} features: it "
            "must be a height and a width with that product."
        )
    return image_shape


def _check_names(feature_names, n_features):
    if feature_names is None:
        return np.array([f"x{number}" for number in range(n_features)], dtype=object)
    if len(feature_names) != n_features:
        raise ValueError(
            f"feature_names has {len(feature_names)} names, but components have {n_features} "
            "features."
        )
    return np.asarray(feature_names, dtype=object)
