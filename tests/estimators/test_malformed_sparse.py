"""Malformed sparse matrices are refused by name, before anything follows their indices.

A matrix whose indices lie outside may end the process, so each kind of corruption is also
tried in one of its own.
"""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import above_kernels
from scipy import sparse

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    non_negative_factorization,
)
from sklearn_mf.components import (
    align_components,
    canonical_form,
    component_stability,
    subspace_stability,
)
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryShuffleSplit,
    EntryTimeSeriesSplit,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
    hide_entries,
    observed_entries,
    train_test_entry_split,
)
from sklearn_mf.utils._sparse import sound_csr

SHAPE = 12, 8
KINDS = "array", "matrix"


def values(seed=0):
    """Half zeros; no row and no column is empty."""
    rng = np.random.default_rng(seed)
    X = 1 + rng.random((SHAPE[0], 2)) @ rng.random((2, SHAPE[1]))
    kept = rng.random(SHAPE) < 0.6
    kept[np.arange(SHAPE[0]), np.arange(SHAPE[0]) % SHAPE[1]] = True
    return X * kept


def sound(form, kind="array"):
    cls = getattr(sparse, f"{form}_{kind}")
    if form == "bsr":
        return cls(values(), blocksize=(3, 2))
    return cls(values())


# What may be wrong with a matrix, by format: functions that spoil one that is sound.


def with_at(part, place, value):
    def spoil(X):
        array = getattr(X, part).copy()
        array[place] = value
        setattr(X, part, array)

    spoil.__name__ = f"{part}[{place}]={value}"
    return spoil


def with_part(part, change):
    def spoil(X):
        setattr(X, part, change(getattr(X, part)))

    spoil.__name__ = f"{part} {change.__name__}"
    return spoil


def cut(array):
    return array[:-1].copy()


def longer(array):
    return np.concatenate([array, array[-1:]])


def as_floats(array):
    return array.astype(float)


def two_dimensional(array):
    return array[:, None]


COMPRESSED = [
    *(with_at("indices", place, value) for place in (0, 7, -1) for value in (-1, 10**6, 2**31 - 1)),
    with_at("indices", 3, "size"),
    with_at("indptr", 0, 1),
    with_at("indptr", 0, -1),
    with_at("indptr", 2, 0),
    with_at("indptr", 2, 10**6),
    with_at("indptr", 2, -5),
    with_at("indptr", -1, 10**6),
    with_at("indptr", -1, -1),
    with_part("indptr", cut),
    with_part("indptr", longer),
    with_part("indptr", as_floats),
    with_part("indices", cut),
    with_part("indices", longer),
    with_part("indices", as_floats),
    with_part("indices", two_dimensional),
    with_part("data", cut),
    with_part("data", longer),
]


def with_coordinate(axis, place, value):
    def spoil(X):
        part = ("row", "col")[axis]
        indices = getattr(X, part).copy()
        indices[place] = value
        setattr(X, part, indices)

    spoil.__name__ = f"axis {axis} [{place}]={value}"
    return spoil


def with_list(part, change):
    def spoil(X):
        change(getattr(X, part)[3])

    spoil.__name__ = f"{part} {change.__name__}"
    return spoil


def one_outside(row):
    row[-1] = SHAPE[1]


def one_negative(row):
    row[0] = -1


def one_more(row):
    row.append(row[-1])


def with_key(key):
    def spoil(X):
        dict_of(X)[key] = 1.0

    spoil.__name__ = f"key {key}"
    return spoil


def dict_of(X):
    return X._dict if hasattr(X, "_dict") else X


SPOILED = {
    "csr": COMPRESSED,
    "csc": COMPRESSED,
    "bsr": COMPRESSED,
    "coo": [
        *(
            with_coordinate(axis, place, value)
            for axis in (0, 1)
            for place in (0, -1)
            for value in (-1, 12, 10**6)
        ),
        with_part("data", cut),
        with_part("data", longer),
    ],
    "dia": [
        with_at("offsets", 0, 10**6),
        with_at("offsets", 0, -(10**6)),
        with_at("offsets", -1, 2**31 - 1),
        with_part("offsets", cut),
        with_part("offsets", as_floats),
        with_part("data", cut),
    ],
    "lil": [
        with_list("rows", one_outside),
        with_list("rows", one_negative),
        with_list("rows", one_more),
        with_list("data", one_more),
        with_part("rows", cut),
    ],
    "dok": [with_key((12, 0)), with_key((0, 8)), with_key((-1, 0)), with_key((10**6, 10**6))],
}
CASES = [
    pytest.param(form, kind, spoil, id=f"{form}_{kind} {spoil.__name__}")
    for form, spoils in SPOILED.items()
    for spoil in spoils
    for kind in KINDS
]


