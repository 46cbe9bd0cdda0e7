"""What estimators need to go on with new rows: `partial_fit`."""

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.estimators._base import threads_for
from sklearn_mf.estimators._base_fits import check_batch, model_attributes
from sklearn_mf.estimators._base_spectrum import ATTRIBUTES
from sklearn_mf.estimators._base_traps import warn_of_traps
from sklearn_mf.fitting.stream import Stream, are_zero, centred, seen_rows
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.starts.start import start, without_saddles, zeros
from sklearn_mf.utils._validation import Integral, check_X, fit_context
from sklearn_mf.utils._warnings import warn

# What only `fit` knows: components move as little as they can in a stream, and are not turned.
OF_FITS = (*ATTRIBUTES, "_mean_code")


class StreamingMixin:
    """For estimators with a ``forget_factor`` whose `fit` calls ``_set_stream``."""

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None, entry_weight=None):
        """Update the components with a batch of rows, none of which is kept.

        After `fit` the components count as the rows they came from. Otherwise the first batch
        starts them, as `init` says. Then a batch takes one solution of its codes, and one of
        the components by regression on all codes so far, of which sums are kept:
        ``n_features * n_components ** 2`` numbers where entries are missing. `solver` plays
        no role, nor do `max_iter`, `tol` and `early_stopping`. Rows without an observed
        entry change nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows, one or more; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

        Returns
        -------
        self : estimator
            Fitted to all rows so far.
        """
        is_first = not hasattr(self, "components_")
        if self.whiten:
            raise ValueError(
                "whiten=True divides codes by their deviations in fit, which partial_fit does not "
                "know: use fit, or whiten=False."
            )
        table, X = X, check_X(self, X, reset=is_first)
        loss = self._resolve_loss(table, X)
        observations = seen_rows(self._observe(X, loss, entry_weight, sample_weight))
        n_components = self._n_components_of_stream(X, is_first)
        if is_first:
            warn_of_traps(self, X, loss, entry_weight is not None)
        if observations is None:
            warn("X has no observed entry: this batch changes nothing.")
            return self
        strength = self._strength_of_batch(observations, loss) if is_first else None
        problem = self._problem(observations, loss, n_components, strength)
        chosen = self._chosen(problem)
        unit = Unit.of(problem) if is_first else self._unit
        problem = unit.problem(problem)
        with threads_for(observations), np.errstate(over="ignore", invalid="ignore"):
            stream, Ht = self._advanced(X, problem, unit)
        problem = replace(problem, offset=stream.offset)
        fitted = {**model_attributes(problem, Ht, unit), **chosen, **dict.fromkeys(OF_FITS)}
        if not (is_first or self._has_sample_bias):
            # Of features that no row has shown yet.
            found, before = fitted["feature_bias_"], self.feature_bias_
            fitted["feature_bias_"] = np.where(stream.totals > 0, found, before)
        vars(self).update(fitted, loss_=loss, _unit=unit)
        self._set_stream(stream)
        return self

    def _n_components_of_stream(self, X, is_first):
        if is_first:  # a batch may have fewer rows than components
            return self._check_n_components(X.shape[1:])
        if isinstance(self.n_components, Integral) and self.n_components != self.n_components_:
            raise ValueError(
                f"n_components={self.n_components}, but the components so far are "
                f"{self.n_components_}: partial_fit cannot change their number, fit can."
            )
        return self.n_components_

    def _advanced(self, X, problem: Problem, unit):
        """The stream with a batch more, and the features' factor."""
        stream = getattr(self, "_stream", None) or Stream.empty(problem)
        problem = centred(stream, problem)
        Ht = self._factor_so_far(problem, unit)
        if Ht[:, : problem.n_components].any():
            Ht = without_saddles(problem, Ht, check_random_state(self.random_state))
        stream, Ht = stream.resumed(problem, Ht).with_features(problem, Ht)
        if are_zero(problem, Ht):
            random_state = check_random_state(self.random_state)
            init = self._check_init(X, problem, self._solver_for(problem), random_state, unit)
            k = problem.n_components
            bias = Ht[:, k] if problem.columns.has_bias else np.zeros_like(Ht[:, 0])
            _, Ht = start(problem, init, random_state, bias)
            stream = stream.started(problem, Ht)
        stream, Ht = stream.updated(problem, Ht, self.forget_factor)
        check_batch(Ht)
        return stream, Ht

    def _factor_so_far(self, problem: Problem, unit):
        """The features' factor, of zeros before the first batch; in the unit of the problem."""
        _, Ht = zeros(problem)
        if hasattr(self, "components_"):
            k = problem.n_components
            Ht[:, :k] = unit.inside(self.components_.T, k)
            if problem.columns.has_bias:
                Ht[:, k] = self.feature_bias_ / unit.size - problem.offset
        return Ht

    def _set_stream(self, stream):
        """What `partial_fit` needs of the rows so far."""
        self._stream = stream
        self.n_samples_seen_ = stream.n_rows

    @property
    def _offset(self):
        return self._stream.offset * self._unit.size
