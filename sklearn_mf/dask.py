"""Collections of Dask as X: each chunk of rows is a block, worked on where it lies.

Estimators take a dask array or dataframe as they take an array: nothing of this module needs to be
called for it, but :func:`csr_from_triplets` where a long table shall become one. It needs Dask,
which ``pip install sklearn-mf[dask]`` brings along.
"""

import sys
from concurrent.futures import CancelledError
from copy import deepcopy
from functools import partial, reduce
from operator import itemgetter
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
from dask.delayed import delayed
from scipy import sparse

from sklearn_mf.blocks._engine import added, of_rows, put
from sklearn_mf.blocks._row_blocks import RowBlocks, float_like

__all__ = ["LabeledChunks", "csr_from_triplets"]

# Parts that are added up in one task.
FAN_IN = 4
# What is said of graphs that are larger: the factors travel in them, as they must.
LARGE_GRAPH = {"distributed.admin.large-graph-warning-threshold": "1GB"}
# Schedulers, as Dask calls them, that are a client's.
CLUSTER = (None, "distributed", "dask.distributed")
# Seconds between looks at the scheduler, and after which a silent one is given up.
POLL, PATIENCE = 1, 5
GONE = (
    "The scheduler of the Dask cluster does not answer any more. Start the cluster again, and fit "
    "again."
)


class DaskEngine:
    """Visits as tasks: on a cluster where there is a client, else in threads of this process.

    The factors are with the client, and travel with the tasks; sums are made by a tree over the
    numbers of the blocks, whoever holds them. So a worker that is lost takes nothing along that
    cannot be made again, and the bits do not depend on how many there are.

    Parameters
    ----------
    starts : ndarray of int of shape (n_blocks + 1,)
        The first row of each block, and the number of rows.
    blocks : list of Delayed
        The blocks.
    keep : bool
        Whether what is made of blocks is kept where they are.
    """

    def __init__(self, starts, blocks, *, keep=False):
        self.starts, self.blocks, self.keep = starts, blocks, keep

    def prepared(self, look, rows=()):
        """An engine whose blocks are looked at where they are; see `LoopEngine.prepared`."""
        blocks = [
            _task(look, block, *(of_rows(numbers, part) for numbers in rows))
            for part, block in self._parts()
        ]
        if self.keep:
            blocks = list(dask.persist(*blocks))
        return DaskEngine(self.starts, blocks, keep=self.keep)

    def _parts(self):
        for number, block in enumerate(self.blocks):
            yield slice(*self.starts[number : number + 2]), block

    def __iter__(self):
        """Yield (first row, block), one block after the other here."""
        for part, block in self._parts():
            yield part.start, computed(block)[0]

    def map(self, function, rows=(), shared=()):
        """What is kept of all rows; see `LoopEngine.map`."""
        return self._put(computed(*self._tasks(_mapped, (function, rows, shared))))

    def sum(self, function, rows=(), shared=()):
        """What is added up; see `LoopEngine.sum`."""
        return computed(_tree(self._tasks(_summed, (function, rows, shared))))[0]

    def visit(self, function, rows=(), shared=()):
        """Both; see `LoopEngine.visit`."""
        pairs = self._tasks(_visited, (function, rows, shared))
        sums = _tree([_task(itemgetter(1), pair) for pair in pairs])
        *kept, total = computed(*(_task(itemgetter(0), pair) for pair in pairs), sums)
        return self._put(kept), total

    def _tasks(self, work, question):
        function, rows, shared = question
        shared = delayed(shared, traverse=False, pure=False)
        return [
            _task(work, block, function, tuple(of_rows(r, part) for r in rows), shared)
            for part, block in self._parts()
        ]

    def _put(self, found):
        kept = None
        for (part, _), own in zip(self._parts(), found, strict=True):
            kept = put(kept, part, own, self.starts[-1])
        return kept


def computed(*tasks):
    """What tasks give, on a cluster if there is a client of one.

    Raises
    ------
    RuntimeError
        If data or workers are lost for good, or nobody answers: in words that say what to do.
    """
    client = _client()
    if client is None:
        return dask.compute(*tasks)
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    with dask.config.set(LARGE_GRAPH):
        futures = client.compute(list(tasks))
    try:
        _wait(client, futures)
        return tuple(client.gather(futures))
    except KilledWorker as error:
        raise RuntimeError(
            "Workers of the Dask cluster died of a task, the last of them again and again: most "
            "likely a chunk of X is too large for their memory. Use smaller chunks, as by "
            "X.rechunk({0: n_rows, 1: -1}), or workers with more memory."
        ) from error
    except CancelledError as error:
        if client.status != "running":
            raise RuntimeError(GONE) from error
        raise RuntimeError(
            "Chunks of X were lost with a worker of the Dask cluster, and cannot be made again, as "
            "scattered data cannot. Read X from a source, such as files, instead of "
            "client.scatter."
        ) from error
    except (CommClosedError, ConnectionError) as error:
        raise RuntimeError(GONE) from error
    except BaseException:
        client.cancel(futures)
        raise


