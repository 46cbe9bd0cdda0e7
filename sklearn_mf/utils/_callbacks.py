"""scikit-learn's callbacks, where it has them: from version 1.9."""

from contextlib import contextmanager, nullcontext

from sklearn_mf.utils._monitors import Monitor

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Supports nothing, there being nothing to support."""


__all__ = ["CallbackSupportMixin", "FitTasks", "SearchTasks", "has_callbacks"]


def has_callbacks(estimator):
    """Whether anyone set callbacks on an estimator, or passed them on to it."""
    return bool(getattr(estimator, "_skl_callbacks", None))


class FitTasks(Monitor):
    """A fit as callbacks see it: a task with one subtask an iteration.

    Parameters
    ----------
    estimator : estimator
        Which is fitted. The decorator of its `fit` ends what begins here, whatever happens.
    data : dict
        X and y as the user gave them. Weights are not passed on: callbacks that score would
        hand them to `score`, which takes none.
    max_iter : int
        Iterations at most.
    attributes : callable
        Gets the state; returns what a copy of the estimator needs to be fitted at its factors.
    """

    def __init__(self, estimator, data, max_iter, attributes):
        self.data = {"estimator": estimator, **data}
        self.attributes = attributes
        self.root = estimator._init_callback_context(max_subtasks=max_iter)
        self.root.call_on_fit_task_begin(**self.data)

    def begin(self, state):
        """A subtask begins."""
        self.task = self.root.subcontext(task_name="iteration")
        self.task.call_on_fit_task_begin(**self.data)

    def end(self, state):
        """The subtask ends; whether a callback asks to stop."""
        return self.task.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: self.attributes(state)
        )

    def finish(self):
        """The task ends, and the estimator is fitted."""
        self.root.call_on_fit_task_end(**self.data, reconstruction_attributes={})


class SearchTasks:
    """A search as callbacks see it, or nobody where there are none: a task with several subtasks.

    Parameters
    ----------
    estimator : estimator
        Which is fitted.
    data : dict
        X and y as the user gave them.
    n_tasks : int
        Number of subtasks.
    """

    def __init__(self, estimator, data, n_tasks):
        self.root, self.data = None, {"estimator": estimator, **data}
        if has_callbacks(estimator):
            self.root = estimator._init_callback_context(max_subtasks=n_tasks)
            self.root.call_on_fit_task_begin(**self.data)

    @contextmanager
    def task(self, name, inner=None):
        """A subtask, and those of an inner estimator that is fitted in it."""
        if self.root is None:
            yield
            return
        task = self.root.subcontext(task_name=name)
        with task.propagate_callback_context(inner) if inner is not None else nullcontext():
            task.call_on_fit_task_begin(**self.data)
            yield
        task.call_on_fit_task_end(**self.data)

    def finish(self):
        """The search ends."""
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data)
