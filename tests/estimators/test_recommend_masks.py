"""What may be recommended: masks with labels, masks of nothing, and what nothing is left by."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mf import NMF
from sklearn_mf.recommending import pivot_entries

NAMES = {"rows": "who", "columns": "what"}


def sales(n=300):
    rng = np.random.default_rng(0)
    who, what = rng.integers(20, size=n), rng.integers(12, size=n)
    return pd.DataFrame({"who": who, "what": [f"p{j:02}" for j in what]})


@pytest.fixture
def data():
    return pivot_entries(sales(), **NAMES)


@pytest.fixture
def model(data):
    return NMF(2, init="nndsvda", max_iter=2000).fit(data)


def labeled_mask(data, **changes):
    known = {"row_labels": data.row_labels, "column_labels": data.column_labels} | changes
    return pivot_entries(sales(60)[:60], **NAMES, **known, unknown="drop")


@pytest.mark.parametrize("parameter", ["items", "exclude"])
def test_a_mask_may_have_labels(parameter, data, model):
    mask = labeled_mask(data)
    for seen in (True, False):
        found = model.recommend(data, n=4, exclude_seen=seen, **{parameter: mask})
        plain = {parameter: mask.X.toarray() > 0}
        expected = model.recommend(data, n=4, exclude_seen=seen, **plain)
        for part, same in zip(found, expected, strict=True):
            np.testing.assert_array_equal(part, same)
    batches = list(model.iter_recommend(data, n=4, exclude_seen=False, **{parameter: mask}))
    np.testing.assert_array_equal(batches[0][1], found[0])


@pytest.mark.parametrize("parameter", ["items", "exclude"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda data: {"column_labels": data.column_labels[::-1]}, "columns .* another order"),
        (lambda data: {"column_labels": [*data.column_labels[:-1], "ale"]}, "such as 'ale'"),
        (lambda data: {"row_labels": data.row_labels[::-1]}, "has other rows than X"),
    ],
)
def test_a_mask_of_other_labels_is_refused(changes, message, parameter, data, model):
    mask = labeled_mask(data, **changes(data))
    with pytest.raises(
        ValueError, match=f"{parameter} has (other|different) .*{message}|{parameter} {message}"
    ):
        model.recommend(data, **{parameter: mask})


def test_labels_are_not_compared_where_fit_had_none(data):
    model = NMF(2, init="nndsvda", max_iter=2000).fit(data.X)
    mask = labeled_mask(data, column_labels=data.column_labels[::-1])
    found = model.recommend(data.X, exclude=mask, return_scores=False)
    expected = model.recommend(data.X, exclude=mask.X, return_scores=False)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda model, X: model.recommend(X, items=[False] * 12),
            "items is a mask without a True value",
        ),
        (
            lambda model, X: model.similar_features([False] * 12),
            "columns is a mask without a True value",
        ),
        (
            lambda model, X: model.rerank_mmr(np.empty((0, 5), dtype=int), np.empty((0, 5))),
            r"items has shape \(0, 5\)",
        ),
        (
            lambda model, X: model.rerank_mmr(np.empty((5, 0), dtype=int), np.empty((5, 0))),
            r"items has shape \(5, 0\)",
        ),
        (lambda model, X: model.recommend(X, exclude_seen="no"), "True or False, got 'no'"),
        (lambda model, X: model.iter_recommend(X, exclude_seen=None), "True or False, got None"),
        (lambda model, X: model.recommend(X, exclude_seen=0), "True or False, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message, data, model):
    with pytest.raises((ValueError, TypeError), match=message):
        call(model, data)
    assert model.recommend(data, exclude_seen=np.bool_(False))[0].shape == (20, 10)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_nothing_is_left_by_what_leaves_it_out(exclude_seen, data, model):
    """The warning blames X for nothing that it has not done."""
    everything = np.ones(data.shape, dtype=bool)
    with pytest.warns(UserWarning, match="left out by exclude") as record:
        items = model.recommend(
            data, exclude=everything, exclude_seen=exclude_seen, return_scores=False
        )
    assert (items == -1).all()
    [message] = [str(warning.message) for warning in record]
    assert "X has" not in message
    assert ("exclude_seen" in message) == exclude_seen
    with pytest.warns(UserWarning, match="left out by items"):
        model.recommend(data, items=~everything, exclude_seen=exclude_seen)
    with pytest.warns(UserWarning, match="left out by exclude_seen.*exclude_seen=False"):
        model.recommend(pd.DataFrame(np.ones((3, 12)), columns=data.column_labels))
