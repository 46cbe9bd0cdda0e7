"""Samples beside what a model restores, as a Display of scikit-learn would show them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import FactorizationImputer, MatrixFactorization
from sklearn_mf.plotting import ReconstructionDisplay

DIGITS = load_digits().data[:100]
HOLED = np.where(np.random.default_rng(0).random(DIGITS.shape) < 0.3, np.nan, DIGITS)


@pytest.fixture(scope="module")
def model():
    return MatrixFactorization(5, alpha_W=0.1, random_state=0).fit(HOLED)


@pytest.mark.usefixtures("plt")
def test_images_are_original_observed_and_restored(model):
    display = ReconstructionDisplay.from_estimator(
        model, HOLED, original=DIGITS, image_shape=(8, 8), n_samples=3
    )
    restored = model.inverse_transform(model.transform(HOLED[:3]))
    assert display.axes_.shape == (3, 3)
    for row, expected in zip(display.axes_, (DIGITS, HOLED, restored), strict=True):
        for ax, sample in zip(row, expected, strict=False):
            [image] = ax.images
            shown = np.ma.filled(image.get_array(), np.nan)
            np.testing.assert_allclose(shown, sample.reshape(8, 8))
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["original", "observed", "restored"]
    assert display.figure_ is display.axes_[0, 0].figure
    limits = {ax.images[0].get_clim() for ax in display.axes_[:, 1]}
    assert len(limits) == 1


@pytest.mark.usefixtures("plt")
def test_curves_share_an_axis(model):
    display = ReconstructionDisplay.from_estimator(model, HOLED, original=DIGITS, n_samples=2)
    assert display.axes_.shape == (1, 2)
    original, observed, restored = display.axes_[0, 1].lines
    np.testing.assert_array_equal(original.get_ydata(), DIGITS[1])
    np.testing.assert_array_equal(observed.get_ydata(), HOLED[1])
    expected = model.inverse_transform(model.transform(HOLED[:2]))[1]
    np.testing.assert_array_equal(restored.get_ydata(), expected)
    texts = [text.get_text() for text in display.axes_[0, 1].get_legend().get_texts()]
    assert texts == ["original", "observed", "restored"]


@pytest.mark.usefixtures("plt")
def test_an_imputer_in_a_pipeline_shows_what_it_fills_in():
    frame = pd.DataFrame(HOLED[:, 18:30])
    frame.columns = [f"x{i}" for i in range(12)]
    imputer = FactorizationImputer(random_state=0)
    pipeline = make_pipeline(StandardScaler(), imputer).fit(frame)
    display = ReconstructionDisplay.from_estimator(pipeline[1:], pipeline[0].transform(frame))
    known = ~np.isnan(display.observed)
    np.testing.assert_array_equal(display.restored[known], display.observed[known])


@pytest.mark.usefixtures("plt")
def test_marks_of_missing_values_are_missing_pixels():
    X = np.where(np.isnan(HOLED), -1, HOLED)
    model = MatrixFactorization(5, alpha_W=0.1, missing_values=-1, random_state=0).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X, image_shape=(8, 8))
    np.testing.assert_array_equal(np.isnan(display.observed), np.isnan(HOLED[:5]))


@pytest.mark.usefixtures("plt")
def test_missing_pixels_of_colour_images_are_blue():
    image = np.full((2, 2, 3), 0.5)
    observed = image.copy()
    observed[0, 1] = np.nan
    display = ReconstructionDisplay(
        observed=observed.reshape(1, -1), restored=image.reshape(1, -1), image_shape=(2, 2, 3)
    ).plot()
    shown = display.axes_[0, 0].images[0].get_array()
    np.testing.assert_array_equal(shown[0, 1], (0.0, 0.447, 0.698))
    np.testing.assert_array_equal(shown[1, 1], 0.5)


@pytest.mark.usefixtures("plt")
def test_what_does_not_fit_is_told(model, plt):
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(MatrixFactorization(2), HOLED)
    with pytest.raises(ValueError, match=r"image_shape=\(7, 8\) does not fit samples of 64"):
        ReconstructionDisplay.from_estimator(model, HOLED, image_shape=(7, 8))
    with pytest.raises(ValueError, match=r"restored has the shape \(2, 3\), but observed"):
        ReconstructionDisplay(observed=np.ones((2, 4)), restored=np.ones((2, 3))).plot()
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"shape \(1, 2\), but \(2, 5\) are needed"):
        ReconstructionDisplay.from_estimator(model, HOLED, image_shape=(8, 8), axes=axes)
    with pytest.raises(ValueError, match="n_samples == 0"):
        ReconstructionDisplay.from_estimator(model, HOLED, n_samples=0)
