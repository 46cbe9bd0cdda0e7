"""Blocks of rows from files and from arrays, which are read a part at a time."""

from operator import index

import numpy as np
from scipy import sparse

from sklearn_mf.blocks._row_blocks import RowBlocks, float_like


def from_arrays(blocks, dtype=None):
    """Blocks of arrays or sparse matrices that are in memory, or mapped into it.

    Parameters
    ----------
    blocks : sequence of {ndarray, sparse matrix} of shape (n_rows, n_features)
        One below the other.
    dtype : {numpy.float32, numpy.float64}, default=None
        Precision of the fit; None for that of the first block.

    Returns
    -------
    X : RowBlocks
        What estimators take.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.blocks import from_arrays
    >>> from_arrays([np.ones((3, 2)), np.zeros((2, 2))])
    RowBlocks(n_samples=5, n_features=2, n_blocks=2)
    """
    blocks = list(blocks)
    if not blocks or any(len(np.shape(block)) != 2 for block in blocks):
        raise ValueError("blocks must hold matrices, one at least: each with two axes.")
    n_features = {block.shape[1] for block in blocks}
    if len(n_features) > 1:
        raise ValueError(f"All blocks must have the same columns, they have {sorted(n_features)}.")
    lengths = [block.shape[0] for block in blocks]
    dtype = float_like(blocks[0].dtype) if dtype is None else dtype
    return RowBlocks(blocks.__getitem__, lengths, n_features.pop(), dtype)


def from_npy(path, rows_per_block):
    """Blocks of a matrix in a file of NumPy, which is mapped and never read as a whole.

    Parameters
    ----------
    path : str or path-like
        Of a file that :func:`numpy.save` has written.
    rows_per_block : int
        Rows that are read at a time. About four blocks are in memory.

    Returns
    -------
    X : RowBlocks
        What estimators take.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from sklearn_mf.blocks import from_npy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.npy")
    ...     np.save(path, np.ones((10, 3), dtype=np.float32))
    ...     print(from_npy(path, rows_per_block=4))
    RowBlocks(n_samples=10, n_features=3, n_blocks=3)
    """
    table = np.load(path, mmap_mode="r")
    kind = _matrix(table, path)
    del table  # opened anew for each block, so that pages that were read may go

    def read(rows):
        return np.array(np.load(path, mmap_mode="r")[rows])

    return _of_slices(read, kind, rows_per_block)


def from_zarr(array, rows_per_block):
    """Blocks of a matrix in a Zarr array, on disk or in an object store.

    Parameters
    ----------
    array : zarr.Array
        Of two axes; NaN where something is missing.
    rows_per_block : int
        Rows that are read at a time; a multiple of those of its chunks reads none of them twice.

    Returns
    -------
    X : RowBlocks
        What estimators take.

    Examples
    --------
    >>> import numpy as np, zarr  # doctest: +SKIP
    >>> from_zarr(zarr.open_array("X.zarr", mode="r"), rows_per_block=10_000)  # doctest: +SKIP
    RowBlocks(n_samples=1000000, n_features=500, n_blocks=100)
    """

    def read(rows):
        return np.asarray(array[rows])

    return _of_slices(read, _matrix(array, "array"), rows_per_block)


