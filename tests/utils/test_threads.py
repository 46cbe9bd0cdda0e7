"""Threads of the kernels, of BLAS, of joblib and of Python, and a Ctrl-C among them."""

import _thread
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import low_rank, punch_holes, store_observed
from joblib import cpu_count, parallel_config
from joblib.externals.loky import get_reusable_executor
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_mf import NMF, MatrixFactorization, MiniBatchNMF, kernels
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import dense
from sklearn_mf.solvers import ALS, GradientDescent, spectral
from sklearn_mf.utils import _threads

KERNELS = [
    "sgd_epoch",
    "refine_rows",
    "solve_dense_rows",
    "solve_rows",
    "sparse_times_dense",
    "values_at",
]


def zero_filled(X):
    return sparse.csr_array(np.nan_to_num(X))


# How holed data are stored, and the solvers that serve them that way.
LAYOUTS = {
    "dense": (np.asarray, {}),
    "stored": (store_observed, {"unstored": "missing"}),
    "stored NaN": (sparse.csr_array, {}),
    "zero-filled": (zero_filled, {}),
}
CASES = {
    "als on dense data": ("als", "dense"),
    "als on stored data": ("als", "stored"),
    "als on stored NaN": ("als", "stored NaN"),
    "als on zero-filled data": ("als", "zero-filled"),
    "conjugate gradients": (ALS(inner="cg"), "stored"),
    "svd": ("svd", "zero-filled"),
    "gd on dense data": ("gd", "dense"),
    "gd on stored data": ("gd", "stored"),
    "sgd on stored data": ("sgd", "stored"),
}


def data(layout, dtype=np.float64, seed=0):
    X = punch_holes(low_rank(120, 70, mean=1.0, seed=seed), seed=seed + 1)
    return LAYOUTS[layout][0](X.astype(dtype))


def estimator(solver, layout, **parameters):
    common = {"n_components": 3, "alpha_W": 0.1, "max_iter": 6, "tol": 0, "random_state": 0}
    return MatrixFactorization(solver=solver, **LAYOUTS[layout][1], **common | parameters)


def results(model, X):
    """Everything that a fit leaves, in arrays."""
    W = model.fit_transform(X)
    return W, model.components_, model.feature_bias_, np.array(model.loss_curve_)


