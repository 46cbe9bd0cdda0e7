"""What `NMF` and `MiniBatchNMF` share: scikit-learn's parameters, checks and starts."""

from abc import abstractmethod
from typing import Self

import numpy as np
from sklearn.utils.validation import check_non_negative

from sklearn_mf.estimators._base import BaseFactorization
from sklearn_mf.losses import BetaDivergence, Squared
from sklearn_mf.objective.objective import Objective, Strength
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.starts.nonnegative import NONNEGATIVE_INITS, nonnegative_start
from sklearn_mf.utils._typing import ArrayLike, MatrixLike
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    MissingValues,
    Real,
    StrOptions,
    check_complete,
    check_parameters,
    fit_context,
)
from sklearn_mf.utils._warnings import warn

BETAS = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0}


class NonnegativeFactorization(BaseFactorization):
    """Base of estimators with non-negative factors and scikit-learn's names for all they do.

    A subclass has the parameters of ``_parameter_constraints``, and says in ``_solver`` who
    solves.
    """

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            None,
            StrOptions({"auto"}),
        ],
        "init": [StrOptions({*NONNEGATIVE_INITS, "custom"}), None],
        "beta_loss": [StrOptions(set(BETAS)), Interval(Real, None, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "alpha_W": [Interval(Real, 0, None, closed="left")],
        "alpha_H": [Interval(Real, 0, None, closed="left"), StrOptions({"same"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "verbose": ["verbose"],
        "missing_values": [MissingValues(numeric_only=True)],
        "unstored": [StrOptions({"zero", "missing"})],
    }
    # There are no biases.
    bias = False

    @abstractmethod
    def _solver(self):
        """Who solves, as the parameters say."""

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> Self:
        """Find the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative data, with or without missing values. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        W : array-like of shape (n_samples, n_components), default=None
            Initial W, if ``init="custom"``.
        H : array-like of shape (n_components, n_features), default=None
            Initial H, if ``init="custom"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        self : estimator
            The fitted estimator.
        """
        self._fit_from(W, H, X, y, sample_weight, entry_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self,
        X: MatrixLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> np.ndarray:
        """Find the components and return the transformed data; the same as `fit`, then `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative data, with or without missing values. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        W : array-like of shape (n_samples, n_components), default=None
            Initial W, if ``init="custom"``.
        H : array-like of shape (n_components, n_features), default=None
            Initial H, if ``init="custom"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            Transformed data (codes).
        """
        result = self._fit_from(W, H, X, y, sample_weight, entry_weight)
        return self._codes_of(result)

    def _fit_from(self, W, H, X, y, sample_weight, entry_weight):
        return self._fit(X, y, sample_weight, entry_weight, self._custom(W, H))

    def _custom(self, W, H):
        """The factors that a caller gave, where ``init="custom"`` makes them the start."""
        if self.init == "custom":
            return W, H
        if not (W is None and H is None):
            warn(
                "W and H are ignored where init is not 'custom'. Use init='custom' to start "
                "from them.",
                RuntimeWarning,
            )
        return None, None

    def _resolve_loss(self, table, X):
        beta = BETAS.get(self.beta_loss, self.beta_loss)
        return Squared() if beta == 2 else BetaDivergence(float(beta))

    def _n_components_for(self, n_features, custom=(None, None)):
        if self.n_components not in (None, "auto"):
            return self.n_components
        if self.n_components == "auto":
            W, H = custom
            if np.ndim(H) == 2:
                return len(H)
            if np.ndim(W) == 2:
                return np.shape(W)[1]
        return n_features

    def _observe(self, X, loss, entry_weight=None, sample_weight=None):
        observations = super()._observe(X, loss, entry_weight, sample_weight)
        observations.refuse_negative(type(self).__name__, self._feature_names)
        return observations

    def _objective(self, loss):
        strength = Strength(self.alpha_W, 0.0)
        options = {"alpha_H": self.alpha_H, "l1_ratio": self.l1_ratio}
        return Objective(loss, positive=True, strength=strength, **options)

    def _pose(self, observations: ObservedMatrix, loss, known):
        n_components = self._n_components_for(observations.shape[1], known)
        return self._objective(loss).problem(observations, n_components), known

    def _solver_of(self, problem: Problem):
        solver = self._solver()
        check_parameters(solver)
        solver.check(problem)
        return solver

    def _start(self, context, problem: Problem, unit, random_state):
        X, _, custom = context
        shape, k = problem.observations.shape, problem.n_components
        if self.init == "custom":
            W, H = custom
            W = self._check_factor(W, "W", (shape[0], k), X.dtype)
            H = self._check_factor(H, "H", (k, shape[1]), X.dtype)
            # Copies: they are the user's, and what starts here may be written into.
            return unit.inside(W.copy(), k), unit.inside(np.array(H.T, order="C"), k)
        init = self.init
        # A sample of weight two counts as two, or it would not start as the sample twice.
        most = min(problem.row_weight.sum(dtype=np.float64), shape[1])
        if init is None:
            init = "nndsvda" if k <= most else "random"
        if init != "random" and k > most:
            raise ValueError(
                f"init={init!r} needs n_components <= min(n_samples, n_features)={most:g}, "
                f"but n_components={k}. Use init='random'."
            )
        return nonnegative_start(problem, init, random_state)

    def _check_factor(self, factor, name, shape, dtype):
        whom = f"{type(self).__name__} (input {name})"
        if factor is None:
            raise ValueError(f"init='custom' needs {name}, of shape {shape}, in fit.")
        factor = check_complete(factor, name, dtype=dtype, order="C")
        for which, found, expected in zip(("first", "second"), factor.shape, shape, strict=True):
            if found != expected:
                raise ValueError(
                    f"Array with wrong {which} dimension passed to {whom}. Expected {expected}, "
                    f"but got {found}."
                )
        check_non_negative(factor, whom)
        if not factor.any():
            raise ValueError(f"Array passed to {whom} is full of zeros.")
        return factor

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags
