"""Random selection of entries to hide, with a separate stream of random numbers."""

import numpy as np
from sklearn.utils import check_random_state

# Constant that is mixed into every seed: users create missing entries or shuffle with the same
# seeds, and the hidden entries must be independent of these.
KEY = 1_618_033_988
# Number of entries from which a fraction is drawn at a time, so that the memory stays in the cache.
PART = 1 << 16
# Fraction of the columns that are hidden in held-out rows; `score` hides as much.
HIDDEN_COLUMNS = 0.2


def hiding_stream(random_state):
    """Return the random generator for everything that is hidden.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        The seed of an estimator or a splitter. An instance advances.

    Returns
    -------
    rng : Generator
        A generator that depends on the seed only, and is independent of other uses of the seed.
    """
    entropy = check_random_state(random_state).randint(1 << 32, size=4, dtype=np.uint32)
    return np.random.default_rng([KEY, *entropy.tolist()])


def random_share(n_entries, share, rng):
    """Select a random fraction of entries.

    Parameters
    ----------
    n_entries : int
        Number of entries.
    share : float
        Fraction of the entries to select, rounded to the nearest number.
    rng : Generator
        The generator; see `hiding_stream`.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        The selected entries: at least one, if there are any.
    """
    mask = np.zeros(n_entries, dtype=bool)
    for start in range(0, n_entries, PART):
        part = mask[start : start + PART]
        n_chosen = max(1, round(share * len(part)))
        part[rng.choice(len(part), n_chosen, replace=False, shuffle=False)] = True
    return mask


def random_share_of_rows(rows, share, rng):
    """Select a random fraction of entries, so that each row keeps at least one.

    Parameters
    ----------
    rows : ndarray of int of shape (n_entries,)
        Row of each entry.
    share : float
        Probability of each entry to be selected.
    rng : Generator
        The generator; see `hiding_stream`.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        The selected entries: at least one, if any row has two entries.
    """
    draws = rng.random(len(rows))
    largest = np.zeros(rows.max(initial=-1) + 1)
    np.maximum.at(largest, rows, draws)
    # The entry with the largest random number of its row is kept.
    to_spare = draws < largest[rows]
    chosen = to_spare & (draws < share)
    if to_spare.any() and not chosen.any():
        chosen[np.where(to_spare, draws, 1).argmin()] = True
    return chosen


def random_block(shape, row_weight, share, rng):
    """Select rows and columns, for a block that is hidden in complete data.

    Parameters
    ----------
    shape : tuple of two ints
        Shape of the data.
    row_weight : ndarray of shape (n_rows,) or None
        Weights of the rows. Rows with weight zero are not selected.
    share : float
        Fraction of the rows to select.
    rng : Generator
        The generator; see `hiding_stream`.

    Returns
    -------
    rows : ndarray of bool of shape (n_rows,)
        The selected rows: at least one if there are two, and never all rows that have a weight.
    columns : ndarray of bool of shape (n_columns,)
        The selected columns, likewise.
    """
    candidates = np.ones(shape[0], dtype=bool) if row_weight is None else row_weight > 0
    return _some_but_not_all(candidates, share, rng), random_columns(shape[1], rng)


def random_columns(n_columns, rng):
    """Select the columns that are hidden in held-out rows.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    rng : Generator
        The generator; see `hiding_stream`.

    Returns
    -------
    columns : ndarray of bool of shape (n_columns,)
        The selected columns: at least one if there are two, and never all.
    """
    return _some_but_not_all(np.ones(n_columns, dtype=bool), HIDDEN_COLUMNS, rng)


def _some_but_not_all(candidates, share, rng):
    positions = rng.permutation(np.flatnonzero(candidates))
    mask = np.zeros(len(candidates), dtype=bool)
    mask[positions[:-1][: max(1, round(share * len(positions)))]] = True
    return mask


def may_be_hidden(rows, columns, n_in_row, n_in_column):
    """Return which entries can be hidden together, so that each row and column keeps an entry.

    Parameters
    ----------
    rows, columns : ndarray of int of shape (n_entries,)
        Row and column of each entry.
    n_in_row, n_in_column : ndarray of int
        Number of entries in each row and each column, hidden or not.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        True for all entries, except for one in each row or column that would lose all.
    """
    mask = np.ones(len(rows), dtype=bool)
    for lines, n_in_line in ((rows, n_in_row), (columns, n_in_column)):
        emptied = np.bincount(lines, minlength=len(n_in_line)) == n_in_line
        named, first = np.unique(lines, return_index=True)
        mask[first[emptied[named]]] = False
    return mask
