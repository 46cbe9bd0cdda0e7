"""Filters of warnings belong to the process: nothing here changes them, least of all a thread."""

import ast
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import sklearn_mf
from sklearn_mf import NMF, MatrixFactorization, RankSearchCV
from sklearn_mf.utils._warnings import quiet, warn

PACKAGE = Path(sklearn_mf.__file__).parent
CHANGERS = {"catch_warnings", "simplefilter", "filterwarnings", "resetwarnings", "filters"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_changes_the_filters(path):
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = {node.attr for node in tree if isinstance(node, ast.Attribute)}
    assert not names & CHANGERS


def low_rank():
    rng = np.random.default_rng(0)
    return rng.random((20, 2)) @ rng.random((2, 6)) + 0.1 * rng.random((20, 6))


class Waiting(NMF):
    """Lets two threads fit such that the first one in is the first one out."""

    order = {}

    def fit(self, X, y=None):
        number = self.order.get(threading.get_ident())
        if number is not None:
            self.order["inside"][number].set()
            self.order["may go"][number].wait(30)
        return super().fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_in_threads_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    inside, may_go = ([threading.Event(), threading.Event()] for _ in "ab")
    Waiting.order = {"inside": inside, "may go": may_go}

    def search(number):
        Waiting.order[threading.get_ident()] = number
        estimator = Waiting(init="random", random_state=0, max_iter=500, tol=1e-2)
        RankSearchCV(estimator, [1], cv=2, random_state=0).fit(low_rank())

    threads = [threading.Thread(target=search, args=[number]) for number in (0, 1)]
    threads[0].start()
    assert inside[0].wait(30)
    threads[1].start()
    assert inside[1].wait(30)
    may_go[0].set()
    threads[0].join(60)
    may_go[1].set()
    threads[1].join(60)
    assert warnings.filters == before


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize(
    "estimator",
    [MatrixFactorization(max_iter=1, tol=1e-12), NMF(init="random", max_iter=1, tol=1e-12)],
)
def test_a_search_is_silent_but_for_its_last_fit(estimator, n_jobs):
    search = RankSearchCV(estimator, [1, 2], cv=2, random_state=0, n_jobs=n_jobs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.set_params(refit=False).fit(low_rank())
    assert not [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    if isinstance(estimator, NMF):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            search.set_params(refit=True).fit(low_rank())


def test_quiet_is_of_a_category_a_thread_and_a_time():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet(ConvergenceWarning):
            warn("one", ConvergenceWarning)
            warn("two")
            thread = threading.Thread(target=warn, args=["three", ConvergenceWarning])
            thread.start()
            thread.join()
            with quiet(UserWarning):
                warn("four")
            warn("five", ConvergenceWarning)
        warn("six", ConvergenceWarning)
    assert [str(w.message) for w in caught] == ["two", "three", "six"]
