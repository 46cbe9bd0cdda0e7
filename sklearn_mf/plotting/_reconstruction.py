"""What a model makes of samples."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.components import last_step
from sklearn_mf.utils._validation import check_complete, check_holed, check_matplotlib_support

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Samples beside what a model restores of them, as images or as curves.

    Use `from_estimator` to make one, or the constructor for arrays from elsewhere, and then
    `plot`. All parameters are stored as attributes.

    Parameters
    ----------
    observed : array-like of shape (n_samples, n_features)
        The samples as the model has seen them; missing values are NaN.
    restored : array-like of shape (n_samples, n_features)
        What the model makes of them.
    original : array-like of shape (n_samples, n_features), default=None
        The samples before values were lost, where they are known.
    image_shape : tuple of two or three ints, default=None
        Height and width of the images, and the number of channels of those in colour, which are
        between 0 and 1. None: draw curves over the features.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_rows, n_samples)
        A column for every sample. The rows of images are the original if there is one, what was
        observed, and what is restored; curves have one row.
    figure_ : matplotlib Figure
        Figure containing them.

    See Also
    --------
    ComponentsDisplay : What the model is made of.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.plotting import ReconstructionDisplay
    >>> digits = load_digits().data[:500]
    >>> lost = np.random.default_rng(0).random(digits.shape) < 0.3
    >>> X = np.where(lost, np.nan, digits)
    >>> model = MatrixFactorization(10, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(
    ...     model, X, original=digits, image_shape=(8, 8), n_samples=4
    ... )
    >>> display.axes_.shape
    (3, 4)
    """

    def __init__(self, *, observed, restored, original=None, image_shape=None):
        self.observed = observed
        self.restored = restored
        self.original = original
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator, X, *, original=None, image_shape=None, n_samples=5, axes=None
    ):
        """Draw the first samples of X, and what a fitted estimator restores of them.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``components_``: what `inverse_transform` makes of `transform` is shown.
            Or an imputer, of which is shown what it has filled in. Also a pipeline that ends in
            one, or a search over one.
        X : array-like of shape (n_samples, n_features)
            Samples, with missing values where there are any.
        original : array-like of shape (n_samples, n_features), default=None
            The samples before values were lost, where they are known.
        image_shape : tuple of two or three ints, default=None
            Height and width of the images, and the number of channels of those in colour, which
            are between 0 and 1. None: draw curves over the features.
        n_samples : int, default=5
            Draw so many samples, the first ones, or all if there are fewer.
        axes : array-like of matplotlib axes of the shape of `axes_`, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            Holds what was drawn.

        Raises
        ------
        ValueError
            If arrays or axes do not have the same shape, or samples not the size of the images.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        X = X[:n_samples] if not hasattr(X, "iloc") else X.iloc[:n_samples]
        restored = estimator.transform(X)
        # Imputers fill; what has components turns samples into codes, and codes into samples.
        has_components = hasattr(last_step(estimator), "components_")
        if has_components and hasattr(estimator, "inverse_transform"):
            restored = estimator.inverse_transform(restored)
        mark = getattr(last_step(estimator), "missing_values", np.nan)
        display = cls(
            observed=check_holed(X, mark),
            restored=restored,
            original=None if original is None else original[:n_samples],
            image_shape=image_shape,
        )
        return display.plot(axes)

    def plot(self, axes=None):
        """Draw the samples.

        Every sample has a scale of its own, the same in all of its images; missing pixels are
        blue.

        Parameters
        ----------
        axes : array-like of matplotlib axes of the shape of `axes_`, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            This display.

        Raises
        ------
        ValueError
            If arrays or axes do not have the same shape, or samples not the size of the images.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        arrays = {} if self.original is None else {"original": self.original}
        arrays = {name: check_complete(array, name) for name, array in arrays.items()}
        arrays["observed"] = check_holed(self.observed)
        arrays["restored"] = check_complete(self.restored, "restored")
        shape = arrays["observed"].shape
        for name, array in arrays.items():
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}, but observed has {shape}.")
        is_image = self.image_shape is not None
        if is_image and np.prod(self.image_shape) != shape[1]:
            raise ValueError(
                f"image_shape={self.image_shape!r} does not fit samples of {shape[1]} features: "
                "it must be a height and a width with that product."
            )
        n_rows = len(arrays) if is_image else 1
        self.axes_ = _axes(axes, (n_rows, shape[0]), self.image_shape)
        self.figure_ = self.axes_[0, 0].figure
        for number, column in enumerate(self.axes_.T):
            samples = {name: array[number] for name, array in arrays.items()}
            if is_image:
                _draw_images(column, samples, self.image_shape, labelled=number == 0)
            else:
                _draw_curves(column[0], samples)
        if not is_image:
            self.axes_[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        return self


def _axes(axes, shape, image_shape):
    """The axes that are given, of the right shape, or new ones."""
    import matplotlib.pyplot as plt

    if axes is None:
        panel = (3.5, 2.6)
        if image_shape is not None:
            panel = (1.5, 1.5 * image_shape[0] / image_shape[1])
        size = panel[0] * shape[1] + 0.4, panel[1] * shape[0] + 0.3
        return plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")[1]
    axes = np.atleast_2d(axes)
    if axes.shape != shape:
        raise ValueError(f"axes has the shape {axes.shape}, but {shape} are needed.")
    return axes


def _draw_images(axes, samples, shape, labelled):
    import matplotlib.pyplot as plt

    known = np.concatenate(list(samples.values()))
    colors = plt.get_cmap("gray").with_extremes(bad="#0072b2")
    scale = {"cmap": colors, "vmin": np.nanmin(known), "vmax": np.nanmax(known)}
    for ax, (name, sample) in zip(axes, samples.items(), strict=True):
        image = sample.reshape(shape)
        if image.ndim == 3:
            lost = np.isnan(image).any(axis=2, keepdims=True)
            image = np.where(lost, (0.0, 0.447, 0.698), image).clip(0, 1)
        ax.imshow(image, **scale)
        ax.set(xticks=[], yticks=[])
        if labelled:
            ax.set_ylabel(name)


def _draw_curves(ax, samples):
    features = np.arange(len(samples["observed"]))
    if "original" in samples:
        ax.plot(features, samples["original"], color="0.75", linewidth=3, label="original")
    ax.plot(features, samples["observed"], ".", color="k", label="observed")
    ax.plot(features, samples["restored"], color="#d55e00", label="restored")
    ax.set_xlabel("Feature")
