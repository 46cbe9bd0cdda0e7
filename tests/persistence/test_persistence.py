"""Models saved as data: the same numbers afterwards, nothing executable, clear errors."""

import inspect
import io
import json
import pickle
import re
import zipfile
from functools import cache

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from scipy import sparse
from sklearn import config_context
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_mf
from sklearn_mf import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    load_model,
    save_model,
)
from sklearn_mf.losses import Huber, Poisson, Quantile
from sklearn_mf.model_selection import EntryKFold
from sklearn_mf.penalties import Ridge
from sklearn_mf.persistence import trusted_types
from sklearn_mf.solvers import Adam
from sklearn_mf.utils.discovery import all_estimators, all_losses, all_solvers

X = punch_holes(low_rank(40, 12, mean=1.0))
POSITIVE = np.abs(X)
CLICKS = sparse.csr_array(np.nan_to_num(np.floor(2 * POSITIVE)))


def again(model):
    """The model, saved and loaded."""
    file = io.BytesIO()
    save_model(model, file)
    return load_model(file)


def holed_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:, :4], columns=["c0", "c1", "c2", "c3"])
    whole = (frame["c0"] * 3).round().astype("Int64")
    return frame.assign(c0=whole, c1=frame["c1"].fillna(1) > 0)


MODELS = {
    "plain": lambda: MatrixFactorization(3, random_state=0).fit(X),
    "both biases, whitened": lambda: MatrixFactorization(2, bias="both", whiten=True).fit(X),
    "single precision": lambda: MatrixFactorization(2, alpha_W=0.1).fit(X.astype(np.float32)),
    "large unit": lambda: MatrixFactorization(2, alpha_W=0.1, bias="features").fit(1e5 * X),
    "losses of columns": lambda: MatrixFactorization(
        2, loss=[("squared", slice(0, 4)), (Huber(2.0), slice(4, None))]
    ).fit(X),
    "poisson": lambda: MatrixFactorization(2, loss=Poisson(), alpha_W=0.1).fit(np.floor(POSITIVE)),
    "quantile": lambda: MatrixFactorization(2, loss=Quantile(0.7), alpha_W=0.1).fit(X),
    "solver object": lambda: MatrixFactorization(
        2, solver=Adam(), init=np.ones((2, 12)), alpha_W=0.1, max_iter=5, tol=0, random_state=0
    ).fit(X),
    "early stopping": lambda: MatrixFactorization(2, early_stopping=True, random_state=0).fit(X),
    "a stream": lambda: MatrixFactorization(2, alpha_W=0.1).partial_fit(X),
    "random state": lambda: MatrixFactorization(
        2, alpha_W=0.1, random_state=np.random.RandomState(0)
    ).fit(X),
    "nmf": lambda: NMF(2).fit(POSITIVE),
    "minibatch": lambda: MiniBatchNMF(2, random_state=0).fit(POSITIVE),
    "minibatch stream": lambda: MiniBatchNMF(2, random_state=0).partial_fit(POSITIVE),
    "implicit": lambda: ImplicitFactorization(4, random_state=0).fit(CLICKS),
    "penalty objects": lambda: MatrixFactorization(
        2, alpha_W=0.1, penalty={"H": Ridge(0.2)}, random_state=0
    ).fit(X),
    "search": lambda: RankSearchCV(
        MatrixFactorization(), range(1, 4), cv=EntryKFold(2, random_state=0), random_state=0
    ).fit(X),
}


@cache
def fitted(name):
    return MODELS[name]()


@pytest.fixture(params=MODELS)
def model(request):
    return fitted(request.param)


def test_every_estimator_is_among_them():
    """Those that are fitted to X; the imputer has tests of its own."""
    found = {type(fitted(name)) for name in MODELS} | {FactorizationImputer}
    assert found >= {cls for _, cls in all_estimators()}


def data_for(model):
    if isinstance(model, NMF | MiniBatchNMF) or isinstance(getattr(model, "loss", None), Poisson):
        return np.floor(POSITIVE)
    if isinstance(model, ImplicitFactorization):
        return CLICKS
    return X.astype(getattr(model, "components_", X).dtype)


class TestTheSameModel:
    def test_codes_and_entries(self, model):
        data, loaded = data_for(model), again(model)
        codes = model.transform(data)
        np.testing.assert_array_equal(loaded.transform(data), codes)
        assert loaded.transform(data).dtype == codes.dtype
        np.testing.assert_array_equal(
            loaded.inverse_transform(codes), model.inverse_transform(codes)
        )
        cells = [0, 3, 3], [1, 0, 11]
        np.testing.assert_array_equal(
            loaded.predict_entries(data, *cells), model.predict_entries(data, *cells)
        )

    def test_parameters_and_attributes(self, model):
        loaded = again(model)
        assert vars(loaded).keys() == vars(model).keys()
        assert re.sub("0x.*", "", repr(loaded)) == re.sub("0x.*", "", repr(model))
        file = io.BytesIO()
        assert not isinstance(model, MatrixFactorization) or type(loaded.loss_) is type(model.loss_)
        save_model(loaded, file)
        assert type(load_model(file)) is type(model)

    def test_fits_go_on_alike(self, model):
        if not hasattr(model, "partial_fit"):
            pytest.skip("has no partial_fit")
        data, loaded = data_for(model), again(model)
        model = pickle.loads(pickle.dumps(model))
        try:
            model.partial_fit(data[:9])
        except ValueError as error:  # losses that streams do not know
            with pytest.raises(ValueError, match=str(error)[:20]):
                loaded.partial_fit(data[:9])
            return
        loaded.partial_fit(data[:9])
        np.testing.assert_array_equal(loaded.components_, model.components_)


