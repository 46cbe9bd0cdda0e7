"""The MovieLens ratings of movies, in several sizes."""

import zipfile
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from sklearn_mf.datasets._ratings import COLUMNS, import_pandas
from sklearn_mf.utils._validation import Interval, StrOptions, validate_params

URL = "https://files.grouplens.org/datasets/movielens/ml-{}.zip"
# SHA-256 checksums of the archives. No official checksum of the last one is known.
CHECKSUMS = {
    "100k": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    "1m": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    "20m": "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    "32m": None,
}
OF_MOVIES = ["item", "title", "genres"]
GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
DESCRIPTION = """\
MovieLens {variant}: {n_ratings} ratings of {n_items} films by {n_users} users, collected by
GroupLens at the University of Minnesota. The README of the archive has the terms of use: among
others, the data may not be passed on.

F. M. Harper and J. A. Konstan (2015). The MovieLens datasets: history and context.
ACM Transactions on Interactive Intelligent Systems 5(4). https://doi.org/10.1145/2827872
"""


@validate_params(
    {
        "variant": [StrOptions(set(CHECKSUMS))],
        "data_home": [str, PathLike, None],
        "download_if_missing": ["boolean"],
        "n_retries": [Interval(Integral, 1, None, closed="left")],
        "delay": [Interval(Real, 0.0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def fetch_movielens(
    variant="100k", *, data_home=None, download_if_missing=True, n_retries=3, delay=1.0
):
    """Load the MovieLens ratings of movies, and download them if necessary.

    ==========  ==========  ========  =======
    `variant`   ratings     users     movies
    ==========  ==========  ========  =======
    "100k"         100,000       943    1,682
    "1m"         1,000,209     6,040    3,706
    "20m"       20,000,263   138,493   26,744
    "32m"       32,000,204   200,948   84,432
    ==========  ==========  ========  =======

    Parameters
    ----------
    variant : {"100k", "1m", "20m", "32m"}, default="100k"
        The data set.
    data_home : str, path-like or None, default=None
        Folder of data sets. None uses the folder of scikit-learn, ``~/scikit_learn_data``. If its
        subfolder ``movielens`` contains a copy of the archive, such as ``movielens/ml-100k.zip``,
        or an unpacked one, such as ``movielens/ml-100k``, that copy is used and nothing is
        downloaded.
    download_if_missing : bool, default=True
        Whether to download data that are not found. Otherwise an OSError is raised.
    n_retries : int, default=3
        Number of retries after an HTTP error.
    delay : float, default=1.0
        Seconds between retries.

    Returns
    -------
    dataset : Bunch
        Dictionary-like object with these attributes.

        data : DataFrame of shape (n_ratings, 2)
            Columns "user" and "item", as accepted by :class:`~sklearn_mf.TripletRegressor`.
        target : Series of shape (n_ratings,)
            Ratings from 0.5 or 1 to 5 stars.
        frame : DataFrame of shape (n_ratings, 4)
            Data, target and "timestamp", in seconds since 1970.
        movies : DataFrame
            Columns "item", "title" and "genres" (separated by ``|``). Some movies have no rating.
        feature_names, target_names : list of str
            Names of the columns of data and target.
        DESCR : str
            Description of the data, and how to cite them.

    Raises
    ------
    ImportError
        If pandas is not installed.
    OSError
        If the archive is not found and cannot be downloaded, or its checksum is wrong. The checksum
        of "32m" is not known, so that archive is not verified.

    See Also
    --------
    load_ratings : Reads ratings from files in other formats.
    make_ratings : Generates ratings.

    References
    ----------
    Harper, F. M. & Konstan, J. A. (2015). The MovieLens datasets: history and context. ACM
    Transactions on Interactive Intelligent Systems 5(4). :doi:`10.1145/2827872`

    Examples
    --------
    >>> from sklearn_mf.datasets import fetch_movielens
    >>> movielens = fetch_movielens("100k")  # doctest: +SKIP
    >>> movielens.data.shape  # doctest: +SKIP
    (100000, 2)
    """
    # This module is imported here because importing it takes longer than all the rest.
    from sklearn.datasets import get_data_home

    import_pandas("fetch_movielens")
    folder = Path(get_data_home(data_home)) / "movielens"
    unpacked = folder / f"ml-{variant}"
    if not unpacked.is_dir():
        archive = _archive(variant, folder, download_if_missing, n_retries, delay)
        unpacked = zipfile.Path(archive) / unpacked.name
    frame, movies = READERS[variant](unpacked)
    counts = {"n_ratings": len(frame), "n_items": frame["item"].nunique()}
    return Bunch(
        data=frame[["user", "item"]],
        target=frame["rating"],
        frame=frame,
        movies=movies,
        feature_names=["user", "item"],
        target_names=["rating"],
        DESCR=DESCRIPTION.format(variant=variant, n_users=frame["user"].nunique(), **counts),
    )


def _archive(variant, folder, download_if_missing, n_retries, delay):
    """Return the path of the archive, and download it if necessary."""
    path = folder / f"ml-{variant}.zip"
    if not (download_if_missing or path.exists()):
        raise OSError(f"Data not found in {folder} and `download_if_missing` is False.")
    from sklearn.datasets import fetch_file

    folder.mkdir(parents=True, exist_ok=True)
    options = {"sha256": CHECKSUMS[variant], "n_retries": n_retries, "delay": delay}
    return fetch_file(URL.format(variant), folder=folder, **options)


def _read_tabs(folder):
    columns = ["item", "title", "released", "video", "url", *GENRES]
    movies = _read(folder / "u.item", sep="|", names=columns, encoding="latin-1")
    flags = movies[GENRES].to_numpy() == 1
    genres = ["|".join(np.compress(row, GENRES)) for row in flags]
    movies = movies[["item", "title"]].assign(genres=genres)
    return _read(folder / "u.data", sep="\t", names=COLUMNS), movies


def _read_colons(folder):
    # For the fast parser, two colons are a separator with an empty column after it.
    frame = _read(folder / "ratings.dat", sep=":", header=None, usecols=[0, 2, 4, 6])
    options = {"sep": "::", "engine": "python", "names": OF_MOVIES, "encoding": "latin-1"}
    return frame.set_axis(COLUMNS, axis=1), _read(folder / "movies.dat", **options)


def _read_commas(folder):
    frame, movies = _read(folder / "ratings.csv"), _read(folder / "movies.csv")
    return frame.set_axis(COLUMNS, axis=1), movies.set_axis(OF_MOVIES, axis=1)


def _read(path, **options):
    with path.open("rb") as file:
        return import_pandas("fetch_movielens").read_csv(file, **options)


READERS = {"100k": _read_tabs, "1m": _read_colons, "20m": _read_commas, "32m": _read_commas}
