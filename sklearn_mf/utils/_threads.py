"""Threads: how many the kernels may use, and BLAS held to one beside them."""

import os
import threading
from contextlib import contextmanager
from functools import cache

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from sklearn_mf import kernels

# Multiplications that make a thread worth waking: less than a millisecond of work.
WORK_PER_THREAD = 4_000_000

_cpu_count = cache(cpu_count)
_controller = cache(ThreadpoolController)  # a millisecond to make, a hundredth of one to use

_lock = threading.Lock()
_inside = 0
_limit = None


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


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread.

    For matrices so small that its threads would wait for one another, and around parallel
    kernels: threads of BLAS keep spinning for a while after their work, on the same cores.

    BLAS limits belong to the process, so the first of several Python threads sets the
    limit and the last one lifts it: the order in which they leave does not matter.
    """
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()
                _limit = None
