"""Which entries to hide: drawn among what is observed, from a stream of its own."""

import numpy as np
from sklearn.utils import check_random_state

# Mixed into every seed: users make holes with the same seeds, and what is hidden must not be
# what is missing already, nor what they shuffled before.
KEY = 1_618_033_988
# Of so many a share is drawn at a time, exactly, in memory that stays in the cache.
PART = 1 << 16
# Share of the columns that are hidden in rows that are set aside; as much as `score` hides.
HIDDEN_COLUMNS = 0.2


def hiding_stream(random_state):
    """The stream that draws what is hidden, in every place that hides anything.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        The seed of an estimator or a splitter. An instance moves on.

    Returns
    -------
    rng : Generator
        The same for the same seed, and independent of what anybody else draws with it.
    """
    entropy = check_random_state(random_state).randint(1 << 32, size=4, dtype=np.uint32)
    return np.random.default_rng([KEY, *entropy.tolist()])


def random_share(n_entries, share, rng):
    """Choose a random share of some entries.

    Parameters
    ----------
    n_entries : int
        How many there are.
    share : float
        How much of them to choose, to the nearest entry.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        The chosen ones: one at least, if there is any.
    """
    mask = np.zeros(n_entries, dtype=bool)
    for start in range(0, n_entries, PART):
        part = mask[start : start + PART]
        n_chosen = max(1, round(share * len(part)))
        part[rng.choice(len(part), n_chosen, replace=False, shuffle=False)] = True
    return mask


def random_share_of_rows(rows, share, rng):
    """Choose a random share of entries such that no row loses all that it has.

    Parameters
    ----------
    rows : ndarray of int of shape (n_entries,)
        Where the entries are.
    share : float
        Probability of each to be chosen.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        The chosen ones: one at least, if any row has two entries.
    """
    draws = rng.random(len(rows))
    largest = np.zeros(rows.max(initial=-1) + 1)
    np.maximum.at(largest, rows, draws)
    # The entry with the largest draw stays.
    to_spare = draws < largest[rows]
    chosen = to_spare & (draws < share)
    if to_spare.any() and not chosen.any():
        chosen[np.where(to_spare, draws, 1).argmin()] = True
    return chosen


def random_block(shape, row_weight, share, rng):
    """Choose some rows and some columns, in which a block of complete data is hidden.

    Parameters
    ----------
    shape : tuple of two ints
        Of the data.
    row_weight : ndarray of shape (n_rows,) or None
        Rows of weight zero are not chosen.
    share : float
        How much of the rows to choose.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    rows : ndarray of bool of shape (n_rows,)
        The chosen ones: one at least where there are two, and never all that have a weight.
    columns : ndarray of bool of shape (n_columns,)
        Likewise.
    """
    candidates = np.ones(shape[0], dtype=bool) if row_weight is None else row_weight > 0
    return _some_but_not_all(candidates, share, rng), random_columns(shape[1], rng)


def random_columns(n_columns, rng):
    """Choose the columns that are hidden in rows that are set aside.

    Parameters
    ----------
    n_columns : int
        How many there are.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    columns : ndarray of bool of shape (n_columns,)
        The chosen ones: one at least where there are two, and never all.
    """
    return _some_but_not_all(np.ones(n_columns, dtype=bool), HIDDEN_COLUMNS, rng)


def _some_but_not_all(candidates, share, rng):
    positions = rng.permutation(np.flatnonzero(candidates))
    mask = np.zeros(len(candidates), dtype=bool)
    mask[positions[:-1][: max(1, round(share * len(positions)))]] = True
    return mask


def may_be_hidden(rows, columns, n_in_row, n_in_column):
    """Which of some entries can be hidden all at once, if no row and no column may be emptied.

    Parameters
    ----------
    rows, columns : ndarray of int of shape (n_entries,)
        Where the entries are.
    n_in_row, n_in_column : ndarray of int
        How many entries there are in each row and each column, hidden or not.

    Returns
    -------
    mask : ndarray of bool of shape (n_entries,)
        All but one of a row or column that would lose all.
    """
    mask = np.ones(len(rows), dtype=bool)
    for lines, n_in_line in ((rows, n_in_row), (columns, n_in_column)):
        emptied = np.bincount(lines, minlength=len(n_in_line)) == n_in_line
        named, first = np.unique(lines, return_index=True)
        mask[first[emptied[named]]] = False
    return mask
