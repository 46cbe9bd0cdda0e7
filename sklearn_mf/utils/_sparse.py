"""Sparse matrices on the way in: their indices are looked at before anything follows them.

Arrays of a SciPy matrix can be written to, and replaced. What follows an index that lies
outside of the matrix, in SciPy or in the kernels, reads memory that is not its own.
"""

from itertools import chain

import numpy as np
from scipy import sparse

# Kinds of dtypes whose sums have a largest value, after which they begin anew.
INTEGERS = "iub"


def sound_csr(X, name):
    """What a sparse matrix stores, in CSR format; it shares memory with X where it can.

    Zeros in the blocks of BSR and on the diagonals of DIA fill these up, and nothing tells them
    from zeros that were stored: they become entries that are not stored. What X says of
    itself, that its indices are sorted or that no entry comes twice, is not believed.

    Parameters
    ----------
    X : sparse matrix or array of any format
        May be malformed.
    name : str
        What a message calls it.

    Returns
    -------
    csr : csr_matrix or csr_array of the shape of X
        Its indices lie in the matrix. They may be unsorted, and come more than once; if they do,
        integers and booleans have a dtype that has room for their sums.

    Raises
    ------
    ValueError
        If an index lies outside of X, or its arrays do not fit one another. The message says
        where.
    """
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D input, got {name} of the shape {X.shape}. Reshape it: to one row if it "
            "is one sample, to one column if it is one feature."
        )
    try:
        csr = READERS[X.format](X, name)
    except Malformed as error:
        raise ValueError(
            f"{name} is malformed: {error}. The arrays of this {type(X).__name__} were changed "
            "after it was made, or made wrongly: build it anew."
        ) from None
    if csr.dtype.kind in INTEGERS and not csr.has_canonical_format:
        csr.data = _with_room_for_sums(csr.data)
    return csr


def entries_at(X, rows, columns):
    """What a CSR matrix has at some places, zero where it stores nothing."""
    if not len(rows):  # of which SciPy makes a matrix
        return np.zeros(0, dtype=X.dtype)
    return np.asarray(sparse.csr_array(X)[rows, columns]).ravel()


class Malformed(Exception):
    """Says what is wrong with a matrix, and where."""


def _container(X, name):
    """The class of matrices, or of arrays, as X is one."""
    return getattr(sparse, f"{name}_{'matrix' if isinstance(X, sparse.spmatrix) else 'array'}")


def _csr(X, name):
    _check_compressed(X, ("row", "column"), X.shape)
    return _new(X, "csr")


def _csc(X, name):
    _check_compressed(X, ("column", "row"), X.shape[::-1])
    return _new(X, "csc").tocsr()


def _bsr(X, name):
    blocks = X.data
    if getattr(blocks, "ndim", 0) != 3 or 0 in blocks.shape[1:]:
        raise Malformed("data has not the shape (n_blocks, height, width)")
    height, width = blocks.shape[1:]
    if X.shape[0] % height or X.shape[1] % width:
        raise Malformed(f"blocks of {height} x {width} do not fill up the shape {X.shape}")
    shape = X.shape[0] // height, X.shape[1] // width
    _check_compressed(X, ("row of blocks", "column of blocks"), shape)
    n_blocks = int(X.indptr[-1])
    indptr, block_columns = _index_pair(X.indptr, X.indices[:n_blocks])
    block_rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
    which, i, j = np.nonzero(blocks[:n_blocks])
    rows = block_rows[which] * height + i
    columns = block_columns[which].astype(np.int64) * width + j
    return _added_up(blocks[which, i, j], (rows, columns), X)


def _coo(X, name):
    rows, columns = _check_coordinates(X.coords if hasattr(X, "coords") else (X.row, X.col), X)
    _check_length("data", X.data, len(rows))
    return _added_up(X.data, (rows, columns), X)


def _dia(X, name):
    offsets = _check_integers("offsets", X.offsets)
    if X.data.ndim != 2 or len(X.data) != len(offsets):
        raise Malformed(
            f"data has the shape {X.data.shape}, and {len(offsets)} offsets need a row each"
        )
    n_rows, n_columns = X.shape
    outside = np.flatnonzero((offsets <= -n_rows) | (offsets >= n_columns))
    if len(outside):
        k = outside[0]
        raise Malformed(f"offsets[{k}]={offsets[k]} is no diagonal of the shape {X.shape}")
    if len(np.unique(offsets)) < len(offsets):
        raise Malformed("offsets has a diagonal more than once")
    return _container(X, "dia")((X.data, offsets), shape=X.shape).tocsr()


def _lil(X, name):
    rows, data = X.rows, X.data
    for part, lists in (("rows", rows), ("data", data)):
        _check_length(part, lists, X.shape[0])
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    unequal = np.flatnonzero(lengths != [len(row) for row in data])
    if len(unequal):
        i = unequal[0]
        raise Malformed(f"row {i} has {lengths[i]} columns, and {len(data[i])} values")
    columns = _check_integers("rows", np.array(list(chain.from_iterable(rows))))
    values = np.array(list(chain.from_iterable(data)), dtype=X.dtype)
    found = np.repeat(np.arange(X.shape[0]), lengths), columns
    _check_coordinates(found, X)
    return _added_up(values, found, X)


