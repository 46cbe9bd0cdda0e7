"""Where values are missing, as a Display of scikit-learn would show it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_mf.plotting import MissingPatternDisplay


@pytest.fixture
def table():
    X = np.random.default_rng(0).random((23, 4))
    return np.where(X < [0.1, 0.3, 0.5, -1], np.nan, X)


@pytest.mark.usefixtures("plt")
def test_every_row_has_a_band_where_there_are_few(table):
    display = MissingPatternDisplay.from_data(table)
    np.testing.assert_array_equal(display.image_.get_array(), np.isnan(table))
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["x0", "x1", "x2", "x3"]
    assert display.figure_ is display.ax_.figure


@pytest.mark.usefixtures("plt")
def test_bars_are_the_share_of_each_column_however_many_bands(table):
    for max_bands in (1, 5, 23, 200):
        display = MissingPatternDisplay.from_data(table, max_bands=max_bands)
        heights = [bar.get_height() for bar in display.bars_]
        np.testing.assert_allclose(heights, np.isnan(table).mean(axis=0))
        assert len(display.pattern) == min(max_bands, 23)


def test_it_draws_on_axes_and_names_of_a_frame(plt, table):
    _, ax = plt.subplots()
    frame = pd.DataFrame(table, columns=list("abcd"))
    display = MissingPatternDisplay.from_data(frame, ax=ax)
    assert display.ax_ is ax
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcd")


@pytest.mark.usefixtures("plt")
def test_marks_are_missing(table):
    marked = np.where(np.isnan(table), -99, table)
    display = MissingPatternDisplay.from_data(marked, missing_values=-99)
    np.testing.assert_array_equal(display.pattern, np.isnan(table))


@pytest.mark.usefixtures("plt")
def test_what_is_wrong_is_told(table):
    with pytest.raises(ValueError, match="max_bands == 0"):
        MissingPatternDisplay.from_data(table, max_bands=0)
    table[1, 2] = np.inf
    with pytest.raises(ValueError, match="row 1, column 2"):
        MissingPatternDisplay.from_data(table)
    with pytest.raises(TypeError, match=r"X is sparse.*X\.toarray\(\)"):
        MissingPatternDisplay.from_data(sparse.csr_array(np.eye(3)))
