"""Data larger than memory, in blocks of rows that are read when their turn comes.

What lies in blocks is a :class:`RowBlocks`, which estimators take as X.
"""

from sklearn_mf.blocks._row_blocks import RowBlocks
from sklearn_mf.blocks._sources import from_arrays, from_csr, from_npy, from_parquet, from_zarr

__all__ = ["RowBlocks", "from_arrays", "from_csr", "from_npy", "from_parquet", "from_zarr"]
