"""How many threads the kernels may use."""

import os
from functools import cache

from joblib import cpu_count

from sklearn_mf import kernels

# Multiplications that make a thread worth waking: less than a millisecond of work.
WORK_PER_THREAD = 4_000_000

_cpu_count = cache(cpu_count)


def n_threads(work=float("inf")):
    """Threads for the kernels, as OpenMP, ``OMP_NUM_THREADS``, threadpoolctl and quotas say.

    Small work stays on one thread: where other processes keep the cores busy, threads that
    wait for one another cost more than they bring.

    Parameters
    ----------
    work : float, default=inf
        Multiplications to be done.

    Returns
    -------
    n_threads : int
        At least 1.
    """
    available = kernels.max_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        available = min(available, _cpu_count())
    return max(1, int(min(available, work / WORK_PER_THREAD)))
