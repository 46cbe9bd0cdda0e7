"""Images as tables of overlapping patches, of which pixels may be missing.

Neighbouring patches of a photograph resemble one another, so that the table of all of them has a
low rank although the image has not. A factorization of the table removes noise and predicts
missing pixels.
"""

from itertools import product
from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from sklearn_mf.utils._validation import admit, check_complete, check_numbers

__all__ = ["extract_patches", "reconstruct_from_patches"]


def extract_patches(image, patch_size, *, step=1):
    """Cut overlapping patches out of an image, one to a row.

    Unlike :func:`sklearn.feature_extraction.image.extract_patches_2d` it accepts missing pixels
    (NaN), and its rows are ready to be fitted.

    Parameters
    ----------
    image : array-like of shape (height, width) or (height, width, n_channels)
        The image; missing pixels are NaN.
    patch_size : tuple of two ints
        Height and width of a patch, in pixels.
    step : int, default=1
        Distance between neighbouring patches, in pixels, of at most the smaller side of a patch.
        The last patches of each direction end at the border of the image, however far the
        others would reach.

    Returns
    -------
    patches : ndarray of shape (n_patches, patch_height * patch_width * n_channels)
        The patches from left to right and from top to bottom, each flattened in C order.

    Raises
    ------
    ValueError
        If the image is not one, or patches do not fit into it.

    See Also
    --------
    reconstruct_from_patches : Puts them together again.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.patches import extract_patches
    >>> image = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]])
    >>> extract_patches(image, (2, 2))
    array([[ 1.,  2.,  4., nan],
           [ 2.,  3., nan,  6.]])
    """
    image = check_numbers(
        admit(image, "image"), "image", allow_nan=True, ensure_2d=False, allow_nd=True
    )
    corners = _corners(image.shape, patch_size, step)
    windows = np.lib.stride_tricks.sliding_window_view(image, patch_size, axis=(0, 1))
    windows = windows[np.ix_(*corners)]
    if image.ndim == 3:
        windows = np.moveaxis(windows, 2, -1)
    n_patches = len(corners[0]) * len(corners[1])
    return windows.reshape(n_patches, -1)


def reconstruct_from_patches(patches, image_shape, patch_size, *, step=1):
    """Put an image together from overlapping patches, of which it takes the mean.

    Parameters
    ----------
    patches : array-like of shape (n_patches, patch_height * patch_width * n_channels)
        As :func:`extract_patches` returns them, with nothing missing.
    image_shape : tuple of two or three ints
        Shape of the image.
    patch_size : tuple of two ints
        Height and width of a patch, as :func:`extract_patches` was given it.
    step : int, default=1
        Distance between neighbouring patches, as :func:`extract_patches` was given it.

    Returns
    -------
    image : ndarray of shape image_shape
        The mean, at every pixel, of all patches that have it.

    Raises
    ------
    ValueError
        If there are not as many patches, or not as many numbers in each, as an image of this
        shape has.

    See Also
    --------
    extract_patches : Cuts patches out of an image.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.patches import extract_patches, reconstruct_from_patches
    >>> image = np.arange(12.0).reshape(3, 4)
    >>> patches = extract_patches(image, (2, 2))
    >>> reconstruct_from_patches(patches, image.shape, (2, 2))
    array([[ 0.,  1.,  2.,  3.],
           [ 4.,  5.,  6.,  7.],
           [ 8.,  9., 10., 11.]])
    """
    corners = _corners(image_shape, patch_size, step)
    patches = check_complete(patches, "patches")
    expected = len(corners[0]) * len(corners[1]), int(np.prod([*patch_size, *image_shape[2:]]))
    if patches.shape != expected:
        raise ValueError(
            f"patches has the shape {patches.shape}, but an image of shape {tuple(image_shape)} "
            f"has patches of the shape {expected} with patch_size={tuple(patch_size)} and "
            f"step={step}."
        )
    windows = patches.reshape(len(corners[0]), len(corners[1]), *patch_size, *image_shape[2:])
    total = np.zeros(image_shape, dtype=patches.dtype)
    count = np.zeros(image_shape, dtype=patches.dtype)
    # Each place within the patches is added for all patches at once. Corners differ, so that no
    # pixel is met twice.
    for i, j in product(range(patch_size[0]), range(patch_size[1])):
        pixels = np.ix_(corners[0] + i, corners[1] + j)
        total[pixels] += windows[:, :, i, j]
        count[pixels] += 1
    return total / count


def _corners(image_shape, patch_size, step):
    """Rows and columns of the upper left pixels of the patches."""
    if len(image_shape) not in (2, 3):
        raise ValueError(
            f"An image has the shape (height, width) or (height, width, n_channels), not "
            f"{tuple(image_shape)}."
        )
    if np.shape(patch_size) != (2,):
        raise ValueError(f"patch_size={patch_size!r} must be a height and a width: write (8, 8).")
    for name, side, length in zip(("height", "width"), patch_size, image_shape, strict=False):
        check_scalar(side, f"The {name} of patch_size", Integral, min_val=1, max_val=length)
    check_scalar(step, "step", Integral, min_val=1, max_val=min(patch_size))
    corners = []
    for side, length in zip(patch_size, image_shape, strict=False):
        last = length - side
        corners.append(np.unique([*range(0, last, step), last]))
    return corners
