"""Callbacks of scikit-learn see every iteration, may stop a fit, and always get their end."""

import importlib
import sys
import time

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.solvers import ALS, GradientDescent
from sklearn_mf.utils import _callbacks

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")


class Recorder:
    """Writes down what it is told, and stops or fails where it is asked to."""

    max_propagation_depth = None

    def __init__(self, stop_after=None, interrupt_after=None):
        self.stop_after, self.interrupt_after = stop_after, interrupt_after
        self.told = []

    def setup(self, estimator, context):
        self.told.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        self.told.append(("end", context.task_name, context.task_id))
        if context.task_name == "iteration":
            if context.task_id + 1 == self.interrupt_after:
                raise KeyboardInterrupt
            return context.task_id + 1 == self.stop_after
        return None

    def count(self, *what):
        return sum(entry[: len(what)] == what for entry in self.told)


class Fitted(Recorder):
    """Keeps the fitted copies."""

    def __init__(self):
        super().__init__()
        self.copies = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "iteration":
            self.copies.append(fitted_estimator)


def model_with(*callbacks, **parameters):
    settings = {"solver": "als", "tol": 0, "max_iter": 6, "random_state": 0} | parameters
    return MatrixFactorization(3, **settings).set_callbacks(*callbacks)


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_one_task_an_iteration_and_all_in_order(holed, method):
    recorder = Recorder()
    getattr(model_with(recorder), method)(holed)
    iterations = [(name, "iteration", i) for i in range(6) for name in ("begin", "end")]
    assert recorder.told == [
        ("setup", "fit"),
        ("begin", "fit", 0),
        *iterations,
        ("end", "fit", 0),
        ("teardown", "fit"),
    ]


def test_a_converged_fit_leaves_no_task_open(holed):
    recorder = Recorder()
    model = model_with(recorder, tol=1e-4, max_iter=500).fit(holed)
    begun, ended = (recorder.count(name, "iteration") for name in ("begin", "end"))
    assert begun == ended == model.n_iter_ < 500


@pytest.mark.parametrize("solver", ["als", "gd", "svd"])
def test_callbacks_change_no_result(complete, solver):
    settings = {"solver": solver, "tol": 1e-4, "max_iter": 500}
    watched, plain = model_with(Recorder(), **settings), model_with(**settings)
    np.testing.assert_array_equal(watched.fit_transform(complete), plain.fit_transform(complete))
    assert watched.n_iter_ == plain.n_iter_


def test_the_copies_are_fitted_at_the_factors_of_their_iteration(holed):
    fitted = Fitted()
    model = model_with(fitted, bias="both", alpha_W=0.1).fit(holed)
    for n, copy in enumerate(fitted.copies, start=1):
        expected = clone(model).set_callbacks().set_params(max_iter=n).fit(holed)
        np.testing.assert_array_equal(copy.transform(holed), expected.transform(holed))
        assert copy.loss_curve_ == expected.loss_curve_
        assert copy.score(holed) == expected.score(holed)
    assert model.components_ is not fitted.copies[-1].components_


def test_nothing_is_copied_for_callbacks_that_do_not_ask(holed, monkeypatch):
    def refuse(*args):
        raise AssertionError("asked for")

    model = model_with(Recorder())
    monkeypatch.setattr(model, "_fitted_attributes", refuse)
    with pytest.raises(AssertionError, match="asked for"):  # at the end, for the model itself
        model.fit(holed)
    assert model._skl_callbacks[0].count("end", "iteration") == 6


def test_a_request_to_stop_ends_the_fit_as_usual(holed):
    recorder = Recorder(stop_after=3)
    model = model_with(recorder, tol=1e-12, max_iter=50)
    W = model.fit_transform(holed)
    expected = model_with(max_iter=3).fit(holed)
    assert model.n_iter_ == 3
    np.testing.assert_array_equal(model.components_, expected.components_)
    np.testing.assert_array_equal(W, model.transform(holed))
    assert recorder.told[-2:] == [("end", "fit", 0), ("teardown", "fit")]


