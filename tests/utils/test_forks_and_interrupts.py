"""Children of a fork have one thread; an interrupt at any line leaves BLAS as it was."""

import os
import subprocess
import sys

import pytest
from conftest import release_lock
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_mf.utils import _threads

FORK = """
import os, sys, threading, time, warnings
import numpy as np
from sklearn_mf import MatrixFactorization
from sklearn_mf.utils import _threads

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 100))
X[rng.random(X.shape) < 0.3] = np.nan
model = MatrixFactorization(10, max_iter=2, tol=0, random_state=0, alpha_W=0.1)
expected = model.fit(X).transform(X)
locked, done = threading.Event(), threading.Event()

def hold():
    with _threads._lock:
        locked.set()
        done.wait()

if sys.argv[1] == "locked":  # by a thread that the child has not
    threading.Thread(target=hold, daemon=True).start()
    locked.wait()
with _threads.one_blas_thread() if sys.argv[1] == "inside" else _threads.nullcontext():
    child = os.fork()
    if child == 0:
        assert _threads.n_threads() == 1
        assert _threads.is_inside() == (sys.argv[1] == "inside")
        np.testing.assert_allclose(model.fit(X).transform(X), expected, rtol=1e-6, atol=1e-8)
        os._exit(7)
done.set()
assert _threads.n_threads() >= 1
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("where", ["outside", "inside", "locked"])
def test_a_child_of_a_fork_fits_alone(where):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    found = subprocess.run(
        [sys.executable, "-c", FORK, where],
        check=False,
        env=environment,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert found.stdout == "done\n", found.stderr


def blas_threads():
    return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]


class Interrupter:
    """Raises KeyboardInterrupt at the n-th line that the threads' module runs."""

    def __init__(self, n):
        self.left, self.raised = n, False

    def __enter__(self):
        sys.settrace(self.trace)

    def __exit__(self, *error):
        sys.settrace(None)
        release_lock()

    def trace(self, frame, event, argument):
        if frame.f_code.co_filename != _threads.__file__:
            return self.trace if "threadpoolctl" in frame.f_code.co_filename else None
        if event in ("line", "call"):
            self.left -= 1
            if self.left == 0:
                self.raised = True
                raise KeyboardInterrupt
        return self.trace


@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_at_any_line_leaves_blas_as_it_was(nested):
    """Between lowering and the block, in the block's end, in what mends an interrupted end."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        interrupts = 0
        for n in range(1, 200):
            interrupter = Interrupter(n)
            try:
                with interrupter, _threads.one_blas_thread():
                    if nested:
                        with _threads.one_blas_thread():
                            pass
                assert not interrupter.raised, "the interrupt was swallowed"
            except KeyboardInterrupt:
                interrupts += 1
            assert blas_threads() == before, n
            assert not _threads.is_inside()
            assert not _threads._holds
            assert not _threads._left_behind
            if not interrupter.raised:
                break
        assert interrupts >= 20
        with _threads.one_blas_thread():
            held = blas_threads()
        assert blas_threads() == before
        assert max(held) <= max(before)
