"""Data larger than memory, in blocks of rows that are read when their turn comes.

What lies in blocks is a :class:`RowBlocks`, which estimators take as X.
"""

from sklearn_mf.blocks._row_blocks import RowBlocks, from_arrays, from_npy

__all__ = ["RowBlocks", "from_arrays", "from_npy"]
