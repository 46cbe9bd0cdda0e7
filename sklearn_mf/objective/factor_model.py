r"""The fitted model: components, biases and the loss that maps model values to data."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.canonical_form import is_unpenalized
from sklearn_mf.objective.layout import Layout
from sklearn_mf.objective.problem import Problem
from sklearn_mf.objective.units import Unit
from sklearn_mf.observations import StoredObservations
from sklearn_mf.utils._threads import quiet_products


@dataclass(frozen=True)
class FactorModel:
    r"""The model that predicts data from codes, :math:`\mu(b + w^\top H + c)`.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_features)
        The components H.
    feature_bias : ndarray of shape (n_features,)
        The biases b of the features, including the offset; zero if there are none.
    has_sample_bias : bool
        Whether the last code of each row is its bias c.
    loss : BaseLoss
        The loss whose mean :math:`\mu` maps model values to data.
    unit : Unit
        The unit in which codes are computed.
    """

    components: np.ndarray
    feature_bias: np.ndarray
    has_sample_bias: bool
    loss: BaseLoss
    unit: Unit = field(default_factory=Unit)

    @classmethod
    def of(cls, estimator):
        """Return the model of a fitted estimator from its public attributes, in the unit of X."""
        has_bias = len(estimator.get_feature_names_out()) > estimator.n_components_
        return cls(estimator.components_, estimator.feature_bias_, has_bias, estimator.loss_)

    @classmethod
    def found(cls, problem: Problem, Ht, unit):
        """Return the model of a fitted factor, converted to the unit of the data.

        Parameters
        ----------
        problem : Problem
            The problem, in the unit.
        Ht : ndarray of shape (n_features, k)
            Factor of the features, in the unit.
        unit : Unit
            The unit of the problem.

        Returns
        -------
        model : FactorModel
            The model, in the unit of the data.
        """
        H, bias = problem.layout.split(unit.outside(Ht, problem.n_components))
        bias = bias[:, 0] if problem.columns.has_bias else np.zeros_like(Ht[:, 0])
        bias = bias + bias.dtype.type(problem.offset * unit.size)
        return cls(np.ascontiguousarray(H.T), bias, problem.rows.has_bias, problem.loss, unit)

    @property
    def n_components(self):
        """Number of components."""
        return len(self.components)

    @property
    def n_codes(self):
        """Number of codes of a row, including its bias."""
        return self.n_components + self.has_sample_bias

    def of_features(self, features):
        """Return the model restricted to some features."""
        components = np.ascontiguousarray(self.components[:, features])
        return replace(self, components=components, feature_bias=self.feature_bias[features])

    def factors(self, W):
        """Return two tall arrays whose product is the model value of rows with these codes."""
        Ht = np.column_stack([self.components.T, self.feature_bias]).astype(W.dtype, copy=False)
        layout = Layout(self.n_components, self.has_sample_bias, column_bias=True)
        return layout.left(W), layout.right(Ht)

    def decode(self, W):
        """Return the expected data of rows with these codes."""
        left, right = self.factors(W)
        with quiet_products():
            model = left @ right.T
        return self.loss.mean(model)

    def decode_entries(self, W, rows, columns):
        """Return the expected values of single entries.

        Parameters
        ----------
        W : ndarray of shape (n_rows, n_codes)
            Codes of the rows.
        rows, columns : ndarray of int of shape (n_entries,)
            Row and column of each entry.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Expected values, in the order of the entries.
        """
        left, right = self.factors(W)
        order = np.argsort(rows, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(W)))])
        shape = len(W), len(right)
        pairs = sparse.csr_array((np.zeros(len(rows), left.dtype), columns[order], indptr), shape)
        values = np.empty(len(rows), dtype=left.dtype)
        loss = self.loss.at_columns(pairs.indices)
        values[order] = loss.mean(StoredObservations(pairs).model(left, right))
        return values

    def features_factor(self, problem: Problem):
        """Return the factor of the features for a problem in the unit.

        Its biases are relative to the offset of the problem.

        Parameters
        ----------
        problem : Problem
            A problem with these features.

        Returns
        -------
        Ht : ndarray of shape (n_features, k)
            The factor, in the unit.
        """
        k = self.n_components
        shape = problem.observations.shape[1], problem.T.width
        Ht = np.zeros(shape, dtype=problem.observations.dtype)
        Ht[:, :k] = self.unit.inside(self.components.T, k)
        if problem.columns.has_bias:
            Ht[:, k] = self.feature_bias / self.unit.size - problem.offset
        return Ht

    def fixed(self, problem: Problem):
        """Return the problem of the codes, and the factor of the features, which is fixed in it.

        Parameters
        ----------
        problem : Problem
            The problem of the rows, in the unit.

        Returns
        -------
        problem : Problem
            The problem, in which the model has a feature bias but no sample bias or offset of its
            own.
        Ht : ndarray of shape (n_features, n_components + 1)
            The factor, in the unit.
        """
        Ht = np.column_stack([self.components.T, self.feature_bias])
        Ht = self.unit.inside(Ht, self.n_components)
        problem = replace(problem, columns=replace(problem.columns, has_bias=True), offset=0.0)
        return problem, Ht.astype(problem.observations.dtype, copy=False)

    def solve(self, problem: Problem, Ht):
        """Return the codes of rows; all arguments are in the unit.

        The components of unpenalized factors have norm one in any unit. They must not be rescaled,
        because rows with few entries get the minimum-norm solution.

        Parameters
        ----------
        problem : Problem
            The problem; see `fixed`.
        Ht : ndarray of shape (n_features, n_components + 1)
            The fixed factor; see `fixed`.

        Returns
        -------
        W : ndarray of shape (n_rows, n_codes)
            The codes, in the unit.
        """
        if self.unit.size == 1 or not (problem.is_smooth and is_unpenalized(problem)):
            return problem.fold_in(Ht)
        root = Ht.dtype.type(self.unit.root)
        W = problem.fold_in(problem.layout.scaled(Ht, root, 1))
        problem.layout.components(W)[:] *= root
        return W

    def encode(self, problem: Problem):
        """Return the codes of rows.

        Parameters
        ----------
        problem : Problem
            The problem of the rows, in the unit of the data.

        Returns
        -------
        W : ndarray of shape (n_rows, n_codes)
            The codes, in the unit of the data.
        """
        fixed = self.fixed(self.unit.problem(problem))
        return self.unit.outside(self.solve(*fixed), self.n_components)
