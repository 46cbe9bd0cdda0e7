"""Data whose rows are read in blocks."""

from copy import copy
from functools import partial
from operator import index

import numpy as np

from sklearn_mf.blocks._engine import LoopEngine


class RowBlocks:
    """A matrix that is larger than memory: its rows are read in blocks, a few at a time.

    :class:`~sklearn_mf.MatrixFactorization` takes it as X. Every sweep of a fit reads all blocks
    once, the next one while it works on the last; the factors are in memory. It is made by the
    functions of `sklearn_mf.blocks`, or of anything that can be called.

    Parameters
    ----------
    read : callable
        Gets the number of a block; returns its rows, an ndarray or a sparse matrix: the same
        whenever it is asked.
    lengths : array-like of int of shape (n_blocks,)
        How many rows each block has.
    n_features : int
        How many columns all blocks have.
    dtype : {numpy.float32, numpy.float64}, default=numpy.float64
        Precision of what is read, and of the fit.
    heading : DataFrame or None, default=None
        A table without rows whose columns have the names of the features.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    n_blocks : int
        How many blocks there are.
    n_reads : int
        How many blocks have been read so far.

    See Also
    --------
    from_arrays : Of arrays in memory.
    from_npy : Of a file of NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.blocks import RowBlocks
    >>> def read(number):  # such as of one file after the other
    ...     return np.outer(np.arange(4) + 4 * number, [1.0, 2.0, 3.0])
    >>> X = RowBlocks(read, lengths=[4, 4], n_features=3)
    >>> X
    RowBlocks(n_samples=8, n_features=3, n_blocks=2)
    >>> model = MatrixFactorization(1, alpha_W=0).fit(X)
    >>> print(model.components_.round(2))
    [[0.27 0.53 0.8 ]]
    """

    ndim = 2

    def __init__(self, read, lengths, n_features, dtype=np.float64, heading=None):
        if not callable(read):
            raise TypeError(f"read must be callable with the number of a block, got {read!r}.")
        lengths = np.atleast_1d(np.asarray(lengths))
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not (lengths > 0).all():
            raise ValueError(
                "lengths must hold the number of rows of every block, positive integers: leave "
                "out blocks without rows."
            )
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype={dtype!r} is not possible: use numpy.float32 or float64.")
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.shape = int(self.starts[-1]), index(n_features)
        self.dtype, self.heading = np.dtype(dtype), heading
        self._read, self._reads = read, []

    @property
    def n_reads(self):
        """How many blocks have been read so far."""
        return len(self._reads)

    @property
    def n_blocks(self):
        """How many blocks there are."""
        return len(self.starts) - 1

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        n_samples, n_features = self.shape
        return (
            f"{type(self).__name__}(n_samples={n_samples}, n_features={n_features}, "
            f"n_blocks={self.n_blocks})"
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"{self!r} is not pulled into memory unasked. Where it fits, stack the blocks that "
            "read(number) returns."
        )

    def read(self, number):
        """The rows of one block.

        Parameters
        ----------
        number : int
            Of the block, from 0.

        Returns
        -------
        rows : ndarray or sparse matrix
            As they are stored.
        """
        rows = self._read(number)
        self._reads.append(number)
        expected = int(self.starts[number + 1] - self.starts[number]), self.shape[1]
        if np.shape(rows) != expected:
            raise ValueError(
                f"Block {number} of X has the shape {np.shape(rows)}, it must be {expected}: "
                "lengths and n_features say so."
            )
        return rows

    def checked(self, check):
        """The same data, each block of which is validated when it is read."""
        other = copy(self)
        other.check = check
        return other

    def engine(self, weights=None):
        """Who visits the blocks.

        Parameters
        ----------
        weights : RowBlocks or None
            Of every entry, in the same blocks.

        Returns
        -------
        engine : LoopEngine
            Of validated blocks with their weights.
        """

        def read(number):
            own = None if weights is None else weights.read(number)
            return self.check(self.read(number), int(self.starts[number]), own)

        return LoopEngine(self.starts, read)


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
        Rows that are read at a time. Four blocks are in memory at most.

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
    if table.ndim != 2:
        raise ValueError(f"{path} holds an array of shape {table.shape}: it must be a matrix.")
    shape, dtype = table.shape, table.dtype
    del table  # opened anew for each block, so that pages that were read may go

    def read(rows):
        return np.array(np.load(path, mmap_mode="r")[rows])

    return of_slices(read, shape, dtype, rows_per_block)


def of_slices(read, shape, dtype, rows_per_block):
    """Blocks of so many rows each, which are read by a slice of their numbers."""
    if index(rows_per_block) < 1:
        raise ValueError(f"rows_per_block={rows_per_block} must be at least 1.")
    starts = np.arange(0, shape[0], rows_per_block)
    lengths = np.diff(np.append(starts, shape[0]))
    return RowBlocks(partial(_slice, read, starts, lengths), lengths, shape[1], float_like(dtype))


def _slice(read, starts, lengths, number):
    return read(slice(int(starts[number]), int(starts[number] + lengths[number])))


def float_like(dtype):
    """The precision in which numbers of some kind are fitted, as scikit-learn has it."""
    return np.float32 if np.dtype(dtype) == np.float32 else np.float64
