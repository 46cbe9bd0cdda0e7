"""Distribution of threads between BLAS and the kernels."""

from contextlib import nullcontext

from sklearn_mf.observations import DenseObservations, ObservedMatrix
from sklearn_mf.utils._threads import one_blas_thread


def threads_for(observations: ObservedMatrix, uses_kernels=False):
    """Return the context in which data are solved, with threads for BLAS or for the kernels."""
    dense = isinstance(observations, DenseObservations) and observations.complete
    return nullcontext() if dense and not uses_kernels else one_blas_thread()
