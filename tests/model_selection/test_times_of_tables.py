"""Times of entries that come from long tables, whatever their order, and from sparse matrices."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_mf.model_selection import EntryLeaveLastOut, EntryTimeSeriesSplit, EntryTimeSplit
from sklearn_mf.recommending import pivot_entries

PAGE = Path(__file__).parents[2] / "doc" / "recommending.md"


@pytest.mark.skipif(not PAGE.exists(), reason="needs the documentation")
def test_the_recipe_for_times_trains_on_nothing_late():
    """Whatever the order of the table: an entry that was repeated later sums the future, too."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(20, size=600), rng.integers(10, size=600)
    frame = pd.DataFrame({"user": users, "item": items, "day": rng.integers(90, size=600)})
    recipe = re.search(r"`(pivot_entries\(frame, .*?\))`", PAGE.read_text(encoding="utf-8"))[1]
    times = eval(recipe)
    latest = frame.pivot_table(index="user", columns="item", values="day", aggfunc="max")
    np.testing.assert_array_equal(times.X.toarray(), latest.fillna(0))
    X = pivot_entries(frame, rows="user", columns="item")
    [(train, _)] = EntryTimeSplit(cut=80).split(X, groups=times)
    rows, columns = X.X.nonzero()
    early = set(zip(rows[train], columns[train], strict=True))
    late = frame[frame["day"] >= 80]
    assert early and not early & set(zip(late["user"], late["item"], strict=True))
