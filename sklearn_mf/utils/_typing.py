"""Types of arguments, for the annotations of what users call."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

RandomState = int | np.random.RandomState | None
if TYPE_CHECKING:
    # Dense data, data frames included, or sparse data.
    MatrixLike = ArrayLike | sparse.spmatrix | sparse.sparray
else:
    MatrixLike = Any  # SciPy 1.10 has no sparray

__all__ = ["ArrayLike", "MatrixLike", "RandomState"]
