"""Data whose rows are read in blocks."""

from copy import copy
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
    from_npy, from_csr, from_zarr, from_parquet : Of files.
    from_arrays : Of arrays in memory.

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
    # How to get rows in memory.
    _remedy = "Pass the rows of single blocks, as read(number) returns them."

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

    def __getitem__(self, rows):
        raise TypeError(
            f"{self!r} cannot be indexed: this method needs its rows in memory. {self._remedy}"
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"{self!r} is not loaded into memory automatically, which this method needs. "
            f"{self._remedy}"
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


def float_like(dtype):
    """The precision in which numbers of some kind are fitted, as scikit-learn has it."""
    return np.float32 if np.dtype(dtype) == np.float32 else np.float64
