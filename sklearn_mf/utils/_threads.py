"""Threads: how many the kernels may use, and BLAS held to one beside them."""

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

# Multiplications that make a thread worth waking: less than a millisecond of work.
WORK_PER_THREAD = 4_000_000
# To look an entry up takes as long as so many of them.
LOOKUP = 16

_cpu_count = cache(cpu_count)
_controller = cache(ThreadpoolController)  # a millisecond to make, a hundredth of one to use

_lock = threading.RLock()
_holds = set()  # numbers of the blocks that hold BLAS to one thread: those are at work in kernels
_local = threading.local()
_left_behind = []  # limits for the last of them to lift
_numbers = count()
_is_fork = False


def n_threads(work=float("inf")):
    """Threads for the kernels, as OpenMP, ``OMP_NUM_THREADS``, threadpoolctl and quotas say.

    Small work stays on one thread: where other processes keep the cores busy, threads that
    wait for one another cost more than they bring. Python threads that fit at the same time
    share what there is; results do not depend on how many a kernel gets. A process that was
    forked has one: OpenMP would wait for threads that it does not have.

    Parameters
    ----------
    work : float, default=inf
        Multiplications to be done.

    Returns
    -------
    n_threads : int
        At least 1.
    """
    if _is_fork:
        return 1
    available = kernels.max_threads()
    if not os.environ.get("OMP_NUM_THREADS"):
        available = min(available, _cpu_count())
    return max(1, int(min(available // max(1, len(_holds)), work / WORK_PER_THREAD)))


def n_threads_for_entries(n_entries, work):
    """Threads for kernels that look entries up, and do some multiplications for each.

    Parameters
    ----------
    n_entries : int
        Stored ones.
    work : float
        Multiplications for an entry.

    Returns
    -------
    n_threads : int
        At least 1.
    """
    return n_threads(n_entries * (LOOKUP + work))


def one_blas_thread():
    """Hold BLAS to one thread.

    For matrices so small that its threads would wait for one another, and around parallel
    kernels: threads of BLAS keep spinning for a while after their work, on the same cores.

    The limit of OpenBLAS belongs to the process, so the last of several Python threads lifts
    it: the order in which they leave does not matter. Other limits belong to the Python
    thread that set them.

    Returns
    -------
    context : context manager
        Does nothing in a thread that is inside already.
    """
    return nullcontext() if is_inside() else _Hold()


def quiet_products():
    """Do not tell of invalid values in products.

    Kernels of BLAS may look at what lies beside vectors in single precision, and so raise the flag
    for numbers that are in no result.

    Returns
    -------
    context : context manager
        Of NumPy; overflow is told of all the same.
    """
    return np.errstate(invalid="ignore")


def is_inside():
    """Whether this Python thread holds BLAS to one thread."""
    hold = getattr(_local, "hold", lambda: None)()
    return hold is not None and hold.number in _holds


class _Hold:
    """BLAS held to one thread while the block runs, and not a moment longer.

    An interrupt may come at any line, so `release` may be called again where it was cut short,
    and is, if need be when nobody knows of the hold any more. That last call is a finalizer and
    not `__del__`, since it is detached after a release: Python swallows an interrupt that comes
    while an object is deleted.
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
        """Set a library to one thread, which has n."""
        for_kernels = kernels.max_threads()
        if library.internal_api == "openblas" and library.threading_layer != "openmp":
            self.shared.append(library)
            limits = _left_behind
        else:
            limits = self.own
        limits.append((library, n))
        library.set_num_threads(1)
        if kernels.max_threads() < for_kernels:
            library.set_num_threads(n)  # one OpenMP for both, and the kernels need it more
            limits.pop()

    def __exit__(self, *error):
        try:
            self.release()
        except BaseException:
            self.release()
            raise

    def release(self):
        """Set the libraries back to as many threads as they had."""
        _release(self.number, self.own, self.shared)
        self.rescue.detach()


def _release(number, own, shared):
    """End a hold: the libraries of this thread, and those of the process if it is the last."""
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
    """Matrix product of a large matrix and a narrow one.

    Where BLAS is held to one thread, because its threads would spin where the kernels want to
    work, a kernel does it with theirs: sooner than BLAS with as many.

    Parameters
    ----------
    A : ndarray of shape (n, m)
        The large one, of either order.
    B : ndarray of shape (m, k)
        The narrow one.

    Returns
    -------
    product : ndarray of shape (n, k)
        The same for any number of threads.
    """
    work = A.size * B.shape[1]
    if not is_inside() or work < WORK_PER_THREAD:
        return A @ B
    return kernels.dense_times_dense(A, B, n_threads(work))


def in_threads(function, items, work):
    """Call a function with each of some items, in Python threads where BLAS is held to one.

    For work that lets other threads run: of the kernels, of SciPy, and elementwise on blocks. An
    error ends all, after the items that are being worked on; long ones may ask `is_in_vain`.

    Parameters
    ----------
    function : callable
        Of one item. Which of them come first, nobody knows.
    items : iterable
        What it is called with.
    work : float
        Multiplications in all.

    Returns
    -------
    results : list
        In the order of the items.
    """
    threads = n_threads(work) if is_inside() else 1
    if threads == 1:
        return [function(item) for item in items]
    items, settings = list(items), np.geterr()
    results, numbers, failed = [None] * len(items), count(), threading.Event()

    def take_turns():
        outer, _local.failed = getattr(_local, "failed", None), failed
        with one_blas_thread(), np.errstate(**settings):  # threads do not inherit them
            try:
                while not failed.is_set() and (number := next(numbers)) < len(items):
                    results[number] = function(items[number])
            except BaseException:
                failed.set()
                raise
            finally:
                _local.failed = outer

    # One task a thread: to hand over every item would take as long as many of them do.
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(take_turns) for _ in range(threads - 1)]
        take_turns()
        for other in others:
            other.result()
    return results


def is_in_vain():
    """Whether another thread of `in_threads` has failed, so that nobody will ask for results."""
    failed = getattr(_local, "failed", None)
    return failed is not None and failed.is_set()


def _let_go(library):
    """From threadpoolctl 3.8 on, OpenBLAS obeys one Python thread until that lets go."""
    getattr(library, "clear_controlling_thread", lambda: None)()


def _after_fork():
    """In a child only the thread that forked goes on: nobody else will unlock or let go."""
    global _lock, _is_fork
    _lock, _is_fork = threading.RLock(), True
    hold = getattr(_local, "hold", lambda: None)()
    _holds.intersection_update(() if hold is None else (hold.number,))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