def test_searches_keep_their_results():
    search = fitted("search")
    loaded = again(search)
    assert loaded.cv_results_.keys() == search.cv_results_.keys()
    for name, values in search.cv_results_.items():
        if name != "params":
            assert type(loaded.cv_results_[name]) is type(values)
            np.testing.assert_array_equal(loaded.cv_results_[name], values)
    assert loaded.cv_results_["params"] == search.cv_results_["params"]


def test_standard_deviations():
    model = fitted("plain")
    found = [m.predict_entries(X, [0, 1], [2, 3], return_std=True) for m in (model, again(model))]
    np.testing.assert_array_equal(*found)


def test_sparse_codes():
    model = MatrixFactorization(2, unstored="missing", alpha_W=0.1).fit(store_observed(X))
    np.testing.assert_array_equal(
        again(model).transform(store_observed(X)), model.transform(store_observed(X))
    )


@pytest.mark.parametrize("estimator", [None, MatrixFactorization(2)], ids=["own", "given"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_imputers(estimator, library):
    frame = holed_frame()
    if library == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
    imputer = FactorizationImputer(
        estimator, min_value={"c0": -2}, round_features=["c0", "c1"], add_indicator=True
    ).set_output(transform=library)
    imputer.fit(frame)
    assert again(imputer).transform(frame).equals(imputer.transform(frame))


def test_imputers_draw_the_same():
    table = X[:, :4]
    imputer = FactorizationImputer(sample_posterior=True, random_state=0).fit(table)
    np.testing.assert_array_equal(again(imputer).transform(table), imputer.transform(table))


@pytest.mark.parametrize(("name", "cls"), all_estimators())
def test_every_estimator_before_its_fit(name, cls):
    needed = [
        parameter
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is parameter.empty
    ]
    model = cls(*[MatrixFactorization(unstored="missing")] * len(needed))
    assert repr(again(model).get_params()) == repr(model.get_params())


def test_splitters_of_scikit_learn():
    search = RankSearchCV(MatrixFactorization(), [1, 2], cv=KFold(3, shuffle=True, random_state=0))
    assert repr(again(search)) == repr(search)


@pytest.mark.parametrize("parameter", ["solver", "loss"])
def test_every_object_of_a_parameter(parameter):
    for _, cls in all_solvers() if parameter == "solver" else all_losses():
        model = MatrixFactorization(**{parameter: cls()})
        assert repr(again(model)) == repr(model)
    assert Ridge.__module__ + ".Ridge" in trusted_types()


def test_paths_and_marks(tmp_path):
    pandas = pytest.importorskip("pandas")
    model = MatrixFactorization(2, missing_values=pandas.NA).fit(X)
    for path in (tmp_path / "model.npz", str(tmp_path / "other.npz")):
        save_model(model, path)
        assert load_model(path).missing_values is pandas.NA


def test_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": ["a", "b", "a"], "item": [1, 1, 2]})
    data = sklearn_mf.recommending.pivot_entries(frame, rows="user", columns="item")
    loaded = again(data)
    np.testing.assert_array_equal(loaded.X.toarray(), data.X.toarray())
    assert loaded.row_labels.tolist() == ["a", "b"]
    assert loaded.column_labels.tolist() == [1, 2]
    assert loaded.names == data.names


def test_numpy_opens_the_file(tmp_path):
    save_model(fitted("plain"), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        text = json.loads(file["model.json"])
        state = text["model"]["state"]
        components = file[str(state["components_"]["array"])]
    assert components.shape == (3, 12)
    assert text["sklearn_mf"] == sklearn_mf.__version__


class NotOurs(Huber):
    """A loss of a user."""


REFUSED = [
    (
        MatrixFactorization(init=lambda X, k, rng: None),
        r"MatrixFactorization\.init is .*lambda.*code",
    ),
    (MatrixFactorization(loss=NotOurs()), r"MatrixFactorization\.loss is a .*NotOurs"),
    (
        FactorizationImputer(make_pipeline(StandardScaler(), MatrixFactorization(2))),
        r"FactorizationImputer\.estimator is a sklearn.*Pipeline.*skops",
    ),
    (ImplicitFactorization(confidence=np.sqrt), r"ImplicitFactorization\.confidence is .*sqrt"),
    (MatrixFactorization(init=[[1.0, print]]), r"MatrixFactorization\.init\[0\]\[1\] is print"),
]


@pytest.mark.parametrize(("model", "message"), REFUSED)
def test_what_is_no_data_is_refused_before_the_file_changes(model, message, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"what was there")
    with pytest.raises(ValueError, match=message):
        save_model(model, path)
    assert path.read_bytes() == b"what was there"


def test_a_full_disk_leaves_the_file_of_before(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    save_model(MatrixFactorization(3), path)

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.raises(OSError, match="no space left"):
        save_model(fitted("plain"), path)
    assert load_model(path).n_components == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


def test_requests_for_metadata_are_refused(tmp_path):
    with config_context(enable_metadata_routing=True):
        model = MatrixFactorization(2).set_fit_request(sample_weight=True)
        with pytest.raises(
            ValueError, match=r"MatrixFactorization\._metadata_request is a sklearn"
        ):
            save_model(model, tmp_path / "model.npz")


def test_what_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        save_model(MatrixFactorization(init=loop), io.BytesIO())


@pytest.mark.parametrize("model", [StandardScaler(), Huber(), {"a": 1}, MatrixFactorization])
def test_what_is_no_estimator_of_the_package_is_refused(model):
    with pytest.raises(TypeError, match="saves estimators of sklearn_mf"):
        save_model(model, io.BytesIO())


def changed(change):
    """A file whose text a function changed."""
    file, other = io.BytesIO(), io.BytesIO()
    save_model(fitted("plain"), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "model.json":
                text = json.loads(content)
                change(text)
                content = json.dumps(text)
            new.writestr(name, content)
    return other


def putting(*keys, value):
    """A change that puts something somewhere."""

    def change(text):
        for key in keys[:-1]:
            text = text[key]
        text[keys[-1]] = value

    return change


CHANGES = [
    (putting("format", value=2), "has format 2, .* load it with that version"),
    (putting("model", "class", value="os.system"), "'os.system', which this version does not know"),
    (putting("model", "class", value="sklearn_mf.losses.squared.Squared"), "cannot be loaded"),
    (putting("model", "state", "x", value=1), r"MatrixFactorization with \['x'\]"),
    (
        putting("model", "state", "loss", value={"is": "pickle"}),
        "'pickle', which is not a supported kind",
    ),
    (putting("model", "state", "components_", "array", value=999), "damaged"),
    (putting("model", value={"is": "dict", "items": []}), "contains a dict, which is not a model"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_files_that_are_no_models(change, message):
    with pytest.raises(ValueError, match=message):
        load_model(changed(change))


def test_a_parameter_that_files_of_before_did_not_have():
    def change(text):
        del text["model"]["state"]["whiten"]

    assert load_model(changed(change)).whiten is False


def test_fields_of_another_version():
    def change(text):
        text["model"]["state"]["_unit"]["state"]["colour"] = 1

    with pytest.raises(ValueError, match=r"It contains a Unit with .*colour.* saved by sklearn_mf"):
        load_model(changed(change))


def places_in(tree, path=()):
    """Where something is in a tree."""
    parts = (
        tree.items() if isinstance(tree, dict) else enumerate(tree if type(tree) is list else ())
    )
    for key, part in parts:
        yield (*path, key)
        yield from places_in(part, (*path, key))


def altered(files, rng):
    """Files of an archive, one of them changed at random."""
    files, what = dict(files), rng.integers(4)
    name = str(rng.choice(list(files)))
    if what == 0:
        del files[name]
    elif what == 1:
        content = bytearray(files[name])
        content[rng.integers(min(len(content), 1000))] = rng.integers(256)
        files[name] = bytes(content)
    else:
        text = json.loads(files["model.json"])
        places = list(places_in(text))
        *above, last = places[rng.integers(len(places))]
        place = text
        for key in above:
            place = place[key]
        others = [None, -1, 1.5, "x", [], {}, {"is": "list", "values": [1]}]
        place[last] = others[rng.integers(len(others))]
        files["model.json"] = json.dumps(text).encode()
    return files


def test_files_changed_at_random_are_read_or_refused():
    rng, file = np.random.default_rng(0), io.BytesIO()
    save_model(fitted("losses of columns"), file)
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    refused = 0
    for _ in range(200):
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w") as archive:
            for name, content in altered(files, rng).items():
                archive.writestr(name, content)
        try:
            load_model(other)
        except ValueError as error:
            refused += str(error).startswith("file ")
    assert refused > 50


class Bomb:
    """Would be run by pickle."""

    def __reduce__(self):
        return pytest.fail, ("was run",)


def test_pickled_arrays_are_not_read():
    file, other = io.BytesIO(), io.BytesIO()
    save_model(fitted("plain"), file)
    content = io.BytesIO()
    np.save(content, np.array([Bomb()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name, content.getvalue() if name == "0.npy" else old.read(name))
    with pytest.raises(ValueError, match="damaged"):
        load_model(other)


def test_no_archive(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(pickle.dumps(1))
    with pytest.raises(ValueError, match=r"model\.npz is not a file written by save_model"):
        load_model(path)
    np.savez(path, a=1)
    with pytest.raises(ValueError, match=r"contains no model\.json"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none")
