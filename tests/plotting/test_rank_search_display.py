"""Errors of hidden entries against the rank, as a Display of scikit-learn would show them."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.plotting import RankSearchDisplay

SEARCH = RankSearchCV(MatrixFactorization(alpha_W=0.01), [1, 3, 4], cv=4, random_state=0)


@pytest.mark.usefixtures("plt")
def test_it_draws_what_the_search_found(holed):
    search = SEARCH.fit(holed)
    display = RankSearchDisplay.from_estimator(search, yscale="log")
    line, _, (bars,) = display.errorbar_.lines
    splits = np.array([search.cv_results_[f"split{number}_test_score"] for number in range(4)])
    means, errors = -splits.mean(axis=0), splits.std(axis=0, ddof=1) / 2
    np.testing.assert_array_equal(line.get_xdata(), [1, 3, 4])
    np.testing.assert_allclose(line.get_ydata(), means)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([means - errors, means + errors]))
    assert set(display.chosen_.get_xdata()) == {search.best_rank_}
    assert display.ax_.get_yscale() == "log"
    [text] = display.ax_.get_legend().get_texts()
    assert text.get_text() == f"chosen: {search.best_rank_}"


def test_it_draws_on_axes_that_are_given(plt):
    _, ax = plt.subplots()
    display = RankSearchDisplay(ranks=[1, 2], errors=[2, 1], standard_errors=[0, 0], best_rank=2)
    assert display.plot(ax).ax_ is ax
    assert display.figure_ is ax.figure


@pytest.mark.usefixtures("plt")
def test_a_search_must_be_fitted():
    with pytest.raises(NotFittedError):
        RankSearchDisplay.from_estimator(RankSearchCV(MatrixFactorization(), [1]))