def test_ctrl_c_tears_down_and_leaves_a_fitted_estimator(holed):
    recorder = Recorder(interrupt_after=3)
    model = model_with(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(holed)
    assert recorder.told[-1] == ("teardown", "fit")
    expected = model_with(max_iter=3).fit(holed)
    np.testing.assert_array_equal(model.transform(holed), expected.transform(holed))
    assert model.n_iter_ == 3


def test_an_error_tears_down_too(holed):
    recorder = Recorder()
    model = model_with(recorder, solver=GradientDescent(learning_rate=1e9))
    with pytest.raises(ValueError, match="diverged"):
        model.fit(holed)
    assert recorder.told[-1] == ("teardown", "fit")


def test_with_early_stopping(holed):
    recorder = Recorder()
    model = model_with(recorder, early_stopping=True, max_iter=500, alpha_W=0.1).fit(holed)
    assert recorder.count("end", "iteration") == model.n_iter_ == len(model.validation_scores_)


def test_in_a_pipeline_in_a_grid_search(holed):
    y = np.nan_to_num(holed).sum(axis=1)
    recorder = Recorder()
    pipeline = make_pipeline(MatrixFactorization(random_state=0, tol=0), LinearRegression())
    grid = {
        "matrixfactorization__n_components": [1, 2],
        "matrixfactorization__solver": [ALS()],
        "matrixfactorization__max_iter": [4],
    }
    search = GridSearchCV(pipeline, grid, cv=3)
    with pytest.warns(UserWarning, match="LinearRegression does not support callbacks"):
        search.set_callbacks(recorder).fit(holed, y)
    assert recorder.count("end", "iteration") == 4 * (2 * 3 + 1)  # candidates x folds, and refit
    assert recorder.count("begin", "iteration") == recorder.count("end", "iteration")
    assert recorder.count("setup") == recorder.count("teardown") == 1
    assert search.best_estimator_[0].n_iter_ == 4


def test_a_scoring_monitor_logs_the_score_of_every_iteration(holed):
    # Not scoring=None: scikit-learn 1.9 then expects a dict of scores, and gets a number.
    monitor = callback.ScoringMonitor(scoring=lambda model, X, y: {"score": model.score(X, y)})
    model = model_with(monitor).fit(holed, y=np.zeros(len(holed)), sample_weight=np.ones(30))
    deadline = time.monotonic() + 10
    while len(monitor.get_logs().data) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)  # it listens in a thread of its own
    logged = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    expected = [model_with(max_iter=n).fit(holed).score(holed) for n in range(1, 7)]
    assert [row["score"] for row in logged] == expected
    assert model.score(holed) == expected[-1]


def test_a_progress_bar_is_drawn_and_survives_ctrl_c(holed, capsys):
    pytest.importorskip("rich")
    bar, interrupting = callback.ProgressBar(), Recorder(interrupt_after=3)
    model = model_with(bar, interrupting)
    with pytest.raises(KeyboardInterrupt):
        model.fit(holed)
    assert "MatrixFactorization - fit" in capsys.readouterr().out
    assert np.isfinite(model.transform(holed)).all()
    model.set_callbacks(bar).fit(holed)
    assert "100%" in capsys.readouterr().out


def test_where_scikit_learn_has_no_callbacks_all_else_works(holed, monkeypatch):
    expected = model_with().fit(holed)
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    names = [name for name in sys.modules if name.split(".")[0] == "sklearn_mf"]
    loaded = {name: sys.modules.pop(name) for name in names}
    try:
        old = importlib.import_module("sklearn_mf")
        model = old.MatrixFactorization(3, solver="als", tol=0, max_iter=6, random_state=0)
        assert type(model) is not MatrixFactorization
        assert not hasattr(model, "set_callbacks")
        np.testing.assert_array_equal(model.fit(holed).components_, expected.components_)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "sklearn_mf"]:
            del sys.modules[name]
        sys.modules.update(loaded)
    assert importlib.import_module("sklearn_mf.utils._callbacks") is _callbacks


def test_a_search_is_two_tasks_and_hands_callbacks_to_the_last_fit(holed):
    recorder = Recorder()
    model = MatrixFactorization(solver="als", alpha_W=0.1, tol=0, max_iter=4, random_state=0)
    search = RankSearchCV(model, [1, 2], cv=2, random_state=0).set_callbacks(recorder)
    search.fit(holed)
    # As in GridSearchCV, the task of the last fit is the estimator's own.
    tasks = [entry for entry in recorder.told if entry[0] == "begin" and entry[1] != "iteration"]
    assert tasks == [("begin", "fit", 0), ("begin", "search", 0), ("begin", "fit", 1)]
    assert recorder.count("begin", "iteration") == 4
    assert recorder.count("begin") == recorder.count("end")
    alone = RankSearchCV(model, [1, 2], cv=2, random_state=0, refit=False)
    again = Recorder()
    alone.set_callbacks(again).fit(holed)
    assert again.count("begin") == again.count("end") == 2
