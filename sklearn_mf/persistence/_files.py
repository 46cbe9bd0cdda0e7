"""The file format: a zip archive with one JSON text and an .npy file for each array."""

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

# This number increases when a new version can no longer read older files.
FORMAT = 1
TEXT = "model.json"
# Attributes of fitted models that are always finite.
FACTORS = ("components_", "feature_bias_")


def save_model(model: object, file: str | PathLike | BinaryIO) -> None:
    """Save an estimator of this package to a file that contains data only.

    The file is an archive that ``numpy.load`` can open. It contains a JSON text and the arrays in
    NumPy's format. In contrast to a pickle, it can be loaded without running any code from the
    file.

    Parameters
    ----------
    model : estimator or LabeledMatrix
        The estimator, fitted or not.
    file : str, path-like or binary file
        The file to write. An existing file is replaced only when the new one is complete.

    Raises
    ------
    TypeError
        If the model is not an estimator of this package.
    ValueError
        If the model contains an object that is not data, such as a function as ``init``, or an
        estimator of another package. The message names its place.

    See Also
    --------
    load_model : Loads the file.

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
            f"save_model saves estimators of sklearn_mf, not a {name_of(type(model))}. Use skops "
            "or joblib for other models."
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
    """Load an estimator that was saved by `save_model`.

    Only data are read, into classes of this package. No code in the file is run, so files from
    untrusted sources are safe to load.

    Parameters
    ----------
    file : str, path-like or binary file
        The file to read.

    Returns
    -------
    model : estimator or LabeledMatrix
        The saved model, which makes exactly the same predictions.

    Raises
    ------
    ValueError
        If the file was not written by `save_model`, is damaged, has a newer format, contains
        classes or parameters unknown to this version, or contains components or biases that are not
        finite.

    See Also
    --------
    save_model : Saves a model.
    """
    name = os.fspath(file) if isinstance(file, str | os.PathLike) else "file"
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive, name)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{name} is not a file written by save_model: {error}.") from error


@contextmanager
def _replacing(file):
    """Open a file for writing that replaces an existing one only when it is complete."""
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
    # This is imported here, because the version is defined in the package that imports everything.
    from sklearn_mf import __version__

    return {"sklearn_mf": __version__, "sklearn": sklearn.__version__}


def _read(archive, name):
    """Return the model in an open archive."""
    if TEXT not in archive.namelist():
        raise ValueError(f"{name} is not a file written by save_model: it contains no {TEXT}.")
    try:
        text = json.loads(archive.read(TEXT))
        form = text["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{name} is damaged: its {TEXT} cannot be read.") from error
    here, there = _versions(), {key: text.get(key) for key in _versions()}
    if form != FORMAT:
        raise ValueError(
            f"{name} has format {form}, but sklearn_mf {here['sklearn_mf']} reads format {FORMAT}. "
            f"It was saved by sklearn_mf {there['sklearn_mf']}: load it with that version."
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
            f"with scikit-learn {there['sklearn']}; the installed versions are "
            f"{here['sklearn_mf']} and {here['sklearn']}."
        ) from None
    except ImportError:
        raise  # a model of data frames needs the package of the frames
    except Exception as error:  # inconsistent parts may raise any error
        raise ValueError(f"{name} is damaged: {type(error).__name__}: {error}.") from error
    if not _is_model(model):
        raise ValueError(f"{name} contains a {type(model).__name__}, which is not a model.")
    _check_finite(model, name)
    return model


def _check_finite(value, name):
    """Refuse models with factors that are not finite, including nested models."""
    for key, part in vars(value).items():
        if key in FACTORS and part is not None:
            part = np.asarray(part)
            if part.dtype.kind != "f" or not np.isfinite(part).all():
                raise ValueError(
                    f"{name} is damaged: {type(value).__name__}.{key} contains values that are "
                    "NaN, infinite or not numeric. Save the model again."
                )
        elif _is_model(part):
            _check_finite(part, name)