def assert_same_bits(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def blas_limits():
    """Of the libraries whose limit belongs to the process."""
    return {
        info["filepath"]: info["num_threads"]
        for info in threadpool_info()
        if info["internal_api"] == "openblas" and info["threading_layer"] != "openmp"
    }


def let_go():
    """Leave OpenBLAS to whichever Python thread wants to limit it next."""
    with threadpool_limits():
        pass


def has_openmp():
    with threadpool_limits(2, user_api="openmp"):
        return kernels.max_threads() == 2


needs_openmp = pytest.mark.skipif(not has_openmp(), reason="the kernels have one thread")


@pytest.fixture
def small_work_is_shared(monkeypatch):
    """Data so small that a fit takes no time wake all threads, and are decomposed by products."""
    monkeypatch.setattr(_threads, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(spectral, "SMALL", 0)


@pytest.fixture
def no_openmp_variable(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def threads_used(monkeypatch):
    """Numbers of threads with which kernels were called."""
    used = set()

    def watched(kernel):
        def call(*arguments):
            used.add(arguments[-1])
            return kernel(*arguments)

        return call

    for name in KERNELS:
        monkeypatch.setattr(kernels, name, watched(getattr(kernels, name)))
    return used


@needs_openmp
@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_fits_have_the_same_bits_for_any_number_of_threads(monkeypatch, threads_used, case, dtype):
    solver, layout = CASES[case]
    X = data(layout, dtype)
    # Where the variable is set, threads may be more than processors.
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = []
    for n in (1, 2, 3):
        threads_used.clear()
        with threadpool_limits(1, user_api="blas"), threadpool_limits(n, user_api="openmp"):
            found.append(results(estimator(solver, layout), X))
        assert threads_used == {n}
    assert found[0][0].dtype == dtype
    assert_same_bits(found[1], found[0])
    assert_same_bits(found[2], found[0])


@needs_openmp
@pytest.mark.usefixtures("small_work_is_shared", "no_openmp_variable")
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize(
    "parameters", [{}, {"solver": "mu"}, {"solver": "mu", "beta_loss": "kullback-leibler"}]
)
def test_non_negative_fits_have_the_same_bits_for_any_number_of_threads(parameters, complete):
    X = np.abs(low_rank(300, 250))
    X = X if complete else punch_holes(X)
    model = NMF(3, init="random", max_iter=6, tol=0, random_state=0, **parameters)
    found = []
    for n in (1, 2):
        with threadpool_limits(1, user_api="blas"), threadpool_limits(n, user_api="openmp"):
            found.append((model.fit_transform(X), model.components_))
    assert_same_bits(*found)


class TestHowMany:
    @needs_openmp
    @pytest.mark.parametrize("variable", [None, "", "3"])
    @pytest.mark.parametrize("limit", [1, 2, 1000])
    def test_as_many_as_scikit_learn_would_take(self, monkeypatch, limit, variable):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if variable is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", variable)
        with threadpool_limits(limit, user_api="openmp"):
            assert _threads.n_threads() == _openmp_effective_n_threads(only_physical_cores=False)

    def test_python_threads_at_work_share_them(self, monkeypatch, no_openmp_variable):
        monkeypatch.setattr(kernels, "max_threads", lambda: 8)
        monkeypatch.setattr(_threads, "_cpu_count", lambda: 8)
        everyone = threading.Barrier(3)

        def number_of_threads():
            with _threads.one_blas_thread(), _threads.one_blas_thread():  # counts once
                everyone.wait(60)
                number = _threads.n_threads()
                everyone.wait(60)
            return number

        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(number_of_threads) for _ in range(3)]
        assert [future.result() for future in futures] == [2, 2, 2]
        assert _threads.n_threads() == 8

    @pytest.mark.parametrize("work", [0, 1, _threads.WORK_PER_THREAD])
    def test_small_work_stays_on_one(self, work):
        assert _threads.n_threads(work) == 1


class TestBlas:
    @pytest.fixture(autouse=True)
    def two_threads_of_blas(self):
        limit = threadpool_limits(2, user_api="blas")
        let_go()
        self.before = blas_limits()
        yield
        limit.restore_original_limits()
        let_go()

    @pytest.mark.parametrize("main_thread_is_first", [False, True])
    def test_the_last_python_thread_out_lifts_the_limit(self, main_thread_is_first):
        first, second = _threads.one_blas_thread(), _threads.one_blas_thread()
        with ThreadPoolExecutor(1) as pool:

            def elsewhere(function, *arguments):
                return pool.submit(function, *arguments).result()

            def here(function, *arguments):
                return function(*arguments)

            in_first, in_second = (here, elsewhere) if main_thread_is_first else (elsewhere, here)
            in_first(first.__enter__)
            in_second(second.__enter__)
            assert set(blas_limits().values()) <= {1}
            in_first(first.__exit__, None, None, None)
            assert set(blas_limits().values()) <= {1}
            in_second(second.__exit__, None, None, None)
            assert blas_limits() == self.before
            # Nor is a Python thread left in charge that keeps the others from it.
            for somewhere in (in_first, in_second):
                context = _threads.one_blas_thread()
                somewhere(context.__enter__)
                assert set(blas_limits().values()) <= {1}
                somewhere(context.__exit__, None, None, None)
                assert blas_limits() == self.before

    def test_an_error_lifts_the_limit(self):
        with pytest.raises(ZeroDivisionError), _threads.one_blas_thread():
            1 / 0  # noqa: B018
        assert blas_limits() == self.before

    @pytest.mark.usefixtures("small_work_is_shared")
    def test_fits_in_several_python_threads_do_not_disturb_one_another(self):
        # No complete dense data: they are left to BLAS, with all its threads.
        jobs = [(*CASES[case], data(CASES[case][1], seed=i)) for i in range(2) for case in CASES]

        def fit(job):
            solver, layout, X = job
            return results(estimator(solver, layout, max_iter=4), X)

        alone = [fit(job) for job in jobs]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(fit, jobs))
        for actual, expected in zip(together, alone, strict=True):
            assert_same_bits(actual, expected)
        assert blas_limits() == self.before


class Library:
    """A library of BLAS as threadpoolctl sees it, that may share OpenMP with the kernels."""

    user_api, internal_api, threading_layer = "blas", "openblas", "openmp"

    def __init__(self, monkeypatch, shares_openmp):
        self.num_threads = 4
        self.lib_controllers = [self]
        monkeypatch.setattr(_threads, "_controller", lambda: self)
        monkeypatch.setattr(
            kernels, "max_threads", lambda: self.num_threads if shares_openmp else 4
        )

    def set_num_threads(self, n):
        self.num_threads = n


@pytest.mark.parametrize("shares_openmp", [False, True])
def test_kernels_keep_their_threads_where_blas_has_the_same(monkeypatch, shares_openmp):
    library = Library(monkeypatch, shares_openmp)
    with _threads.one_blas_thread():
        assert kernels.max_threads() == 4
        assert library.num_threads == (4 if shares_openmp else 1)
    assert library.num_threads == 4


class TestGridSearch:
    def search(self, backend, n_jobs):
        """Scores of each candidate, and the threads that kernels and scikit-learn would take."""

        # Inside the test, so that other processes get it by value.
        def scoring(model, X, y=None):
            return {
                "score": model.score(X),
                "threads": _threads.n_threads(),
                "scikit_learn": _openmp_effective_n_threads(only_physical_cores=False),
            }

        search = GridSearchCV(
            estimator("als", "dense"),
            {"n_components": [1, 2, 3]},
            cv=2,
            scoring=scoring,
            refit=False,
            n_jobs=n_jobs,
            error_score="raise",
        )
        with parallel_config(backend=backend):
            found = search.fit(data("dense")).cv_results_
        if backend == "loky":
            get_reusable_executor().shutdown()
        return [found[f"mean_test_{name}"] for name in ("score", "threads", "scikit_learn")]

    @pytest.fixture
    def alone(self):
        return self.search("sequential", 1)[0]

    @pytest.mark.slow
    def test_processes_find_the_same_and_share_the_processors(self, no_openmp_variable, alone):
        scores, threads, _ = self.search("loky", 2)
        np.testing.assert_allclose(scores, alone, rtol=1e-9)
        assert threads.max() * 2 <= max(2, cpu_count())

    def test_python_threads_find_the_same_with_no_more_threads_than_in_scikit_learn(
        self, no_openmp_variable, alone
    ):
        # joblib tells its threads no number, but here those at work know of one another.
        scores, threads, scikit_learn = self.search("threading", 2)
        np.testing.assert_allclose(scores, alone, rtol=1e-9)
        assert (threads <= scikit_learn).all()


class TestInterruption:
    @pytest.fixture
    def interruptible(self):
        """Where a shell starts the tests in the background, they begin deaf to Ctrl-C."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_ctrl_c_in_a_fit_stops_it_and_keeps_the_last_iteration(self, interruptible):
        sweeps, underway, seen = [], threading.Event(), []

        class Watched(ALS):
            name = "watched"

            def _step(self, problem, state):
                sweeps.append(state.n_iter)
                if len(sweeps) == 3:
                    underway.set()
                return super()._step(problem, state)

        def press():
            if underway.wait(60):
                _thread.interrupt_main()
                seen.append(len(sweeps))

        X = store_observed(punch_holes(low_rank(2000, 100), share=0.5))
        model = estimator(Watched(), "stored", n_components=8, max_iter=2000)
        before = blas_limits()
        user = threading.Thread(target=press, daemon=True)
        user.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
        user.join(60)
        assert len(sweeps) - seen[0] <= 1
        assert len(sweeps) - model.n_iter_ <= 1
        assert blas_limits() == before
        expected = estimator("als", "stored", n_components=8, max_iter=model.n_iter_).fit(X)
        np.testing.assert_array_equal(model.components_, expected.components_)
        np.testing.assert_array_equal(model.loss_curve_, expected.loss_curve_)
        np.testing.assert_array_equal(model.transform(X), expected.transform(X))

    @pytest.mark.parametrize("solver", ["als", GradientDescent(learning_rate=1e-3)], ids=str)
    def test_a_step_under_way_counts_for_nothing(self, monkeypatch, holed, solver):
        fourth = estimator(solver, "dense", max_iter=4).fit(holed).loss_curve_[3]

        # The objective is the last that a step looks at.
        def value(problem, W, Ht, original=Problem.value):
            objective = original(problem, W, Ht)
            if objective == fourth:
                raise KeyboardInterrupt
            return objective

        model = estimator(solver, "dense")
        with monkeypatch.context() as patch:
            patch.setattr(Problem, "value", value)
            with pytest.raises(KeyboardInterrupt):
                model.fit(holed)
        expected = estimator(solver, "dense", max_iter=3).fit(holed)
        assert model.n_iter_ == 3
        np.testing.assert_array_equal(model.components_, expected.components_)
        np.testing.assert_array_equal(model.transform(holed), expected.transform(holed))


class TestProduct:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_shared_products_are_those_of_numpy_and_the_same_bits(self, transposed):
        rng = np.random.default_rng(0)
        A = rng.normal(size=(900, 1300))
        A = A.T if transposed else A
        B = rng.normal(size=(A.shape[1], 7))
        with _threads.one_blas_thread():
            shared = _threads.product(A, B)
            with threadpool_limits(1):
                alone = _threads.product(A, B)
        np.testing.assert_allclose(shared, A @ B, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(shared, alone)


@pytest.mark.parametrize(
    "model",
    [
        NMF(3, max_iter=5, tol=0),
        NMF(3, solver="mu", max_iter=5, tol=0),
        MiniBatchNMF(3, max_iter=2, tol=0, max_no_improvement=None),
        MatrixFactorization(3, positive=True, solver="als", max_iter=5, tol=0),
    ],
    ids=repr,
)
def test_where_kernels_take_turns_with_products_blas_has_one_thread_for_all_of_a_fit(
    model, monkeypatch
):
    # Its threads spin after a product, be it the one before the first sweep.
    held = []

    def seen(A, B):
        held.append(_threads.is_inside())
        return A @ B

    monkeypatch.setattr(dense, "product", seen)
    clone(model).set_params(random_state=0).fit(np.random.default_rng(0).random((40, 20)))
    assert held
    assert all(held)


class TestInThreads:
    @pytest.fixture(autouse=True)
    def three_threads(self, monkeypatch):
        monkeypatch.setattr(_threads, "n_threads", lambda work: 3)

    def test_results_come_in_the_order_of_the_items_from_several_threads(self):
        seen = set()

        def visit(item):
            seen.add(threading.get_ident())
            time.sleep(0.01)
            return item

        with _threads.one_blas_thread():
            assert _threads.in_threads(visit, range(20), np.inf) == list(range(20))
        assert len(seen) > 1
        assert threading.get_ident() in seen

    def test_an_error_in_any_thread_is_raised(self):
        here = threading.get_ident()

        def visit(item):
            time.sleep(0.01)
            if threading.get_ident() != here:
                raise ValueError("elsewhere")

        with _threads.one_blas_thread(), pytest.raises(ValueError, match="elsewhere"):
            _threads.in_threads(visit, range(20), np.inf)

    def test_after_an_error_nothing_is_begun_and_long_work_is_told(self):
        here, visited = threading.get_ident(), []

        def visit(item):
            visited.append(item)
            if threading.get_ident() == here:
                raise KeyboardInterrupt
            while not _threads.is_cancelled():
                time.sleep(0.001)

        with _threads.one_blas_thread(), pytest.raises(KeyboardInterrupt):
            _threads.in_threads(visit, range(100), np.inf)
        assert len(visited) <= 3
        assert not _threads.is_cancelled()

    def test_floating_point_errors_are_handled_as_by_the_caller(self):
        def squares():
            with _threads.one_blas_thread():
                return _threads.in_threads(np.square, [np.float64(1e200)] * 4, np.inf)

        with np.errstate(over="ignore"):
            assert np.isinf(squares()).all()
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            squares()

    def test_outside_of_one_blas_thread_all_is_done_here(self):
        found = _threads.in_threads(lambda _: threading.get_ident(), range(4), np.inf)
        assert set(found) == {threading.get_ident()}