def from_csr(X, rows_per_block):
    """Blocks of a sparse matrix in CSR layout, whose arrays may be mapped from files.

    Parameters
    ----------
    X : csr_array, csr_matrix, or tuple of (data, indices, indptr, shape)
        The matrix, or the arrays that it is made of: such as those that
        ``numpy.load(path, mmap_mode="r")`` maps.
    rows_per_block : int
        Rows that are read at a time.

    Returns
    -------
    X : RowBlocks
        What estimators take.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_mf.blocks import from_csr
    >>> X = sparse.random_array((10, 4), density=0.5, format="csr", random_state=0)
    >>> from_csr((X.data, X.indices, X.indptr, X.shape), rows_per_block=5)
    RowBlocks(n_samples=10, n_features=4, n_blocks=2)
    """
    arrays = X if isinstance(X, tuple) else (X.data, X.indices, X.indptr, X.shape)
    data, indices, indptr, shape = arrays
    if len(indptr) != shape[0] + 1 or len(data) != len(indices):
        raise ValueError(
            f"indptr has {len(indptr)} numbers, indices {len(indices)} and data {len(data)}: of "
            f"{shape[0]} rows they must be {shape[0] + 1}, and as many indices as data."
        )

    def read(rows):
        starts = np.asarray(indptr[rows.start : rows.stop + 1])
        entries = slice(int(starts[0]), int(starts[-1]))
        own = np.array(data[entries]), np.array(indices[entries]), starts - starts[0]
        return sparse.csr_array(own, shape=(len(starts) - 1, shape[1]))

    return _of_slices(read, (shape, data.dtype), rows_per_block)


def from_parquet(path, columns=None):
    """Blocks of a wide table in files of Parquet: each row group is one.

    Parameters
    ----------
    path : str, path-like or list of them
        Files that have the same columns, one below the other.
    columns : list of str, default=None
        Columns to read, all of numbers; None for all of them. Their names become those of the
        features; null is missing.

    Returns
    -------
    X : RowBlocks
        What estimators take. It needs pyarrow, which ``pip install sklearn-mf[dask]`` brings
        along.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from sklearn_mf.blocks import from_parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.parquet")
    ...     pd.DataFrame({"a": [1.0, 2.0, None], "b": [2.0, 4.0, 6.0]}).to_parquet(path)
    ...     print(from_parquet(path))
    RowBlocks(n_samples=3, n_features=2, n_blocks=1)
    """
    from pyarrow import parquet

    paths = path if isinstance(path, list | tuple) else [path]
    groups, lengths, schema = [], [], None
    for one in paths:
        with parquet.ParquetFile(one) as file:
            own = file.schema_arrow if columns is None else _chosen(file.schema_arrow, columns, one)
            if schema is not None and own.names != schema.names:
                raise ValueError(f"{one} has other columns than {paths[0]}.")
            schema = schema or own
            for group in range(file.num_row_groups):
                groups.append((one, group))
                lengths.append(file.metadata.row_group(group).num_rows)
    heading = schema.empty_table()
    names = schema.names
    is_short = all(str(kind) in ("float", "halffloat") for kind in schema.types)
    dtype = np.float32 if is_short else np.float64

    def read(number):
        one, group = groups[number]
        with parquet.ParquetFile(one) as file:
            table = file.read_row_group(group, columns=names)
        parts = [table[name].to_numpy() for name in names]
        return np.column_stack([part.astype(dtype) for part in parts])

    return RowBlocks(read, lengths, len(names), dtype, heading)


def _chosen(schema, columns, path):
    """The part of a schema that is asked for, in the order in which it is."""
    import pyarrow

    unknown = [name for name in columns if name not in schema.names]
    if unknown:
        raise ValueError(f"{path} has no column {unknown[0]!r}.")
    return pyarrow.schema([schema.field(name) for name in columns])


def _matrix(array, name):
    if len(array.shape) != 2:
        raise ValueError(f"{name} holds an array of shape {array.shape}: it must be a matrix.")
    return array.shape, array.dtype


def _of_slices(read, kind, rows_per_block):
    """Blocks of so many rows each, which are read by a slice of their numbers."""
    (n_rows, n_columns), dtype = kind
    if index(rows_per_block) < 1:
        raise ValueError(f"rows_per_block={rows_per_block} must be at least 1.")
    starts = list(range(0, n_rows, rows_per_block))
    stops = [*starts[1:], n_rows]

    def read_block(number):
        return read(slice(starts[number], stops[number]))

    lengths = np.subtract(stops, starts)
    return RowBlocks(read_block, lengths, n_columns, float_like(dtype))
