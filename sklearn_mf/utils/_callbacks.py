"""The callbacks of scikit-learn 1.9 and later."""

from contextlib import contextmanager, nullcontext

from sklearn_mf.utils._monitors import Monitor

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Empty replacement for versions of scikit-learn without callbacks."""


__all__ = ["CallbackSupportMixin", "FitTasks", "SearchTasks", "has_callbacks"]


def has_callbacks(estimator):
    """Return whether callbacks were set on an estimator, or passed to it."""
    return bool(getattr(estimator, "_skl_callbacks", None))


class FitTasks(Monitor):
    """A fit for callbacks: a task with one subtask per iteration.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted. The decorator of its `fit` ends the task in any case.
    data : dict
        X and y as passed by the user. Weights are not included: callbacks that score would pass
        them to `score`, which does not accept them.
    max_iter : int
        Maximum number of iterations.
    attributes : callable
        A function of the state. It returns the attributes that a copy of the estimator needs to be
        fitted with the current factors.
    """

    def __init__(self, estimator, data, max_iter, attributes):
        self.data = {"estimator": estimator, **data}
        self.attributes = attributes
        self.root = estimator._init_callback_context(max_subtasks=max_iter)
        self.root.call_on_fit_task_begin(**self.data)

    def begin(self, state):
        """Begin a subtask."""
        self.task = self.root.subcontext(task_name="iteration")
        self.task.call_on_fit_task_begin(**self.data)

    def end(self, state):
        """End the subtask and return whether a callback requests to stop."""
        return self.task.call_on_fit_task_end(
            **self.data, reconstruction_attributes=lambda: self.attributes(state)
        )

    def finish(self):
        """End the task of a fitted estimator."""
        self.root.call_on_fit_task_end(**self.data, reconstruction_attributes={})


class SearchTasks:
    """A search for callbacks, if there are any: a task with several subtasks.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted.
    data : dict
        X and y as passed by the user.
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
        """Return a context for a subtask, and for those of an inner estimator fitted in it."""
        if self.root is None:
            yield
            return
        task = self.root.subcontext(task_name=name)
        with task.propagate_callback_context(inner) if inner is not None else nullcontext():
            task.call_on_fit_task_begin(**self.data)
            yield
        task.call_on_fit_task_end(**self.data)

    def finish(self):
        """End the task of the search."""
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data)
