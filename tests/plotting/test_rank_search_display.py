"""Errors of hidden entries against the rank, as a Display of scikit-learn would show them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.plotting import RankSearchDisplay

SEARCH = RankSearchCV(MatrixFactorization(alpha_W=0.01), [1, 3, 4], cv=4, random_state=0)


@pytest.mark.usefixtures("plt")
def test_it_draws_what_the_search_found(holed):
    search = SEARCH.fit(holed)
    display = RankSearchDisplay.from_estimator(search, yscale="log")
    [container] = display.errorbars_
    line, _, (bars,) = container.lines
    splits = np.array([search.cv_results_[f"split{number}_test_score"] for number in range(4)])
    means, errors = -splits.mean(axis=0), splits.std(axis=0, ddof=1) / 2
    np.testing.assert_array_equal(line.get_xdata(), [1, 3, 4])
    np.testing.assert_allclose(line.get_ydata(), means)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([means - errors, means + errors]))
    assert set(display.chosen_.get_xdata()) == {search.best_rank_}
    best = means.argmin()
    np.testing.assert_allclose(display.limit_.get_ydata(), means[best] + errors[best])
    assert display.ax_.get_yscale() == "log"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [f"chosen: {search.best_rank_}", "best and one standard error"]


@pytest.mark.usefixtures("plt")
def test_without_the_rule_there_is_no_line_of_one_standard_error(holed):
    search = RankSearchCV(**SEARCH.get_params(deep=False) | {"one_standard_error": False})
    assert RankSearchDisplay.from_estimator(search.fit(holed)).limit_ is None


@pytest.mark.usefixtures("plt")
def test_every_penalty_has_a_curve(holed):
    search = RankSearchCV(MatrixFactorization(), [1, 3], alphas=[0.01, 0.1], cv=3, random_state=0)
    display = RankSearchDisplay.from_estimator(search.fit(holed))
    results = search.cv_results_
    assert display.alphas == [0.01, 0.1]
    assert display.best_alpha == search.best_params_["alpha_W"]
    for alpha, container in zip(display.alphas, display.errorbars_, strict=True):
        shown = np.asarray(results["param_alpha_W"], dtype=float) == alpha
        np.testing.assert_array_equal(
            container.lines[0].get_ydata(), -results["mean_test_score"][shown]
        )
        is_best = alpha == display.best_alpha
        assert container.lines[0].get_linewidth() == (2.5 if is_best else 1)
        assert container.get_label() == f"alpha_W={alpha}"


@pytest.mark.usefixtures("plt")
def test_a_grid_search_over_a_step_of_a_pipeline_shows_scores(holed):
    pipeline = make_pipeline(StandardScaler(), MatrixFactorization(random_state=0))
    grid = {
        "matrixfactorization__n_components": [1, 3],
        "matrixfactorization__alpha_W": [0.1, "auto"],
        "standardscaler__with_mean": [True, False],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(holed)
    display = RankSearchDisplay.from_estimator(search)
    results = search.cv_results_
    mean = search.best_params_["standardscaler__with_mean"]
    for alpha, values in zip(display.alphas, display.values, strict=True):
        for rank, value in zip(display.ranks, values, strict=True):
            chosen = [
                p["matrixfactorization__n_components"] == rank
                and p["matrixfactorization__alpha_W"] == alpha
                and p["standardscaler__with_mean"] == mean
                for p in results["params"]
            ]
            assert value == results["mean_test_score"][np.argmax(chosen)]
    assert display.best_rank == search.best_params_["matrixfactorization__n_components"]
    assert display.ax_.get_ylabel() == "Mean score of the folds"
    assert display.limit_ is None


@pytest.mark.usefixtures("plt")
def test_a_search_at_the_end_of_a_pipeline_is_found(holed):
    pipeline = make_pipeline(StandardScaler(), SEARCH).fit(holed)
    assert RankSearchDisplay.from_estimator(pipeline).best_rank == pipeline[-1].best_rank_


def test_it_draws_on_axes_that_are_given(plt):
    _, ax = plt.subplots()
    display = RankSearchDisplay(ranks=[1, 2], values=[2, 1], standard_errors=[0, 0], best_rank=2)
    assert display.plot(ax).ax_ is ax
    assert display.figure_ is ax.figure
    assert display.ax_.get_ylabel() == "Mean squared error of hidden entries"


@pytest.mark.usefixtures("plt")
def test_a_search_must_be_fitted():
    with pytest.raises(NotFittedError):
        RankSearchDisplay.from_estimator(RankSearchCV(MatrixFactorization(), [1]))


@pytest.mark.usefixtures("plt")
def test_what_searched_no_ranks_is_refused(complete):
    with pytest.raises(ValueError, match=r"PCA has tried no numbers .*GridSearchCV"):
        RankSearchDisplay.from_estimator(PCA(2).fit(complete))