def spoiled(form, kind, spoil):
    X = sound(form, kind)
    spoil(X)
    return X


def quick(**parameters):
    defaults = {"n_components": 2, "alpha_W": 0.1, "max_iter": 3, "tol": 0, "random_state": 0}
    return MatrixFactorization(**defaults | {"unstored": "missing"} | parameters)


def positive(cls=NMF, **parameters):
    return cls(**{"n_components": 2, "max_iter": 3, "tol": 0, "init": "random"} | parameters)


def fitted(estimator=None):
    return (estimator or quick()).fit(sound("csr"))


def drained(iterator):
    return list(iterator)


METHODS = {
    "fit": ("X", lambda X: quick().fit(X)),
    "fit of zeros": ("X", lambda X: quick(unstored="zero").fit(X)),
    "fit, svd": ("X", lambda X: quick(unstored="zero", solver="svd", alpha_W=0).fit(X)),
    "fit, huber": ("X", lambda X: quick(loss="huber").fit(X)),
    "fit, mark": ("X", lambda X: quick(missing_values=-1).fit(X)),
    "fit, warm": ("X", lambda X: fitted(quick(warm_start=True)).fit(X)),
    "fit, early stopping": ("X", lambda X: quick(early_stopping=True).fit(X)),
    "fit, auto": ("X", lambda X: quick(n_components="auto").fit(X)),
    "fit_transform": ("X", lambda X: quick().fit_transform(X)),
    "partial_fit": ("X", lambda X: quick().partial_fit(X)),
    "second partial_fit": ("X", lambda X: fitted().partial_fit(X)),
    "transform": ("X", lambda X: fitted().transform(X)),
    "score": ("X", lambda X: fitted().score(X)),
    "predict_entries": ("X", lambda X: fitted().predict_entries(X, [0], [0])),
    "predict_entries, std": (
        "X",
        lambda X: fitted().predict_entries(X, [0], [0], return_std=True),
    ),
    "transform_columns": (
        "X",
        lambda X: fitted().transform_columns(X, np.ones((SHAPE[0], 2))),
    ),
    "inverse_transform": ("X", lambda X: fitted().inverse_transform(X)),
    "recommend": ("X", lambda X: fitted().recommend(X, n=2)),
    "recommend, items": ("items", lambda X: fitted().recommend(sound("csr"), n=2, items=X)),
    "recommend, exclude": ("exclude", lambda X: fitted().recommend(sound("csr"), n=2, exclude=X)),
    "iter_recommend": ("X", lambda X: list(fitted().iter_recommend(X, n=2))),
    "similar_samples": ("X", lambda X: fitted().similar_samples(X, n=2)),
    "explain": ("X", lambda X: fitted().explain(X, 0, n=2)),
    "codes": ("W", lambda X: fitted().transform_columns(sound("csr"), X)),
    "init": ("init", lambda X: quick(init=lambda *_: X).fit(sound("csr"))),
    "entry_weight of fit": (
        "entry_weight",
        lambda X: quick().fit(sound("csr"), entry_weight=X),
    ),
    "entry_weight of fit, zeros": (
        "entry_weight",
        lambda X: quick(unstored="zero").fit(sound("csr"), entry_weight=X),
    ),
    "entry_weight of fit, dense": (
        "entry_weight",
        lambda X: quick().fit(values(), entry_weight=X),
    ),
    "entry_weight of fit_transform": (
        "entry_weight",
        lambda X: quick().fit_transform(sound("csr"), entry_weight=X),
    ),
    "entry_weight of partial_fit": (
        "entry_weight",
        lambda X: quick().partial_fit(sound("csr"), entry_weight=X),
    ),
    "entry_weight of transform": (
        "entry_weight",
        lambda X: fitted().transform(sound("csr"), entry_weight=X),
    ),
    "entry_weight of score": (
        "entry_weight",
        lambda X: fitted().score(sound("csr"), entry_weight=X),
    ),
    "entry_weight of transform_columns": (
        "entry_weight",
        lambda X: fitted().transform_columns(sound("csr"), np.ones((SHAPE[0], 2)), entry_weight=X),
    ),
    "sample_weight": (
        "sample_weight",
        lambda X: quick().fit(sound("csr"), sample_weight=X),
    ),
    "imputer": ("X", lambda X: FactorizationImputer().fit(X)),
    "canonical_form": ("H", lambda X: canonical_form(np.ones((20, SHAPE[0])), X)),
    "align_components": ("a", lambda X: align_components(X, values())),
    "bi_cross_val_score": ("X", lambda X: bi_cross_val_score(quick(), X)),
    "NMF, W": (
        "W",
        lambda X: positive(init="custom").fit(sound("csr"), W=X, H=np.ones((2, SHAPE[1]))),
    ),
    "NMF": ("X", lambda X: positive().fit(X)),
    "NMF, missing": ("X", lambda X: positive(unstored="missing", solver="mu").fit(X)),
    "NMF.transform": ("X", lambda X: fitted(positive()).transform(X)),
    "NMF, entry_weight": (
        "entry_weight",
        lambda X: positive().fit(sound("csr"), entry_weight=X),
    ),
    "MiniBatchNMF": ("X", lambda X: positive(MiniBatchNMF).fit(X)),
    "MiniBatchNMF.partial_fit": ("X", lambda X: positive(MiniBatchNMF).partial_fit(X)),
    "non_negative_factorization": (
        "X",
        lambda X: non_negative_factorization(X, n_components=2, max_iter=3, tol=0, init="random"),
    ),
    "non_negative_factorization, H": (
        "X",
        lambda X: non_negative_factorization(X, H=np.ones((2, SHAPE[1])), update_H=False),
    ),
    "RankSearchCV": ("X", lambda X: RankSearchCV(quick(), [1, 2], cv=2).fit(X)),
    "RankSearchCV.transform": (
        "X",
        lambda X: RankSearchCV(quick(), [1], cv=2).fit(sound("csr")).transform(X),
    ),
    "entry_weight of RankSearchCV": (
        "entry_weight",
        lambda X: RankSearchCV(quick(), [1, 2], cv=2).fit(sound("csr"), entry_weight=X),
    ),
    "RankSearchCV of zeros": (
        "X",
        lambda X: RankSearchCV(quick(unstored="zero"), [1, 2], cv=2).fit(X),
    ),
    "observed_entries": ("X", observed_entries),
    "hide_entries": ("X", lambda X: hide_entries(X, [0])),
    "train_test_entry_split": ("X", train_test_entry_split),
    "EntryKFold": ("X", lambda X: drained(EntryKFold(2).split(X))),
    "EntryShuffleSplit": ("X", lambda X: drained(EntryShuffleSplit(2).split(X))),
    "groups": (
        "groups",
        lambda X: drained(EntryTimeSeriesSplit(2).split(sound("csr"), groups=X)),
    ),
    "MaskedEntryScorer": ("X", lambda X: MaskedEntryScorer()(fitted(), X)),
    "EntryHoldout": ("X", lambda X: EntryHoldout(quick()).fit(X)),
    "EntryHoldout.score": ("X", lambda X: EntryHoldout(quick()).fit(sound("csr")).score(X)),
    "EntryHoldout.transform": ("X", lambda X: EntryHoldout(quick()).fit(sound("csr")).transform(X)),
    "cross_val_entries": ("X", lambda X: cross_val_entries(quick(), X, cv=2)),
    "cross_val_entries, splits": (
        "X",
        lambda X: cross_val_entries(quick(), X, cv=[(np.arange(20), np.arange(20, 30))]),
    ),
    "component_stability": ("X", lambda X: component_stability(quick(), X, cv=2)),
    "subspace_stability": ("X", lambda X: subspace_stability(quick(), X, cv=2)),
}
# One of each kind; all kinds are tried with two methods, and these with all methods.
SOME = [
    ("csr", with_at("indices", 3, 10**6)),
    ("csr", with_at("indices", 0, -1)),
    ("csr", with_at("indptr", 2, 10**6)),
    ("csr", with_at("indptr", -1, 10**6)),
    ("csr", with_part("data", cut)),
    ("csc", with_at("indices", -1, 10**6)),
    ("csc", with_at("indptr", 4, -5)),
    ("bsr", with_at("indices", 0, 10**6)),
    ("coo", with_coordinate(1, 0, 10**6)),
    ("lil", with_list("rows", one_outside)),
    ("dok", with_key((10**6, 10**6))),
    ("dia", with_at("offsets", 0, 10**6)),
]


