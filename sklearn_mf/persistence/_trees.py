"""Objects as trees of what JSON knows, and arrays beside them.

Numbers, strings, booleans and None stand for themselves. Everything else is a dict whose "is" says
what it is, so that nothing but what is listed here can come out of a file.
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
# Types of columns of polars that hold whole numbers; those of other libraries are known by name.
OF_POLARS = {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64, 128)} | {
    "Boolean"
}
# The one public attribute that is no parameter: a solver that is in no list names itself.
SET_BY_INIT = "name"


class NotPlain(ValueError):
    """Says which part of a model is no data, or which part of a file no model."""


class Encoder:
    """Makes trees of objects.

    Attributes
    ----------
    arrays : list of ndarray
        Those that the trees refer to by their number.
    """

    def __init__(self):
        self.arrays = []
        self._numbers = {}
        self._above = []

    def encode(self, value, path):
        """The tree of a value; the path to it is for messages."""
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
        what = f"{getattr(value, '__qualname__', repr(value))}, which can be run"
        remedy = "Set the parameter to something else before it is saved"
    else:
        what = f"a {name_of(kind)}, which is neither plain data nor of sklearn_mf"
        remedy = "Save such a model by skops or joblib"
    return f"{path} is {what}: a model file holds data alone. {remedy}."


def _names_of_fields(kind):
    """What a named tuple or a data class consists of; None of other classes."""
    if issubclass(kind, tuple):
        return kind._fields
    return [field.name for field in fields(kind)] if is_dataclass(kind) else None


def library_of_dtype(value):
    """Which library knows a value as a dtype; None if there is none."""
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
    """The object that a tree stands for.

    Parameters
    ----------
    tree : dict, number, str, bool or None
        As `Encoder.encode` makes it.
    arrays : callable
        Returns the array of a number.

    Returns
    -------
    value : object
        Of one of the kinds that are known here.
    """
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise NotPlain("It has a list where a value is due.")
        return tree
    kind = tree.get("is")
    if kind in SPARSE:
        parts = tuple(arrays(number) for number in tree["arrays"])
        return SPARSE[kind](parts, shape=tuple(tree["shape"]))
    if kind not in READERS:
        raise NotPlain(f"It has a {kind!r}, which is no kind of data.")
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
    raise NotPlain(f"It has the dtype {name!r} of {library!r}, which is none.")


def _object(tree, arrays):
    name = tree["class"]
    cls = known_types().get(name)
    if cls is None:
        raise NotPlain(f"It has an object of the class {name!r}, which this version does not know.")
    state = {name: decode(part, arrays) for name, part in tree["state"].items()}
    if issubclass(cls, BaseEstimator):
        state = _defaults(cls, state) | state
    names = _names_of_fields(cls)
    if names is not None and set(names) != set(state):
        raise NotPlain(
            f"It has a {cls.__name__} of {sorted(state)}, and here one has {sorted(names)}."
        )
    if issubclass(cls, tuple):
        return cls(**state)
    value = object.__new__(cls)
    vars(value).update(state)
    return value


def _defaults(cls, state):
    """Defaults of parameters that the file does not have; refuses what is no parameter here."""
    parameters = inspect.signature(cls).parameters
    public = [name for name in state if not (name.startswith("_") or name.endswith("_"))]
    unknown = [name for name in public if name not in parameters and name != SET_BY_INIT]
    missing = [name for name, one in parameters.items() if one.default is one.empty]
    missing = [name for name in missing if name not in state]
    if unknown or missing:
        raise NotPlain(f"It has a {cls.__name__} with {unknown} and without {missing}.")
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
