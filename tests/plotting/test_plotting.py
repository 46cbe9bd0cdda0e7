"""Curves of fits, as a Display of scikit-learn would show them."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import MatrixFactorization
from sklearn_mf.plotting import LossCurveDisplay


@pytest.fixture
def model(holed):
    return MatrixFactorization(
        3, solver="als", alpha_W=0.01, early_stopping=True, max_iter=500, random_state=0
    ).fit(holed)


@pytest.mark.usefixtures("plt")
@pytest.mark.parametrize(
    ("y", "attribute", "label"),
    [
        ("objective", "loss_curve_", "Objective"),
        ("validation", "validation_scores_", "Score of hidden entries"),
    ],
)
@pytest.mark.parametrize("x", ["iterations", "seconds"])
def test_it_draws_what_the_estimator_holds(model, x, y, attribute, label):
    display = LossCurveDisplay.from_estimator(model, x=x, y=y)
    expected_x = {
        "iterations": np.arange(1, model.n_iter_ + 1),
        "seconds": model.loss_curve_seconds_,
    }[x]
    np.testing.assert_array_equal(display.line_.get_xdata(), expected_x)
    np.testing.assert_array_equal(display.line_.get_ydata(), getattr(model, attribute))
    assert display.ax_.get_xlabel() == {"iterations": "Iteration", "seconds": "Seconds"}[x]
    assert display.ax_.get_ylabel() == label
    assert display.ax_.get_yscale() == "linear"
    assert display.figure_ is display.ax_.figure
    [text] = display.ax_.get_legend().get_texts()
    assert text.get_text() == "MatrixFactorization"


@pytest.mark.usefixtures("plt")
@pytest.mark.parametrize("y", ["objective", "validation"])
def test_a_ring_marks_the_iteration_that_was_kept(holed, y):
    model = MatrixFactorization(
        8, solver="gd", alpha_W=1e-4, early_stopping=True, max_iter=300, random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), model).fit(holed)
    scores = pipeline[-1].validation_scores_
    display = LossCurveDisplay.from_estimator(pipeline, y=y)
    [x] = display.best_.get_xdata()
    assert scores[x - 1] == max(scores)
    assert display.best_.get_ydata()[0] == display.y_values[x - 1]


@pytest.mark.usefixtures("plt")
def test_without_early_stopping_nothing_is_marked(holed):
    assert LossCurveDisplay.from_estimator(MatrixFactorization(2).fit(holed)).best_ is None


def test_seconds_are_those_since_the_start_of_the_solver(model):
    seconds = model.loss_curve_seconds_
    assert len(seconds) == len(model.loss_curve_) == model.n_iter_
    assert (np.diff([0, *seconds]) > 0).all()
    assert all(type(second) is float for second in seconds)


def test_several_estimators_share_an_axis(plt, model, holed):
    other = MatrixFactorization(3, solver="gd", max_iter=500, random_state=0).fit(holed)
    display = LossCurveDisplay.from_estimator(model, name="als", yscale="log")
    second = LossCurveDisplay.from_estimator(
        other, name="gd", yscale="log", ax=display.ax_, curve_kwargs={"color": "red"}
    )
    assert second.ax_ is display.ax_
    assert display.ax_.lines[:] == [display.line_, display.best_, second.line_]
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["als", "gd"]
    assert second.line_.get_color() == "red"
    assert display.ax_.get_yscale() == "log"
    assert len(plt.get_fignums()) == 1


@pytest.mark.usefixtures("plt")
def test_plot_draws_again_under_another_name(model):
    display = LossCurveDisplay.from_estimator(model, name="first")
    before = display.ax_
    assert display.plot(name="second") is display
    assert display.ax_ is not before
    assert display.line_.get_label() == "second"
    unnamed = LossCurveDisplay(x_values=[1, 2], y_values=[3.0, 2.0]).plot()
    assert unnamed.ax_.get_legend() is None


@pytest.mark.usefixtures("plt")
def test_a_single_iteration_is_a_visible_point(complete):
    display = LossCurveDisplay.from_estimator(MatrixFactorization(2, solver="svd").fit(complete))
    assert len(display.line_.get_xdata()) == 1
    assert display.line_.get_marker() == "o"


@pytest.mark.usefixtures("plt")
def test_what_cannot_be_drawn_is_refused_by_name(holed, complete):
    model = MatrixFactorization(2)
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(model)
    model.fit(holed)
    with pytest.raises(ValueError, match=r"y='validation' needs .*early_stopping=True"):
        LossCurveDisplay.from_estimator(model, y="validation")
    with pytest.raises(ValueError, match="x='hours' is unknown"):
        LossCurveDisplay.from_estimator(model, x="hours")
    with pytest.raises(ValueError, match="y='objective' needs loss_curve_, which this PCA"):
        LossCurveDisplay.from_estimator(PCA(2).fit(complete))


def test_matplotlib_is_imported_only_to_draw(model, monkeypatch):
    code = "import sys, sklearn_mf.plotting; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"LossCurveDisplay\.from_estimator requires matplotlib"):
        LossCurveDisplay.from_estimator(model)