def _dok(X, name):
    keys = np.array(list(X.keys())).reshape(-1, 2)
    found = _check_coordinates((keys[:, 0], keys[:, 1]), X)
    values = np.array(list(X.values()), dtype=X.dtype)
    return _added_up(values, found, X)


READERS = {
    "csr": _csr,
    "csc": _csc,
    "bsr": _bsr,
    "coo": _coo,
    "dia": _dia,
    "lil": _lil,
    "dok": _dok,
}


def _new(X, name):
    """A matrix of checked arrays, without what X has in excess or says of itself."""
    indptr, indices = _index_pair(X.indptr, X.indices)
    n_stored = int(indptr[-1])
    arrays = X.data[:n_stored], indices[:n_stored], indptr
    return _container(X, name)(arrays, shape=X.shape)


def _added_up(values, cells, X):
    """Entries at rows and columns of X in CSR format, one for each place."""
    coo = _container(X, "coo")
    csr = coo((values, cells), shape=X.shape).tocsr()
    if values.dtype.kind in INTEGERS and csr.nnz < len(values):
        csr = coo((_with_room_for_sums(values), cells), shape=X.shape).tocsr()
    return csr


def _with_room_for_sums(values):
    """Integers or booleans as int64, or as float64 where their sums may not fit into that."""
    largest = np.abs(values.astype(np.float64)).sum()
    return values.astype(np.int64 if largest < 2.0**62 else np.float64, copy=False)


def _index_pair(indptr, indices):
    """Pointers and indices of one dtype that SciPy has loops for."""
    fits = indptr.dtype == indices.dtype and indptr.dtype in (np.int32, np.int64)
    return (indptr, indices) if fits else (indptr.astype(np.int64), indices.astype(np.int64))


def _check_compressed(X, sides, shape):
    """Check pointers and indices of a matrix whose ``shape`` is (outer, inner)."""
    indptr = _check_integers("indptr", X.indptr)
    indices = _check_integers("indices", X.indices)
    (outer, inner), (n_outer, n_inner) = sides, shape
    if len(indptr) != n_outer + 1:
        raise Malformed(
            f"indptr has the length {len(indptr)}, and {n_outer} {outer}s need {n_outer + 1}"
        )
    if indptr[0] != 0:
        raise Malformed(f"indptr begins with {indptr[0]}, not with 0")
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if len(falls):
        i = falls[0]
        raise Malformed(f"indptr falls from {indptr[i]} to {indptr[i + 1]} at {outer} {i}")
    if len(X.data) != len(indices):
        raise Malformed(f"data has the length {len(X.data)}, and indices has {len(indices)}")
    if np.ndim(X.data) != (3 if X.format == "bsr" else 1):
        raise Malformed(f"data must have one dimension, it has the shape {np.shape(X.data)}")
    n_stored = int(indptr[-1])
    if n_stored > len(indices):
        i = np.searchsorted(indptr, len(indices), side="right") - 1
        raise Malformed(
            f"indptr ends with {n_stored} ({outer} {i} is the first beyond), but data and indices "
            f"have the length {len(indices)}"
        )
    k = _first_outside(indices[:n_stored], n_inner)
    if k is not None:
        i = np.searchsorted(indptr, k, side="right") - 1
        raise Malformed(
            f"indices[{k}]={indices[k]} in {outer} {i} does not lie in [0, {n_inner}), the "
            f"{inner}s that there are"
        )


def _check_coordinates(coordinates, X):
    """Rows and columns of entries."""
    rows, columns = (
        _check_integers(part, indices)
        for part, indices in zip(("row", "col"), coordinates, strict=True)
    )
    _check_length("col", columns, len(rows))
    for part, indices, size in zip(("row", "col"), (rows, columns), X.shape, strict=True):
        k = _first_outside(indices, size)
        if k is not None:
            raise Malformed(
                f"{part}[{k}]={indices[k]}, of the entry at row {rows[k]} and column {columns[k]}, "
                f"does not lie in [0, {size})"
            )
    return rows, columns


def _first_outside(indices, size):
    """Where the first index is that does not lie in [0, size); None if all do."""
    if not len(indices) or (indices.min() >= 0 and indices.max() < size):
        return None
    return int(np.flatnonzero((indices < 0) | (indices >= size))[0])


def _check_integers(part, values):
    """One-dimensional integers; of the empty ones any number will do."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise Malformed(f"{part} must have one dimension, it has the shape {values.shape}")
    if not len(values):
        return values.astype(np.int32)
    if values.dtype.kind not in "iu":
        raise Malformed(f"{part} must be integers, it has the dtype {values.dtype}")
    return values


def _check_length(part, values, length):
    if np.ndim(values) != 1 or len(values) != length:
        raise Malformed(f"{part} has the shape {np.shape(values)}, it must be ({length},)")
