"""Whose threads work while data are solved."""

from contextlib import nullcontext

from sklearn_mf.observations import DenseObservations, ObservedMatrix
from sklearn_mf.utils._threads import one_blas_thread


def threads_for(observations: ObservedMatrix, uses_kernels=False):
    """Context in which these data are solved: threads for BLAS, or for the kernels."""
    dense = isinstance(observations, DenseObservations) and observations.complete
    return nullcontext() if dense and not uses_kernels else one_blas_thread()
