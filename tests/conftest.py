"""What every test run should tell, and the data that several test files share."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_mf import kernels
from sklearn_mf.losses import LOSSES, Logistic, Poisson
from sklearn_mf.utils import _threads

# Loops of Python take thousands of times as long; what such tests compute, others see there too.
minutes_on_reference = pytest.mark.skipif(
    kernels.IMPLEMENTATION == "reference", reason="minutes on the reference kernels"
)
# What is done above the kernels is the same for both, and a kernel equals its reference.
above_kernels = pytest.mark.skipif(
    kernels.IMPLEMENTATION == "reference", reason="above the kernels, tried with compiled ones"
)


def pytest_report_header():
    return f"sklearn_mf kernels: {kernels.IMPLEMENTATION}"


def low_rank(n_samples=30, n_features=20, rank=3, noise=0.1, mean=0.0, seed=0):
    """Noisy low-rank data."""
    rng = np.random.default_rng(seed)
    product = rng.normal(size=(n_samples, rank)) @ rng.normal(size=(rank, n_features))
    return mean + product + noise * rng.normal(size=(n_samples, n_features))


def random_csr(shape, density, seed=0, dtype=np.float64):
    """A sparse array of uniform random numbers, drawn as the oldest supported SciPy can."""
    return sparse.csr_array(sparse.random(*shape, density, "csr", dtype, random_state=seed))


def punch_holes(X, share=0.3, seed=1):
    """X with a share of its entries NaN, one entry of every row and column kept."""
    hidden = np.random.default_rng(seed).random(X.shape) < share
    hidden[np.arange(len(X)), np.arange(len(X)) % X.shape[1]] = False
    hidden[np.arange(X.shape[1]) % len(X), np.arange(X.shape[1])] = False
    return np.where(hidden, np.nan, X).astype(X.dtype)


def store_observed(X, container=sparse.csr_array):
    """A sparse matrix that stores what is observed in X, zeros included."""
    rows, columns = np.nonzero(~np.isnan(X))
    stored = sparse.coo_array((X[rows, columns], (rows, columns)), shape=X.shape)
    return container(stored)


def starts(X, k, seed=0):
    """Positive W and H from where to factorize X."""
    rng = np.random.default_rng(seed)
    n, p = X.shape
    return [(rng.random(shape) + 0.1).astype(X.dtype) for shape in ((n, k), (k, p))]


def fit_for(loss, X):
    """Real numbers X turned into data that a loss, or the loss of a name, takes."""
    loss = LOSSES.resolve(loss)
    if isinstance(loss, Logistic):
        low, high = loss.classes
        data = np.where(X > 0, high, low)
    elif isinstance(loss, Poisson):
        data = np.floor(np.exp(np.clip(X, -3, 3)))
    else:
        return X
    return np.where(np.isnan(X), np.nan, data).astype(X.dtype)


@pytest.fixture
def complete():
    return low_rank()


@pytest.fixture
def holed():
    return punch_holes(low_rank(mean=1.0))


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def release_lock():
    """Let go of the lock of threads, if an injected error kept it.

    A signal comes between instructions at which Python looks for it. A trace function may raise
    after the last line of a block and before `__exit__`, which then is never called.
    """
    while _threads._lock._is_owned():
        _threads._lock.release()
