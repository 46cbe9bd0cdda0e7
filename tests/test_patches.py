"""Patches of images: cut out, put together, with missing pixels."""

import numpy as np
import pytest
from sklearn.feature_extraction.image import extract_patches_2d, reconstruct_from_patches_2d

from sklearn_mf.patches import extract_patches, reconstruct_from_patches

SHAPES = [(7, 9), (7, 9, 3)]


@pytest.fixture(params=SHAPES, ids=["grey", "colour"])
def image(request):
    return np.random.default_rng(0).random(request.param)


def test_complete_images_have_the_patches_of_scikit_learn(image):
    expected = extract_patches_2d(image, (3, 4))
    found = extract_patches(image, (3, 4))
    np.testing.assert_array_equal(found, expected.reshape(len(expected), -1))


def test_the_mean_of_the_patches_is_that_of_scikit_learn(image):
    windows = np.random.default_rng(1).random(extract_patches_2d(image, (3, 4)).shape)
    expected = reconstruct_from_patches_2d(windows, image.shape)
    found = reconstruct_from_patches(windows.reshape(len(windows), -1), image.shape, (3, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_patches_cover_the_image_whatever_the_step(image, step):
    patches = extract_patches(image, (3, 4), step=step)
    rebuilt = reconstruct_from_patches(patches, image.shape, (3, 4), step=step)
    np.testing.assert_allclose(rebuilt, image, rtol=1e-14)


def test_steps_leave_out_patches_in_between():
    image = np.arange(25.0).reshape(5, 5)
    np.testing.assert_array_equal(
        extract_patches(image, (2, 2), step=2)[:, 0], image[np.ix_([0, 2, 3], [0, 2, 3])].ravel()
    )


def test_missing_pixels_stay_missing(image):
    holed = image.copy()
    holed[2, 3] = np.nan
    filled = np.where(np.isnan(holed), -1.0, holed)
    patches = extract_patches(holed, (3, 4))
    np.testing.assert_array_equal(
        np.where(np.isnan(patches), -1.0, patches), extract_patches(filled, (3, 4))
    )


def test_masked_pixels_are_missing(image):
    masked = np.ma.masked_less(image, 0.3)
    expected = extract_patches(np.where(image < 0.3, np.nan, image), (3, 4))
    np.testing.assert_array_equal(extract_patches(masked, (3, 4)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_stays(image, dtype):
    patches = extract_patches(image.astype(dtype), (3, 4))
    assert patches.dtype == dtype
    assert reconstruct_from_patches(patches, image.shape, (3, 4)).dtype == dtype


def test_the_image_is_not_changed(image):
    before = image.copy()
    extract_patches(image, (3, 4))[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": np.ones(5)}, r"\(height, width\).*not \(5,\)"),
        ({"patch_size": 8}, "patch_size=8 must be a height and a width"),
        ({"patch_size": (8, 3)}, "height of patch_size == 8, must be <= 7"),
        ({"patch_size": (3, 0)}, "width of patch_size == 0, must be >= 1"),
        ({"step": 4}, "step == 4, must be <= 3"),
        ({"image": np.full((7, 9), np.inf)}, "image contains infinity.*row 0, column 0"),
    ],
)
def test_what_is_wrong_is_told(arguments, message):
    arguments = {"image": np.ones((7, 9)), "patch_size": (3, 4)} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        extract_patches(**arguments)


def test_too_few_patches_are_told():
    with pytest.raises(ValueError, match=r"shape \(3, 12\), but .* of the shape \(30, 12\)"):
        reconstruct_from_patches(np.ones((3, 12)), (7, 9), (3, 4))


def test_missing_values_of_patches_are_told():
    patches = np.ones((30, 12))
    patches[4, 5] = np.nan
    with pytest.raises(ValueError, match="patches contains NaN in row 4, column 5"):
        reconstruct_from_patches(patches, (7, 9), (3, 4))
