r"""What a fit has found: components, biases and the loss that says what they mean for the data."""

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
    r"""The model that codes are put into, :math:`\mu(b + w^\top H + c)`.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_features)
        H, the components.
    feature_bias : ndarray of shape (n_features,)
        b, the biases of the features, with the offset; zero where there are none.
    has_sample_bias : bool
        Whether the last of the codes of a row is its bias c, and no code of a component.
    loss : BaseLoss
        Its mean :math:`\mu` leads from model values to data.
    unit : Unit
        In which codes are solved.
    """

    components: np.ndarray
    feature_bias: np.ndarray
    has_sample_bias: bool
    loss: BaseLoss
    unit: Unit = field(default_factory=Unit)

    @classmethod
    def of(cls, estimator):
        """The model of a fitted estimator, by its public attributes; codes in the data's unit."""
        has_bias = len(estimator.get_feature_names_out()) > estimator.n_components_
        return cls(estimator.components_, estimator.feature_bias_, has_bias, estimator.loss_)

    @classmethod
    def found(cls, problem: Problem, Ht, unit):
        """The model that a features' factor of a problem is, in the unit of the data.

        Parameters
        ----------
        problem : Problem
            In the unit.
        Ht : ndarray of shape (n_features, k)
            The features' factor, in the unit.
        unit : Unit
            Of the problem.

        Returns
        -------
        model : FactorModel
            In the unit of the data.
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
        """Number of codes of a row, its bias included."""
        return self.n_components + self.has_sample_bias

    def of_features(self, features):
        """The model of some features alone."""
        components = np.ascontiguousarray(self.components[:, features])
        return replace(self, components=components, feature_bias=self.feature_bias[features])

    def factors(self, W):
        """Two tall arrays whose product is the model of rows with these codes, before its mean."""
        Ht = np.column_stack([self.components.T, self.feature_bias]).astype(W.dtype, copy=False)
        layout = Layout(self.n_components, self.has_sample_bias, column_bias=True)
        return layout.left(W), layout.right(Ht)

    def decode(self, W):
        """Expected data of rows with these codes."""
        left, right = self.factors(W)
        with quiet_products():
            model = left @ right.T
        return self.loss.mean(model)

    def decode_entries(self, W, rows, columns):
        """Expected data of single entries.

        Parameters
        ----------
        W : ndarray of shape (n_rows, n_codes)
            Codes.
        rows, columns : ndarray of int of shape (n_entries,)
            Where the entries are.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            In the order of the entries.
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
        """The features' factor of a problem in the unit, biases counted from its offset.

        Parameters
        ----------
        problem : Problem
            Of these features.

        Returns
        -------
        Ht : ndarray of shape (n_features, k)
            In the unit.
        """
        k = self.n_components
        shape = problem.observations.shape[1], problem.T.width
        Ht = np.zeros(shape, dtype=problem.observations.dtype)
        Ht[:, :k] = self.unit.inside(self.components.T, k)
        if problem.columns.has_bias:
            Ht[:, k] = self.feature_bias / self.unit.size - problem.offset
        return Ht

    def fixed(self, problem: Problem):
        """The problem of codes, and the features' factor that is fixed in it.

        Parameters
        ----------
        problem : Problem
            Of the rows, in the unit.

        Returns
        -------
        problem : Problem
            All that is added to the model is a bias of the features.
        Ht : ndarray of shape (n_features, n_components + 1)
            In the unit.
        """
        Ht = np.column_stack([self.components.T, self.feature_bias])
        Ht = self.unit.inside(Ht, self.n_components)
        problem = replace(problem, columns=replace(problem.columns, has_bias=True), offset=0.0)
        return problem, Ht.astype(problem.observations.dtype, copy=False)

    def solve(self, problem: Problem, Ht):
        """Codes of rows for what is fixed, all of them in the unit.

        Components of unpenalized factors are of length one whatever the unit, and so they must stay
        where rows of few entries take the solution of least norm.

        Parameters
        ----------
        problem : Problem
            See `fixed`.
        Ht : ndarray of shape (n_features, n_components + 1)
            See `fixed`.

        Returns
        -------
        W : ndarray of shape (n_rows, n_codes)
            In the unit.
        """
        if self.unit.size == 1 or not (problem.is_smooth and is_unpenalized(problem)):
            return problem.fold_in(Ht)
        root = Ht.dtype.type(self.unit.root)
        W = problem.fold_in(problem.layout.scaled(Ht, root, 1))
        problem.layout.components(W)[:] *= root
        return W

    def encode(self, problem: Problem):
        """Codes of rows.

        Parameters
        ----------
        problem : Problem
            Of the rows, in the unit of the data.

        Returns
        -------
        W : ndarray of shape (n_rows, n_codes)
            In the unit of the data.
        """
        fixed = self.fixed(self.unit.problem(problem))
        return self.unit.outside(self.solve(*fixed), self.n_components)
