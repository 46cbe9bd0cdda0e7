"""Number of threads of the kernels, and limits for the threads of BLAS."""

import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import count

import numpy as np
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from sklearn_mf import kernels

# Number of multiplications that justify another thread: less than a millisecond of work.
WORK_PER_THREAD = 4_000_000
# Cost of accessing a stored entry, in multiplications.
LOOKUP = 16

_cpu_count = cache(cpu_count)
_controller = cache(ThreadpoolController)  # slow to create (1 ms), fast to use (0.01 ms)

_lock = threading.RLock()
_holds = set()  # ids of the active blocks that limit BLAS to one thread
_local = threading.local()
_left_behind = []  # limits that the last of them must remove
_numbers = count()
_is_fork = False


def n_threads(work=float("inf")):
    """Return the number of threads for a kernel.

    It depends on OpenMP, ``OMP_NUM_THREADS``, threadpoolctl and CPU quotas.

    Little work uses one thread: if other processes use the cores, threads that wait for one another
    cost more than they save. Python threads that fit at the same time share the threads. Results do
    not depend on the number of threads. A forked process uses one thread, because OpenMP would wait
    for threads that no longer exist.

    Parameters
    ----------
    work : float, default=inf
        Number of multiplications.

    Returns
    -------
    n_threads : int
        Number of threads, at least 1.
    """
    if _is_fork:
        return 1
    available = kernels.max_threads()
    if not os.environ.get("OMP_NUM_THREADS"):
        available = min(available, _cpu_count())
    return max(1, int(min(available // max(1, len(_holds)), work / WORK_PER_THREAD)))


def n_threads_for_entries(n_entries, work):
    """Return the number of threads for kernels that access stored entries.

    Parameters
    ----------
    n_entries : int
        Number of stored entries.
    work : float
        Number of multiplications for each entry.

    Returns
    -------
    n_threads : int
        Number of threads, at least 1.
    """
    return n_threads(n_entries * (LOOKUP + work))


def one_blas_thread():
    """Limit BLAS to one thread.

    This is for matrices so small that its threads would wait for one another, and for parallel
    kernels: BLAS threads keep spinning for a while after their work, on the same cores.

    The limit of OpenBLAS applies to the process, so the last of several Python threads removes it,
    in whatever order they leave. Other limits apply to the Python thread that set them.

    Returns
    -------
    context : context manager
        A context manager. It does nothing if this thread is already limited.
    """
    return nullcontext() if is_inside() else _Hold()


def quiet_products():
    """Suppress floating-point warnings about invalid values in products.

    BLAS kernels may read memory next to vectors in single precision, and raise the flag for numbers
    that are in no result.

    Returns
    -------
    context : context manager
        The context manager of NumPy. Overflows are still reported.
    """
    return np.errstate(invalid="ignore")


def is_inside():
    """Return whether this Python thread limits BLAS to one thread."""
    hold = getattr(_local, "hold", lambda: None)()
    return hold is not None and hold.number in _holds


class _Hold:
    """The limit of BLAS to one thread while a block runs.

    An interrupt may occur at any line. Therefore `release` may be called again after an incomplete
    call, and is called by a finalizer if nothing refers to the object any more. It is a finalizer
    and not `__del__`, because it is detached after a release: Python ignores an interrupt that
    occurs while an object is deleted.
    """

    def __init__(self):
        self.number = next(_numbers)
        self.own, self.shared = [], []

    def __enter__(self):
        self.rescue = weakref.finalize(self, _release, self.number, self.own, self.shared)
        self.rescue.atexit = False
        try:
            with _lock:
                _holds.add(self.number)
                for library in _controller().lib_controllers:
                    if library.user_api == "blas" and (library.num_threads or 1) > 1:
                        self.lower(library, library.num_threads)
            _local.hold = weakref.ref(self)
            return self
        except BaseException:
            self.release()
            raise

    def lower(self, library, n):
        """Limit a library that has n threads to one."""
        for_kernels = kernels.max_threads()
        if library.internal_api == "openblas" and library.threading_layer != "openmp":
            self.shared.append(library)
            limits = _left_behind
        else:
            limits = self.own
        limits.append((library, n))
        library.set_num_threads(1)
        if kernels.max_threads() < for_kernels:
            library.set_num_threads(n)  # BLAS and kernels share OpenMP, and the kernels need it
            limits.pop()

    def __exit__(self, *error):
        try:
            self.release()
        except BaseException:
            self.release()
            raise

    def release(self):
        """Restore the number of threads of the libraries."""
        _release(self.number, self.own, self.shared)
        self.rescue.detach()


def _release(number, own, shared):
    """End a limit: for the libraries of this thread, and the process if it is the last one."""
    if number not in _holds:
        return
    with _lock:
        for library, n in own:
            library.set_num_threads(n)
        for library in shared:
            _let_go(library)
        if _holds == {number}:
            for library, n in _left_behind:
                library.set_num_threads(n)
                _let_go(library)
            _left_behind.clear()
        _holds.discard(number)


def product(A, B):
    """Return the product of a large matrix and a narrow one.

    If BLAS is limited to one thread, so that its threads do not spin while kernels work, a kernel
    computes the product with its own threads. This is faster than BLAS with the same number of
    threads.

    Parameters
    ----------
    A : ndarray of shape (n, m)
        The large matrix, in any memory order.
    B : ndarray of shape (m, k)
        The narrow matrix.

    Returns
    -------
    product : ndarray of shape (n, k)
        The product; it does not depend on the number of threads.
    """
    work = A.size * B.shape[1]
    if not is_inside() or work < WORK_PER_THREAD:
        return A @ B
    return kernels.dense_times_dense(A, B, n_threads(work))


def in_threads(function, items, work):
    """Call a function with each of some items, in Python threads if BLAS is limited.

    The function should release the GIL, as kernels, SciPy and elementwise operations on blocks do.
    An error ends all threads after their current items; functions that take long may check
    `is_cancelled`.

    Parameters
    ----------
    function : callable
        A function of one item. The order of the calls is not defined.
    items : iterable
        The items.
    work : float
        Total number of multiplications.

    Returns
    -------
    results : list
        The results, in the order of the items.
    """
    threads = n_threads(work) if is_inside() else 1
    if threads == 1:
        return [function(item) for item in items]
    items, settings = list(items), np.geterr()
    results, numbers, failed = [None] * len(items), count(), threading.Event()

    def take_turns():
        outer, _local.failed = getattr(_local, "failed", None), failed
        with one_blas_thread(), np.errstate(**settings):  # threads do not inherit these settings
            try:
                while not failed.is_set() and (number := next(numbers)) < len(items):
                    results[number] = function(items[number])
            except BaseException:
                failed.set()
                raise
            finally:
                _local.failed = outer

    # One task per thread, because submitting every item would be slow.
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(take_turns) for _ in range(threads - 1)]
        take_turns()
        for other in others:
            other.result()
    return results


def is_cancelled():
    """Return whether another thread of `in_threads` has failed, so that results are not needed."""
    failed = getattr(_local, "failed", None)
    return failed is not None and failed.is_set()


def _let_go(library):
    """Remove the binding of OpenBLAS to one Python thread, in threadpoolctl 3.8 and later."""
    getattr(library, "clear_controlling_thread", lambda: None)()


def _after_fork():
    """Reset the state in a child process, in which only the forking thread exists."""
    global _lock, _is_fork
    _lock, _is_fork = threading.RLock(), True
    hold = getattr(_local, "hold", lambda: None)()
    _holds.intersection_update(() if hold is None else (hold.number,))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
