"""Types of arguments, for the annotations of what users call."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

# Dense data, data frames included, or sparse data.
MatrixLike = ArrayLike | sparse.spmatrix | sparse.sparray
RandomState = int | np.random.RandomState | None

__all__ = ["ArrayLike", "MatrixLike", "RandomState"]