def _client():
    """The client that Dask would compute with, if any."""
    distributed = sys.modules.get("distributed")
    if distributed is None or dask.config.get("scheduler", None) not in CLUSTER:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _wait(client, futures):
    """Until all futures are done, or the scheduler has not answered for some seconds."""
    from distributed import wait

    silent = 0
    while True:
        try:
            wait(futures, timeout=POLL)
            return
        except TimeoutError:
            silent = 0 if client.status == "running" else silent + 1
            if silent * POLL > PATIENCE:
                raise RuntimeError(GONE) from None


def _task(function, *arguments):
    return delayed(function, pure=False, traverse=False)(*arguments)


def _tree(parts):
    """The sum of parts, a few in a task, in their order."""
    while len(parts) > 1:
        groups = [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
        parts = [_task(_sum_of, *group) if len(group) > 1 else group[0] for group in groups]
    return parts[0]


def _visited(block, function, rows, shared):
    return function(block, None, *rows, *shared)


def _mapped(block, function, rows, shared):
    return function(block, None, *rows, *shared)[0]


def _summed(block, function, rows, shared):
    return function(block, None, *rows, *shared)[1]


def _sum_of(first, *others):
    """Of several parts; the first is not written to, as it may be asked for again."""
    return reduce(added, others, deepcopy(first))


class DaskBlocks(RowBlocks):
    """Chunks of rows of a dask array.

    Parameters
    ----------
    array : dask.array.Array
        In chunks of whole rows.
    heading : DataFrame or None
        Without rows, of the columns' names.
    """

    _remedy = "Pass X.compute(), or X[start:stop].compute() for some of its rows."

    def __init__(self, array, heading=None):
        self.array = array
        self.parts = list(array.to_delayed().ravel())
        super().__init__(self._computed, array.chunks[0], array.shape[1], float_like(array.dtype))
        self.heading = heading

    def _computed(self, number):
        return computed(self.parts[number])[0]

    def engine(self, weights=None):
        """Who visits the chunks."""
        others = [None] * self.n_blocks if weights is None else weights.parts
        starts = self.starts[:-1].tolist()
        parts = zip(self.parts, starts, others, strict=True)
        blocks = [_task(self.check, *arguments) for arguments in parts]
        return DaskEngine(self.starts, blocks, keep=is_persisted(self.array))


def is_persisted(array):
    """Whether every chunk has been computed and is kept."""
    graph = dict(array.__dask_graph__())
    return len(graph) <= array.npartitions and not any(map(_is_task, graph.values()))


def _is_task(value):
    return callable(getattr(value, "func", None))


def heading_of(X):
    """What the columns are called: a frame without rows, or an array itself."""
    if not hasattr(X, "columns"):
        return X
    import pandas as pd

    return pd.DataFrame(columns=X.columns)


def by_chunks(function, X, n_columns, dtype, entry_weight=None):
    """What a function of rows gives, in the same chunks of rows, computed when it is asked for.

    Parameters
    ----------
    function : callable
        Gets the rows of a chunk, and their weights if there are some.
    X : dask.array.Array or dask.dataframe.DataFrame
        Rows.
    n_columns : int
        Of what the function gives.
    dtype : dtype
        Likewise.
    entry_weight : dask.array.Array or None
        In the chunks of X.

    Returns
    -------
    rows : dask.array.Array
        Nothing is computed yet.
    """
    X = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    _check_columns(X, "X")
    arrays = [X]
    if entry_weight is not None:
        _check_columns(entry_weight, "entry_weight")
        if entry_weight.chunks != X.chunks:
            raise ValueError(
                "entry_weight must lie in the chunks of X: use entry_weight.rechunk(X.chunks)."
            )
        arrays.append(entry_weight)
    meta, chunks = np.empty((0, 0), dtype), (X.chunks[0], (n_columns,))
    return da.map_blocks(function, *arrays, dtype=dtype, chunks=chunks, meta=meta)


def _check_columns(X, name):
    if X.ndim != 2:
        raise ValueError(f"{name} has {X.ndim} axes, it must have two: rows and columns.")
    if len(X.chunks[1]) > 1:
        raise ValueError(
            f"{name} is cut into {len(X.chunks[1])} chunks along its columns, and every chunk must "
            f"hold whole rows: use {name}.rechunk({{1: -1}})."
        )


def row_blocks(X, name="X"):
    """A dask array or dataframe as blocks of rows.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
        Chunks of arrays or of CSR matrices.
    name : str, default="X"
        What a message calls it.

    Returns
    -------
    blocks : DaskBlocks
        Nothing is computed, but how many rows the partitions of a dataframe have.
    """
    heading = None
    if hasattr(X, "to_dask_array"):
        heading, X = heading_of(X), X.to_dask_array(lengths=True)
    if not isinstance(X, da.Array):
        raise TypeError(f"{name} is a Dask {type(X).__name__}: pass an array or a dataframe.")
    _check_columns(X, name)
    if np.isnan(X.shape).any():
        raise ValueError(
            f"{name} does not know how many rows its chunks have: call "
            f"{name}.compute_chunk_sizes() first."
        )
    if 0 in X.chunks[0]:
        raise ValueError(
            f"{name} has chunks without rows: use {name}.rechunk({{0: n_rows, 1: -1}})."
        )
    return DaskBlocks(X, heading)


class LabeledChunks(NamedTuple):
    """A sparse dask array, and what its rows and columns are called.

    Attributes
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        Of CSR chunks of whole rows.
    row_labels : ndarray of shape (n_samples,)
        What the rows are called, sorted.
    column_labels : ndarray of shape (n_features,)
        What the columns are called, sorted.
    """

    X: da.Array
    row_labels: np.ndarray
    column_labels: np.ndarray


def csr_from_triplets(frame, *, row, column, value, n_chunks=None, dtype=np.float32):
    """A sparse dask array of a long table, in which the entries of a row may be anywhere.

    The table is read twice: for the labels, and to bring what belongs to a row together, which
    Dask's shuffle does through memory, disk and network. The array can be persisted where it fits
    into the memory of the workers.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        A row for each entry.
    row, column : str
        Names of the columns that say where an entry is: labels of any kind that can be sorted.
    value : str
        Name of the column of values. Where a pair of labels comes twice, values are added.
    n_chunks : int, default=None
        How many chunks to make; None for as many as the table has partitions.
    dtype : {numpy.float32, numpy.float64}, default=numpy.float32
        Precision of the values.

    Returns
    -------
    chunks : LabeledChunks
        The array, and the labels of its rows and columns.

    Examples
    --------
    >>> import pandas as pd
    >>> import dask.dataframe as dd
    >>> from sklearn_mf.dask import csr_from_triplets
    >>> table = pd.DataFrame(
    ...     {"user": ["b", "a", "b"], "item": ["y", "x", "x"], "stars": [3.0, 4.0, 5.0]}
    ... )
    >>> ratings = dd.from_pandas(table, npartitions=2)
    >>> found = csr_from_triplets(ratings, row="user", column="item", value="stars")
    >>> found.row_labels
    array(['a', 'b'], dtype=object)
    >>> found.X.compute().toarray()
    array([[4., 0.],
           [5., 3.]], dtype=float32)
    """
    for name in (row, column, value):
        if name not in frame.columns:
            raise ValueError(f"frame has no column {name!r}: it has {list(frame.columns)}.")
    rows, columns = (
        np.sort(np.asarray(labels, dtype=labels.dtype if labels.dtype.kind in "iuf" else object))
        for labels in map(np.asarray, dask.compute(frame[row].unique(), frame[column].unique()))
    )
    if not len(rows):
        raise ValueError("frame has no row: there is no entry to make a matrix of.")
    n_chunks = min(n_chunks or frame.npartitions, len(rows))
    starts = np.linspace(0, len(rows), n_chunks + 1).astype(int)
    numbers = partial(_numbered, names=(row, column, value), labels=(rows, columns), dtype=dtype)
    meta = {"i": np.int64, "j": np.int64, "value": np.dtype(dtype)}
    numbered = frame.map_partitions(numbers, meta=meta)
    divisions = [*starts[:-1].tolist(), len(rows) - 1]
    together = numbered.set_index("i", divisions=divisions)
    empty = sparse.csr_array((0, len(columns)), dtype=dtype)
    chunks = []
    for number, part in enumerate(together.to_delayed()):
        first, last = int(starts[number]), int(starts[number + 1])
        shape = last - first, len(columns)
        matrix = delayed(_matrix_of_triplets)(part, first, shape)
        chunks.append(da.from_delayed(matrix, shape=shape, dtype=empty.dtype, meta=empty))
    return LabeledChunks(da.concatenate(chunks), rows, columns)


def _numbered(part, names, labels, dtype):
    """Numbers of the labels of a partition."""
    row, column, value = (part[name] for name in names)
    rows, columns = labels
    return part.__class__(
        {
            "i": np.searchsorted(rows, row.to_numpy(dtype=rows.dtype)).astype(np.int64),
            "j": np.searchsorted(columns, column.to_numpy(dtype=columns.dtype)).astype(np.int64),
            "value": value.to_numpy(dtype=dtype),
        }
    )


def _matrix_of_triplets(part, first, shape):
    where = part.index.to_numpy() - first, part["j"].to_numpy()
    return sparse.coo_array((part["value"].to_numpy(), where), shape=shape).tocsr()
