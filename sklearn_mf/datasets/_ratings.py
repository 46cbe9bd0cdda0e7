"""Files of ratings, with any of the usual separators."""

import csv
import os
from pathlib import Path

# The longest separator comes first, because it begins with another one.
SEPARATORS = ("::", "\t", ",", ";", "|")
COLUMNS = ("user", "item", "rating", "timestamp")
# A character that does not occur in any table.
WHOLE_LINE = "\x1f"
# The first columns are the labels of rows and columns.
N_LABELS = 2
# Texts that stand for a missing rating or time.
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "n/a"]
# At most eighteen digits fit into 64-bit integers.
WHOLE_NUMBER = "0|-?[1-9][0-9]{0,17}"


def load_ratings(path, *, columns=None, skiprows=0):
    """Load a long table of ratings from a file.

    Parameters
    ----------
    path : str or path-like
        A Parquet file, or a text file with one row per line whose columns are separated by a tab, a
        comma, a semicolon, ``|`` or ``::``. Text files may be compressed.
    columns : sequence of str or None, default=None
        Names of the columns. None uses the first line of the file or, if that contains a number and
        is therefore not a header, "user", "item", "rating", "timestamp".
    skiprows : int, default=0
        Number of lines to skip at the beginning of a text file, such as comments.

    Returns
    -------
    frame : DataFrame of pandas
        One row per rating, for :func:`~sklearn_mf.recommending.pivot_entries`. The first two
        columns are the labels of rows and columns. In text files, the labels of a column are
        integers if all of them are written as integers without leading zeros, and otherwise
        strings: "007" is not 7, and "NA" is not a missing value, but an empty cell is. Parquet
        files define the types themselves.

    Raises
    ------
    ImportError
        If pandas is not installed, or no package that reads Parquet.
    ValueError
        If the separator is not found, or the number of names does not match that of the columns.

    See Also
    --------
    sklearn_mf.recommending.pivot_entries : Converts the table to a matrix.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> from sklearn_mf.datasets import load_ratings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ratings.dat")
    ...     with open(path, "w") as file:
    ...         _ = file.write("1::10::5::978300760\\n2::20::3::978302109\\n")
    ...     frame = load_ratings(path)
    >>> frame["rating"].tolist()
    [5, 3]
    """
    pandas = import_pandas("load_ratings")
    path = Path(os.fspath(path))
    if path.suffix == ".parquet":
        frame = pandas.read_parquet(path)
    else:
        frame = _read_text(pandas, path, skiprows)
    return frame if columns is None else _renamed(frame, columns, path)


def import_pandas(caller):
    """Import the optional package pandas, which reads the files."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{caller} needs pandas, which is not installed: pip install 'sklearn-mf[tables]'."
        ) from error
    return pandas


def _read_text(pandas, path, skiprows):
    """Read a text file, with the names of its header or the default ones."""
    # Read the first lines unchanged, because the separator is not known yet.
    whole = {"sep": WHOLE_LINE, "quoting": csv.QUOTE_NONE, "header": None, "dtype": str}
    line = pandas.read_csv(path, nrows=1, skiprows=skiprows, **whole).iat[0, 0]
    separator = next((found for found in SEPARATORS if found in line), None)
    if separator is None:
        known = ", ".join(map(repr, SEPARATORS))
        raise ValueError(
            f"The first line of {path} is {line[:60]!r}, which contains none of the separators "
            f"{known}. Use skiprows to skip lines at the beginning."
        )
    cells = [cell.strip("\"' ") for cell in line.split(separator)]
    options = {"sep": separator, "skiprows": skiprows}
    if any(map(_is_number, cells)):
        options["header"] = None
        if len(cells) <= len(COLUMNS):
            options["names"] = COLUMNS[: len(cells)]
    if len(separator) > 1:
        options["engine"] = "python"
    first = pandas.read_csv(path, nrows=0, **options).columns
    labels = list(first[:N_LABELS])
    # In a column of labels only an empty cell is missing. Elsewhere, pandas decides.
    missing = {name: [""] if name in labels else MISSING for name in first}
    frame = pandas.read_csv(
        path,
        dtype=dict.fromkeys(labels, str),
        na_values=missing,
        keep_default_na=False,
        **options,
    )
    return _with_numbers(frame, labels)


def _with_numbers(frame, labels):
    """Convert columns of labels to integers if all of their values are written as integers."""
    for name in labels:
        if len(frame) and frame[name].str.fullmatch(WHOLE_NUMBER).eq(True).all():
            frame[name] = frame[name].astype("int64")
    return frame


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _renamed(frame, columns, path):
    if len(columns) != frame.shape[1]:
        raise ValueError(
            f"{path} has {frame.shape[1]} columns, but columns={list(columns)!r} contains "
            f"{len(columns)} names."
        )
    return frame.set_axis(list(columns), axis=1)
