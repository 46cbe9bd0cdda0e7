"""Components as images or bars of features."""

import sys

import numpy as np
import pytest
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import MatrixFactorization
from sklearn_mf.components import canonical_form
from sklearn_mf.plotting import ComponentsDisplay


@pytest.fixture
def model(holed):
    return MatrixFactorization(5, alpha_W=0.1, random_state=0).fit(holed)  # of 20 features


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.usefixtures("plt")
class TestImages:
    def test_they_are_the_components(self, model):
        display = ComponentsDisplay.from_estimator(model, image_shape=(4, 5))
        assert len(display.artists_) == len(display.axes_) == 5
        for number, image in enumerate(display.artists_):
            np.testing.assert_allclose(
                image.get_array(), model.components_[number].reshape(4, 5), rtol=1e-6
            )
            largest = np.abs(model.components_[number]).max()
            assert image.get_clim() == pytest.approx((-largest, largest))
            assert image.axes is display.axes_[number]
            assert image.axes.get_title() == f"Component {number}"
        assert display.figure_ is display.axes_[0].figure
        assert len(display.figure_.axes) == 5  # of six places in the grid

    def test_zero_is_white_where_nothing_is_negative(self, complete):
        nmf = NMF(2, init="nndsvda", max_iter=1000).fit(np.abs(complete))
        display = ComponentsDisplay.from_estimator(nmf, image_shape=(5, 4))
        for image, component in zip(display.artists_, nmf.components_, strict=True):
            assert image.get_clim() == pytest.approx((0, component.max()))
            assert image.get_cmap()(0.0)[:3] == (1, 1, 1)

    def test_all_have_one_map_of_colors_and_zeros_are_in_its_middle(self):
        components = np.array([[1.0, 2], [-1, 0], [0, 0]])
        display = ComponentsDisplay(components=components, image_shape=(1, 2)).plot()
        assert {image.get_cmap().name for image in display.artists_} == {"RdBu_r"}
        assert [image.norm(0.0) for image in display.artists_] == [0.5] * 3

    def test_styles_are_passed_on(self, model):
        display = ComponentsDisplay.from_estimator(
            model, image_shape=(4, 5), n_components=1, artist_kwargs={"cmap": "viridis", "vmin": -9}
        )
        [image] = display.artists_
        assert image.get_cmap().name == "viridis"
        assert image.get_clim()[0] == -9


@pytest.mark.usefixtures("plt")
class TestBars:
    def test_they_are_the_largest_coefficients_with_their_signs(self, model):
        display = ComponentsDisplay.from_estimator(model, n_top_features=3)
        for ax, bars, component in zip(
            display.axes_, display.artists_, model.components_, strict=True
        ):
            top = sorted(range(20), key=lambda j: -abs(component[j]))[:3]
            assert labels(ax) == [f"x{j}" for j in top]
            widths = [bar.get_width() for bar in bars]
            np.testing.assert_allclose(widths, component[top])
            bottom, upper = ax.get_ylim()
            assert bottom > upper  # the first bar is on top

    def test_names_are_those_of_the_data_frame(self, complete):
        pandas = pytest.importorskip("pandas")
        names = [f"feature {j}" for j in range(20)]
        model = MatrixFactorization(2).fit(pandas.DataFrame(complete, columns=names))
        display = ComponentsDisplay.from_estimator(model, n_top_features=20)
        assert sorted(labels(display.axes_[0])) == sorted(names)
        given = ComponentsDisplay.from_estimator(
            model, n_top_features=30, feature_names=np.repeat("a word", 20)
        )
        assert labels(given.axes_[1]) == ["a word"] * 20

    def test_styles_are_passed_on(self, model):
        display = ComponentsDisplay.from_estimator(model, artist_kwargs={"color": "red"})
        assert display.artists_[4][0].get_facecolor() == (1, 0, 0, 1)


def test_only_the_first_components_are_drawn_on_the_axes_given(plt, model):
    figure, axes = plt.subplots(1, 2)
    display = ComponentsDisplay.from_estimator(model, n_components=2, axes=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert display.plot(axes[::-1]) is display
    assert list(display.axes_) == [axes[1], axes[0]]
    assert len(plt.get_fignums()) == 1
    one = ComponentsDisplay.from_estimator(model, n_components=1, axes=axes[0])
    assert list(one.axes_) == [axes[0]]


@pytest.mark.usefixtures("plt")
def test_the_end_of_a_pipeline_is_drawn(complete):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(complete, columns=[f"feature {j}" for j in range(20)])
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, MatrixFactorization(2)).fit(X)
    display = ComponentsDisplay.from_estimator(pipeline, n_top_features=1)
    largest = np.abs(pipeline[-1].components_[0]).argmax()
    assert labels(display.axes_[0]) == [f"feature {largest}"]


@pytest.mark.usefixtures("plt")
def test_components_in_another_form(model, holed):
    _, H = canonical_form(model.transform(holed), model.components_)
    display = ComponentsDisplay(components=H, image_shape=(4, 5)).plot()
    np.testing.assert_allclose(display.artists_[1].get_array().ravel(), H[1], rtol=1e-6)


@pytest.mark.usefixtures("plt")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (4, 4)}, r"image_shape=\(4, 4\) does not match components of 20"),
        ({"image_shape": (2, 2, 5)}, r"image_shape=\(2, 2, 5\) does not match"),
        ({"image_shape": 20}, "image_shape=20 does not match"),
        ({"n_components": 6}, "n_components == 6, must be <= 5"),
        ({"n_components": 0}, "n_components == 0, must be >= 1"),
        ({"n_top_features": 0}, "n_top_features == 0, must be >= 1"),
        ({"feature_names": ["a", "b"]}, "feature_names has 2 names, but the components have 20"),
        ({"axes": [None]}, "There are 1 axes but 5 components"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(plt, model, arguments, message):
    with pytest.raises(ValueError, match=message):
        ComponentsDisplay.from_estimator(model, **arguments)
    assert plt.get_fignums() == []


@pytest.mark.usefixtures("plt")
def test_estimators_without_components_are_refused(complete):
    with pytest.raises(NotFittedError):
        ComponentsDisplay.from_estimator(PCA(2))
    with pytest.raises(ValueError, match="This LinearRegression has no components_"):
        ComponentsDisplay.from_estimator(LinearRegression().fit(complete, complete))


def test_matplotlib_is_needed_only_to_draw(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = ComponentsDisplay(components=model.components_)
    with pytest.raises(ImportError, match=r"ComponentsDisplay\.plot requires matplotlib"):
        display.plot()
    with pytest.raises(ImportError, match=r"ComponentsDisplay\.from_estimator requires"):
        ComponentsDisplay.from_estimator(model)