def resolved(spoil, form):
    """The first index that lies outside depends on the format."""
    if not spoil.__name__.endswith("=size"):
        return spoil
    size = {"csr": SHAPE[1], "csc": SHAPE[0], "bsr": SHAPE[1] // 2}[form]
    return with_at("indices", 3, size)


@pytest.mark.parametrize(("form", "kind", "spoil"), CASES)
@pytest.mark.parametrize("name", ["X", "entry_weight"])
def test_every_corruption_of_every_format_is_refused(name, form, kind, spoil):
    X = spoiled(form, kind, resolved(spoil, form))
    with pytest.raises(ValueError, match=rf"{name} is malformed: .*create it again"):
        sound_csr(X, name)
    call = METHODS["fit" if name == "X" else "entry_weight of transform"][1]
    with pytest.raises(ValueError, match=f"{name} is malformed"):
        call(X)


@above_kernels
@pytest.mark.parametrize("method", METHODS)
def test_every_method_refuses_malformed_matrices_by_name(method):
    name, call = METHODS[method]
    for form, spoil in SOME:
        with pytest.raises(ValueError, match=f"{name}.* is malformed"):
            call(spoiled(form, "array", spoil))


# Codes, and starts, are dense; of others each format is taken.
DENSE = {
    "NMF, W",
    "align_components",
    "bi_cross_val_score",
    "canonical_form",
    "codes",
    "init",
    "inverse_transform",
    "sample_weight",
}


@above_kernels
@pytest.mark.parametrize("method", sorted(set(METHODS) - DENSE))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_method_takes_sound_matrices(method):
    for form in SPOILED:
        METHODS[method][1](sound(form))


@pytest.mark.parametrize("method", sorted(DENSE))
def test_where_numbers_must_be_dense_sound_matrices_are_refused(method):
    name = METHODS[method][0]
    with pytest.raises(TypeError, match=f"Sparse data was passed for .*{name}.*, but dense"):
        METHODS[method][1](sound("csc"))


def test_the_place_is_named():
    X = sound("csr")
    X.indices[X.indptr[3] + 1] = 8
    with pytest.raises(ValueError, match=r"indices\[\d+\]=8 in row 3 is not in \[0, 8\)"):
        quick().fit(X)
    X = sound("csc")
    X.indices[X.indptr[3] + 1] = -2
    with pytest.raises(
        ValueError, match=r"=-2 in column 3 is not in \[0, 12\), the range of the rows"
    ):
        quick().fit(X)
    X = sound("csr")
    X.indptr[5] = X.indptr[4] - 1
    with pytest.raises(ValueError, match=r"indptr decreases from \d+ to \d+ at row 4"):
        quick().fit(X)


def test_a_refused_matrix_leaves_a_fit_as_it_was():
    estimator = fitted()
    before = dict(vars(estimator))
    X = sound("csr")
    X.indices[0] = 99
    with pytest.raises(ValueError, match="malformed"):
        estimator.fit(X)
    assert vars(estimator) == before


def unsorted(X):
    for i in range(len(X.indptr) - 1):
        entries = slice(X.indptr[i], X.indptr[i + 1])
        X.indices[entries], X.data[entries] = X.indices[entries][::-1], X.data[entries][::-1]
    return X


def with_duplicates(X):
    """The first entry of each row, or column, in two halves."""
    data, indices, indptr = [], [], [0]
    for i in range(len(X.indptr) - 1):
        entries = slice(X.indptr[i], X.indptr[i + 1])
        part = X.data[entries].copy()
        part[0] /= 2
        data += [*part, part[0]]
        indices += [*X.indices[entries], X.indices[entries][0]]
        indptr.append(len(data))
    return type(X)((np.array(data), np.array(indices), np.array(indptr)), shape=X.shape)


def with_excess(X):
    X.data = np.concatenate([X.data, [np.nan, np.inf]])
    X.indices = np.concatenate([X.indices, [99, -99]]).astype(X.indices.dtype)
    return X


def with_wide_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def with_two_widths(X):
    X.indices = X.indices.astype(np.int64)
    return X


def with_small_indices(X):
    X.indices, X.indptr = X.indices.astype(np.uint8), X.indptr.astype(np.uint16)
    return X


def with_false_flags(X):
    X = with_duplicates(unsorted(X))
    X.has_sorted_indices = X.has_canonical_format = True
    return X


def read_only(X):
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


UNUSUAL = [
    unsorted,
    with_duplicates,
    with_excess,
    with_wide_indices,
    with_two_widths,
    with_small_indices,
    with_false_flags,
    read_only,
]


@pytest.mark.parametrize("change", UNUSUAL)
@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("kind", KINDS)
def test_sound_matrices_stay_accepted_however_unusual(form, kind, change):
    X = change(sound(form, kind))
    before = [array.copy() for array in (X.data, X.indices, X.indptr)]
    expected = quick().fit(values_with_holes())
    actual = quick().fit(X)
    np.testing.assert_allclose(actual.components_, expected.components_, rtol=1e-6)
    codes = expected.transform(values_with_holes())
    np.testing.assert_allclose(actual.transform(X), codes, rtol=1e-6, atol=1e-9)
    weighted = quick(unstored="zero").fit(values(), entry_weight=X)
    dense = quick(unstored="zero").fit(values(), entry_weight=values())
    np.testing.assert_allclose(weighted.components_, dense.components_, rtol=1e-6)
    rows, columns, observed = observed_entries(X)
    np.testing.assert_array_equal((rows, columns), np.nonzero(values()))
    np.testing.assert_allclose(observed, values()[rows, columns])
    for array, copy in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def values_with_holes():
    return np.where(values() == 0, np.nan, values())


@pytest.mark.parametrize("form", ["csr", "csc", "lil", "dok", "coo"])
def test_rows_without_entries_stay_accepted(form):
    X = values()
    X[[0, 5, 11]] = 0
    with pytest.warns(UserWarning, match="3 of 12 samples have no observed entry"):
        quick().fit(getattr(sparse, f"{form}_array")(X))


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_that_fill_up_blocks_are_not_stored(kind):
    X = sound("bsr", kind)
    assert X.nnz > np.count_nonzero(values())
    actual = quick().fit(X)
    expected = quick().fit(sound("csr", kind))
    np.testing.assert_allclose(actual.components_, expected.components_, rtol=1e-8)
    assert actual.reconstruction_err_ == pytest.approx(expected.reconstruction_err_)
    assert len(observed_entries(X)[0]) == np.count_nonzero(values())


# What ended the process before, each in a process that may end.
CRASHES = """
import warnings
import numpy as np
from scipy import sparse
from sklearn_mf import MatrixFactorization

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
sound = sparse.random(300, 200, 0.2, "csr", float, rng)
model = MatrixFactorization(2, max_iter=1, tol=0, unstored="missing", alpha_W=1)
fitted = MatrixFactorization(2, max_iter=1, tol=0, unstored="missing", alpha_W=1).fit(sound)
n_refused = n_tried = 0
for trial in range({trials}):
    form = ("csr", "csc")[trial % 2]
    X = sparse.random(300, 200, 0.2, form, float, rng)
    part = (X.indices, X.indptr)[rng.integers(2)]
    old = part.copy()
    chosen = rng.integers(len(part), size=rng.integers(1, 4))
    part[chosen] = rng.choice([-(2**31), -1, 10**5, 10**8, 2**31 - 1], len(chosen))
    if not trial % 10:
        X.data = X.data[: rng.integers(len(X.data))]
    calls = (
        lambda: model.fit(X),
        lambda: model.partial_fit(X),
        lambda: fitted.transform(X),
        lambda: model.fit(sound, entry_weight=X),
    )
    n_tried += 1
    try:
        calls[trial % 4]()
    except ValueError as error:
        n_refused += "is malformed" in str(error)
print(n_tried, n_refused)
"""


@above_kernels
def test_random_corruptions_end_no_process():
    trials = 300
    program = textwrap.dedent(CRASHES.format(trials=trials))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [str(trials), str(trials)]
