"""Validation of the structure of sparse matrices before their indices are used.

The arrays of a SciPy matrix can be modified or replaced by the user. SciPy and the kernels would
access invalid memory with an index outside of the matrix.
"""

from itertools import chain

import numpy as np
from scipy import sparse

# Kinds of dtypes whose sums may overflow.
INTEGERS = "iub"


def sound_csr(X, name):
    """Return a sparse matrix in CSR format, sharing memory with X if possible.

    Blocks of BSR and diagonals of DIA are padded with zeros, which cannot be distinguished from
    stored ones: these become unstored entries. The flags of X for sorted indices and unique entries
    are not trusted.

    Parameters
    ----------
    X : sparse matrix or array of any format
        A sparse matrix, possibly malformed.
    name : str
        Name of the matrix for messages.

    Returns
    -------
    csr : csr_matrix or csr_array of the shape of X
        A matrix with valid indices. They may be unsorted and repeated; if so, integers and booleans
        have a dtype in which their sums do not overflow.

    Raises
    ------
    ValueError
        If an index is outside of X, or if the lengths of its arrays do not match. The message names
        the place.
    """
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D input, got {name} of shape {X.shape}. Reshape it to one row if it is a "
            "single sample, or to one column if it is a single feature."
        )
    try:
        csr = READERS[X.format](X, name)
    except Malformed as error:
        raise ValueError(
            f"{name} is malformed: {error}. The arrays of this {type(X).__name__} were created "
            "wrongly or modified later: create it again."
        ) from None
    if csr.dtype.kind in INTEGERS and not csr.has_canonical_format:
        csr.data = _with_room_for_sums(csr.data)
    return csr


def entries_at(X, rows, columns):
    """Return the entries of a CSR matrix at some positions, zero if they are not stored."""
    if not len(rows):  # SciPy would return a matrix
        return np.zeros(0, dtype=X.dtype)
    return np.asarray(sparse.csr_array(X)[rows, columns]).ravel()


class Malformed(Exception):
    """The error for a malformed matrix, with the place."""


def _container(X, name):
    """Return the matrix or array class of a format, depending on the class of X."""
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
        raise Malformed("data does not have shape (n_blocks, height, width)")
    height, width = blocks.shape[1:]
    if X.shape[0] % height or X.shape[1] % width:
        raise Malformed(f"blocks of {height} x {width} do not fill the shape {X.shape}")
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
            f"data has shape {X.data.shape}, but {len(offsets)} offsets need one row each"
        )
    n_rows, n_columns = X.shape
    outside = np.flatnonzero((offsets <= -n_rows) | (offsets >= n_columns))
    if len(outside):
        k = outside[0]
        raise Malformed(f"offsets[{k}]={offsets[k]} is not a diagonal of the shape {X.shape}")
    if len(np.unique(offsets)) < len(offsets):
        raise Malformed("offsets contains a diagonal more than once")
    return _container(X, "dia")((X.data, offsets), shape=X.shape).tocsr()


def _lil(X, name):
    rows, data = X.rows, X.data
    for part, lists in (("rows", rows), ("data", data)):
        _check_length(part, lists, X.shape[0])
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    unequal = np.flatnonzero(lengths != [len(row) for row in data])
    if len(unequal):
        i = unequal[0]
        raise Malformed(f"row {i} has {lengths[i]} columns, but {len(data[i])} values")
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
    """Return a matrix with checked arrays, without unused elements and flags of X."""
    indptr, indices = _index_pair(X.indptr, X.indices)
    n_stored = int(indptr[-1])
    arrays = X.data[:n_stored], indices[:n_stored], indptr
    return _container(X, name)(arrays, shape=X.shape)


def _added_up(values, cells, X):
    """Return entries at rows and columns of X in CSR format, summing repeated positions."""
    coo = _container(X, "coo")
    csr = coo((values, cells), shape=X.shape).tocsr()
    if values.dtype.kind in INTEGERS and csr.nnz < len(values):
        csr = coo((_with_room_for_sums(values), cells), shape=X.shape).tocsr()
    return csr


def _with_room_for_sums(values):
    """Convert integers or booleans to int64, or to float64 if their sums might overflow."""
    largest = np.abs(values.astype(np.float64)).sum()
    return values.astype(np.int64 if largest < 2.0**62 else np.float64, copy=False)


def _index_pair(indptr, indices):
    """Return pointers and indices with the same dtype, supported by SciPy."""
    fits = indptr.dtype == indices.dtype and indptr.dtype in (np.int32, np.int64)
    return (indptr, indices) if fits else (indptr.astype(np.int64), indices.astype(np.int64))


def _check_compressed(X, sides, shape):
    """Check pointers and indices of a matrix with ``shape`` (outer, inner)."""
    indptr = _check_integers("indptr", X.indptr)
    indices = _check_integers("indices", X.indices)
    (outer, inner), (n_outer, n_inner) = sides, shape
    if len(indptr) != n_outer + 1:
        raise Malformed(
            f"indptr has length {len(indptr)}, but {n_outer} {outer}s need {n_outer + 1}"
        )
    if indptr[0] != 0:
        raise Malformed(f"indptr begins with {indptr[0]} instead of 0")
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if len(falls):
        i = falls[0]
        raise Malformed(f"indptr decreases from {indptr[i]} to {indptr[i + 1]} at {outer} {i}")
    if len(X.data) != len(indices):
        raise Malformed(f"data has length {len(X.data)}, but indices has length {len(indices)}")
    if np.ndim(X.data) != (3 if X.format == "bsr" else 1):
        raise Malformed(f"data must have one dimension, but has shape {np.shape(X.data)}")
    n_stored = int(indptr[-1])
    if n_stored > len(indices):
        i = np.searchsorted(indptr, len(indices), side="right") - 1
        raise Malformed(
            f"indptr ends with {n_stored} ({outer} {i} is the first one beyond), but data and "
            f"indices have length {len(indices)}"
        )
    k = _first_outside(indices[:n_stored], n_inner)
    if k is not None:
        i = np.searchsorted(indptr, k, side="right") - 1
        raise Malformed(
            f"indices[{k}]={indices[k]} in {outer} {i} is not in [0, {n_inner}), the range of the "
            f"{inner}s"
        )


def _check_coordinates(coordinates, X):
    """Check rows and columns of entries."""
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
                f"is not in [0, {size})"
            )
    return rows, columns


def _first_outside(indices, size):
    """Return the position of the first index outside of [0, size), or None."""
    if not len(indices) or (indices.min() >= 0 and indices.max() < size):
        return None
    return int(np.flatnonzero((indices < 0) | (indices >= size))[0])


def _check_integers(part, values):
    """Check one-dimensional integers; empty arrays may have any dtype."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise Malformed(f"{part} must have one dimension, but has shape {values.shape}")
    if not len(values):
        return values.astype(np.int32)
    if values.dtype.kind not in "iu":
        raise Malformed(f"{part} must be integers, but has dtype {values.dtype}")
    return values


def _check_length(part, values, length):
    if np.ndim(values) != 1 or len(values) != length:
        raise Malformed(f"{part} has shape {np.shape(values)}, but must have shape ({length},)")
