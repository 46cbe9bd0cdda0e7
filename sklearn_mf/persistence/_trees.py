"""Conversion of objects to trees of JSON values, with separate arrays.

Numbers, strings, booleans and None represent themselves. Every other object is a dict whose key
"is" names its kind. A file can therefore only contain the kinds that are listed here.
"""

import inspect
import math
from dataclasses import fields, is_dataclass
from importlib import import_module

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_mf.persistence._types import known_types, name_of

SPARSE = {
    f"{form}_{kind}": getattr(sparse, f"{form}_{kind}")
    for form in ("csr", "csc")
    for kind in ("array", "matrix")
}
# Integer types of polars columns. Types of other libraries are recognized by their names.
OF_POLARS = {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64, 128)} | {
    "Boolean"
}
# The only public attribute that is not a parameter: unregistered solvers set their name themselves.
SET_BY_INIT = "name"


class NotPlain(ValueError):
    """The error for a part of a model that is not data, or a part of a file that is not a model."""


class Encoder:
    """Converts objects to trees.

    Attributes
    ----------
    arrays : list of ndarray
        The arrays to which the trees refer by their index.
    """

    def __init__(self):
        self.arrays = []
        self._numbers = {}
        self._above = []

    def encode(self, value, path):
        """Return the tree of a value; the path to the value is used in messages."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"is": "float", "value": repr(value)}
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if type(value).__name__ in SPARSE and sparse.issparse(value):
            parts = [
                self._number_of(part, path) for part in (value.data, value.indices, value.indptr)
            ]
            return {"is": type(value).__name__, "arrays": parts, "shape": list(value.shape)}
        if any(value is container for container in self._above):
            raise NotPlain(f"{path} contains itself.")
        self._above.append(value)
        try:
            return self._container(value, path)
        finally:
            self._above.pop()

    def _container(self, value, path):
        kind = type(value)
        if kind in (list, tuple, set):
            ordered = sorted(value, key=repr) if kind is set else value
            return {"is": kind.__name__, "values": self._all(ordered, path)}
        if kind is dict:
            pairs = [
                [self.encode(key, path), self.encode(item, f"{path}[{key!r}]")]
                for key, item in value.items()
            ]
            return {"is": "dict", "items": pairs}
        if kind in (slice, range):
            parts = value.start, value.stop, value.step
            return {"is": kind.__name__, "values": self._all(parts, path)}
        if kind is np.random.RandomState:
            return {"is": "RandomState", "state": self.encode(value.get_state(legacy=False), path)}
        if kind.__name__ == "NAType":
            return {"is": "NA"}
        library = library_of_dtype(value)
        if library is not None:
            return {"is": "dtype", "library": library, "name": str(value)}
        name = name_of(kind)
        if name not in known_types():
            raise NotPlain(_refusal(value, path))
        return {"is": "object", "class": name, "state": self._state(value, path)}

    def _all(self, values, path):
        return [self.encode(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def _state(self, value, path):
        names = _names_of_fields(type(value))
        state = vars(value) if names is None else {name: getattr(value, name) for name in names}
        return {name: self.encode(part, f"{path}.{name}") for name, part in state.items()}

    def _scalar(self, value, path):
        if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
            number = self.encode(value.item(), path)
            return {"is": "number", "dtype": value.dtype.name, "value": number}
        return {"is": "scalar", "array": self._number_of(np.asarray(value), path)}

    def _array(self, value, path):
        if isinstance(value, np.ma.MaskedArray):
            parts = [self._array(part, path) for part in (value.data, np.ma.getmaskarray(value))]
            return {"is": "masked", "parts": parts}
        if value.dtype == object:
            values = self._all(value.ravel().tolist(), path)
            return {"is": "objects", "values": values, "shape": list(value.shape)}
        return {"is": "array", "array": self._number_of(value, path)}

    def _number_of(self, array, path):
        if array.dtype.hasobject or array.dtype.names is not None:
            raise NotPlain(f"{path} is an array of the dtype {array.dtype}, which is not saved.")
        if id(array) not in self._numbers:
            self._numbers[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return self._numbers[id(array)]


def _refusal(value, path):
    kind = type(value)
    if callable(value) and not hasattr(value, "get_params"):
        what = f"{getattr(value, '__qualname__', repr(value))}, which is executable code"
        remedy = "Set the parameter to another value before saving"
    else:
        what = f"a {name_of(kind)}, which is neither plain data nor a class of sklearn_mf"
        remedy = "Use skops or joblib to save such a model"
    return f"{path} is {what}: a model file can contain data only. {remedy}."


def _names_of_fields(kind):
    """Return the fields of a named tuple or data class; None for other classes."""
    if issubclass(kind, tuple):
        return kind._fields
    return [field.name for field in fields(kind)] if is_dataclass(kind) else None


def library_of_dtype(value):
    """Return the library whose dtype a value is, or None."""
    if isinstance(value, np.dtype):
        return "numpy"
    cls = value if isinstance(value, type) else type(value)
    root = cls.__module__.partition(".")[0]
    is_dtype = {
        "pandas": lambda: cls.__name__.endswith("Dtype"),
        "polars": lambda: str(value) in OF_POLARS,
        "pyarrow": lambda: cls.__name__ == "DataType",
    }
    return root if root in is_dtype and is_dtype[root]() else None


def decode(tree, arrays):
    """Convert a tree back to an object.

    Parameters
    ----------
    tree : dict, number, str, bool or None
        A tree made by `Encoder.encode`.
    arrays : callable
        A function that returns the array with a given index.

    Returns
    -------
    value : object
        An object of one of the supported kinds.
    """
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise NotPlain("It contains a list where a value is expected.")
        return tree
    kind = tree.get("is")
    if kind in SPARSE:
        parts = tuple(arrays(number) for number in tree["arrays"])
        return SPARSE[kind](parts, shape=tuple(tree["shape"]))
    if kind not in READERS:
        raise NotPlain(f"It contains {kind!r}, which is not a supported kind of data.")
    return READERS[kind](tree, arrays)


def _all_of(trees, arrays):
    return [decode(tree, arrays) for tree in trees]


def _dict(tree, arrays):
    return {decode(key, arrays): decode(item, arrays) for key, item in tree["items"]}


def _objects(tree, arrays):
    values = np.empty(len(tree["values"]), dtype=object)
    values[:] = _all_of(tree["values"], arrays)
    return values.reshape(tree["shape"])


def _masked(tree, arrays):
    data, mask = _all_of(tree["parts"], arrays)
    return np.ma.array(data, mask=mask)


def _random_state(tree, arrays):
    random_state = np.random.RandomState()
    random_state.set_state(decode(tree["state"], arrays))
    return random_state


def _missing_value(tree, arrays):
    return import_module("pandas").NA


def _dtype(tree, arrays):
    library, name = tree["library"], tree["name"]
    if library == "numpy":
        return np.dtype(name)
    if library == "pandas":
        return import_module("pandas").api.types.pandas_dtype(name)
    if library == "pyarrow":
        return import_module("pyarrow").type_for_alias(name)
    if library == "polars" and name in OF_POLARS:
        return getattr(import_module("polars"), name)
    raise NotPlain(f"It contains the dtype {name!r} of {library!r}, which does not exist.")


def _object(tree, arrays):
    name = tree["class"]
    cls = known_types().get(name)
    if cls is None:
        raise NotPlain(f"It contains the class {name!r}, which this version does not know.")
    state = {name: decode(part, arrays) for name, part in tree["state"].items()}
    if issubclass(cls, BaseEstimator):
        state = _defaults(cls, state) | state
    names = _names_of_fields(cls)
    if names is not None and set(names) != set(state):
        raise NotPlain(
            f"It contains a {cls.__name__} with {sorted(state)}, but {sorted(names)} is expected."
        )
    if issubclass(cls, tuple):
        return cls(**state)
    value = object.__new__(cls)
    vars(value).update(state)
    return value


def _defaults(cls, state):
    """Return defaults of parameters missing in the file; refuse unknown parameters."""
    parameters = inspect.signature(cls).parameters
    public = [name for name in state if not (name.startswith("_") or name.endswith("_"))]
    unknown = [name for name in public if name not in parameters and name != SET_BY_INIT]
    missing = [name for name, one in parameters.items() if one.default is one.empty]
    missing = [name for name in missing if name not in state]
    if unknown or missing:
        raise NotPlain(f"It contains a {cls.__name__} with {unknown} and without {missing}.")
    return {name: one.default for name, one in parameters.items()}


READERS = {
    "float": lambda tree, arrays: float(tree["value"]),
    "number": lambda tree, arrays: np.dtype(tree["dtype"]).type(decode(tree["value"], arrays)),
    "scalar": lambda tree, arrays: arrays(tree["array"])[()],
    "array": lambda tree, arrays: arrays(tree["array"]),
    "objects": _objects,
    "masked": _masked,
    "list": lambda tree, arrays: _all_of(tree["values"], arrays),
    "tuple": lambda tree, arrays: tuple(_all_of(tree["values"], arrays)),
    "set": lambda tree, arrays: set(_all_of(tree["values"], arrays)),
    "range": lambda tree, arrays: range(*_all_of(tree["values"], arrays)),
    "slice": lambda tree, arrays: slice(*_all_of(tree["values"], arrays)),
    "dict": _dict,
    "RandomState": _random_state,
    "NA": _missing_value,
    "dtype": _dtype,
    "object": _object,
}
