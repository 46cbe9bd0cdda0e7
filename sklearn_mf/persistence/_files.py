"""The file: a zip archive of one JSON text and an .npy file for each array."""

import json
import os
import zipfile
from contextlib import contextmanager, suppress
from functools import cache
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

from sklearn_mf.persistence._trees import Encoder, NotPlain, decode
from sklearn_mf.persistence._types import known_types, name_of
from sklearn_mf.utils._labels import LabeledMatrix

# Raised by one where files of before can no longer be read.
FORMAT = 1
TEXT = "model.json"
# Attributes of fitted models that are finite, whatever the data were.
FACTORS = ("components_", "feature_bias_")


def save_model(model: object, file: str | PathLike | BinaryIO) -> None:
    """Save an estimator of this package to a file that holds data alone.

    The file is an archive that ``numpy.load`` opens: a JSON text, and the arrays in NumPy's own
    format. Unlike a pickle it can be loaded without running anything that is in it.

    Parameters
    ----------
    model : estimator or LabeledMatrix
        Fitted or not.
    file : str, path-like or binary file
        Where to. What is there already is replaced when the new file is complete.

    Raises
    ------
    TypeError
        If it is no estimator of this package.
    ValueError
        If something in it is no data, such as a function as ``init``, or an estimator of another
        package. The message says where.

    See Also
    --------
    load_model : The way back.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization, load_model, save_model
    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    >>> model = MatrixFactorization(1).fit(X)
    >>> file = io.BytesIO()
    >>> save_model(model, file)
    >>> bool((load_model(file).transform(X) == model.transform(X)).all())
    True
    """
    if name_of(type(model)) not in known_types() or not _is_model(model):
        raise TypeError(
            f"save_model saves estimators of sklearn_mf, not a {name_of(type(model))}. Save others "
            "by skops or joblib."
        )
    encoder = Encoder()
    try:
        tree = encoder.encode(model, type(model).__name__)
    except NotPlain as error:
        raise ValueError(str(error)) from None
    text = {"format": FORMAT, **_versions(), "model": tree}
    with _replacing(file) as opened, zipfile.ZipFile(opened, "w") as archive:
        archive.writestr(TEXT, json.dumps(text, allow_nan=False))
        for number, array in enumerate(encoder.arrays):
            with archive.open(f"{number}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_model(file: str | PathLike | BinaryIO) -> Any:
    """Load an estimator that `save_model` has saved.

    Only data are read, into classes of this package: nothing in the file is run, whoever made it.

    Parameters
    ----------
    file : str, path-like or binary file
        Where from.

    Returns
    -------
    model : estimator or LabeledMatrix
        What was saved: it predicts the same numbers.

    Raises
    ------
    ValueError
        If it is no such file, damaged, of a newer format, or has what this version does not know;
        or if components or biases in it are not finite.

    See Also
    --------
    save_model : The way there.
    """
    name = os.fspath(file) if isinstance(file, str | os.PathLike) else "file"
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, name)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name} is no model that save_model has saved: {error}.") from error


@contextmanager
def _replacing(file):
    """A file to write to that takes the place of another one when it is complete."""
    if not isinstance(file, str | os.PathLike):
        yield file
        return
    part = f"{os.fspath(file)}.part"
    try:
        yield part
        os.replace(part, file)
    except BaseException:
        with suppress(OSError):
            os.remove(part)
        raise


def _is_model(value):
    is_estimator = isinstance(value, BaseEstimator) and hasattr(value, "fit")
    return is_estimator or isinstance(value, LabeledMatrix)


def _versions():
    # Here, because the version is that of the root, which imports everything.
    from sklearn_mf import __version__

    return {"sklearn_mf": __version__, "sklearn": sklearn.__version__}


def _read(archive, name):
    """The model in an open archive."""
    if TEXT not in archive.namelist():
        raise ValueError(f"{name} is no model that save_model has saved: it has no {TEXT}.")
    try:
        text = json.loads(archive.read(TEXT))
        form = text["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{name} is damaged: its {TEXT} cannot be read.") from error
    here, there = _versions(), {key: text.get(key) for key in _versions()}
    if form != FORMAT:
        raise ValueError(
            f"{name} has the format {form}, and sklearn_mf {here['sklearn_mf']} reads {FORMAT}. It "
            f"was saved by sklearn_mf {there['sklearn_mf']}: load it by that version."
        )

    @cache
    def array_of(number):
        with archive.open(f"{int(number)}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    try:
        model = decode(text["model"], array_of)
    except NotPlain as error:
        raise ValueError(
            f"{name} cannot be loaded. {error} It was saved by sklearn_mf {there['sklearn_mf']} "
            f"with scikit-learn {there['sklearn']}; here are {here['sklearn_mf']} and "
            f"{here['sklearn']}."
        ) from None
    except ImportError:
        raise  # a model of frames needs their package
    except Exception as error:  # whatever comes of parts that do not fit
        raise ValueError(f"{name} is damaged: {type(error).__name__}: {error}.") from error
    if not _is_model(model):
        raise ValueError(f"{name} holds a {type(model).__name__}, which is no model.")
    _check_finite(model, name)
    return model


def _check_finite(value, name):
    """Refuse factors that are no numbers, of a model and of those in it."""
    for key, part in vars(value).items():
        if key in FACTORS and part is not None:
            part = np.asarray(part)
            if part.dtype.kind != "f" or not np.isfinite(part).all():
                raise ValueError(
                    f"{name} is damaged: {type(value).__name__}.{key} has values that are NaN, "
                    "infinite or no numbers. Save the model again."
                )
        elif _is_model(part):
            _check_finite(part, name)
