"""Files of ratings, whatever separates their columns."""

import csv
import os
from pathlib import Path

# The longest first, as it begins with another one.
SEPARATORS = ("::", "\t", ",", ";", "|")
COLUMNS = ("user", "item", "rating", "timestamp")
# A character that no table has.
WHOLE_LINE = "\x1f"
# The columns that come first are labels of rows and of columns.
N_LABELS = 2
# What stands for a missing rating or time.
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "n/a"]
# Up to eighteen digits, which integers of 64 bits hold.
WHOLE_NUMBER = "0|-?[1-9][0-9]{0,17}"


def load_ratings(path, *, columns=None, skiprows=0):
    """Load a long table of ratings from a file.

    Parameters
    ----------
    path : str or path-like
        A Parquet file, or text with a row a line, separated by a tab, a comma, a semicolon, ``|``
        or ``::``, compressed or not.
    columns : sequence of str or None, default=None
        What the columns shall be called. None: as the first line of the file says, or, where a
        cell of it is a number and it therefore no heading, "user", "item", "rating", "timestamp".
    skiprows : int, default=0
        How many lines of text to leave out at the beginning, such as comments. The next one is the
        first.

    Returns
    -------
    frame : DataFrame of pandas
        One row a rating, for :func:`~sklearn_mf.recommending.pivot_entries`. The first two columns
        are labels, of rows and columns. Of a text they are whole numbers where all of a column
        are written as such, without leading zeros, and otherwise strings as they stand: "007" is
        no 7, and "NA" no missing value. An empty cell is one. Parquet has types of its own.

    Raises
    ------
    ImportError
        If pandas is not installed, or nothing that reads Parquet.
    ValueError
        If the columns cannot be told apart, or there are not as many as are named.

    See Also
    --------
    sklearn_mf.recommending.pivot_entries : Makes a matrix of it.

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
    """The package pandas, which reads files; it is an optional one."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{caller} needs pandas, which is not installed: pip install 'sklearn-mf[tables]'."
        ) from error
    return pandas


def _read_text(pandas, path, skiprows):
    """A table of text, with the names of its first line or those that ratings have."""
    # As it stands there: what separates its cells is not known yet.
    whole = {"sep": WHOLE_LINE, "quoting": csv.QUOTE_NONE, "header": None, "dtype": str}
    line = pandas.read_csv(path, nrows=1, skiprows=skiprows, **whole).iat[0, 0]
    separator = next((found for found in SEPARATORS if found in line), None)
    if separator is None:
        known = ", ".join(map(repr, SEPARATORS))
        raise ValueError(
            f"{path} has {line[:60]!r} as first line, without one of {known}: skiprows leaves "
            "lines out at the beginning."
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
    # Only the empty cell is missing in a column of labels; elsewhere what pandas takes for it.
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
    """The labels of those columns as numbers in which all are whole ones, written as usual."""
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
            f"{path} has {frame.shape[1]} columns, and columns={list(columns)!r} names "
            f"{len(columns)}."
        )
    return frame.set_axis(list(columns), axis=1)
