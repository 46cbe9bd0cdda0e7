"""Streams: components of all rows so far, without storing the rows.

If the codes are fixed, the components of a feature are a ridge regression on them. Its normal
equations are sufficient: a Gram matrix and a vector of moments, which are sums over the rows that
observe the feature (Mairal, Bach, Ponce & Sapiro 2010; with missing entries, Mensch, Mairal,
Thirion & Varoquaux 2018, :doi:`10.1109/TSP.2017.2752697`). A batch of rows is added to the sums and
is not needed afterwards.

The sums contain codes that were computed for earlier components. Two corrections keep them useful.
First, they are transformed: if the components change, the codes of the part of the data explained
by the model change linearly, so the sums can follow. Second, older sums are down-weighted.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.objective.canonical_form import is_balanceable, least_costly
from sklearn_mf.objective.constants import first_bias, overall_constant
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.starts.start import start, without_saddles, zeros
from sklearn_mf.systems import RowPenalty, RowSystems, solve, solve_active_set
from sklearn_mf.utils._threads import one_blas_thread

# A row has the weight of its index to this power, because the first components, and therefore their
# codes, were poor (Mairal et al. 2010, section 3.4).
FADING = 2.0
# Number of rows of a fit that determine the distribution of its codes.
SAMPLE = 1000


@dataclass(frozen=True)
class Past:
    """The summary of a fit with which a stream can continue it.

    Attributes
    ----------
    moment : ndarray of shape (q, q)
        Mean over the observed entries of the outer products of the rows of the left factor.
    curvature : float
        Mean weight of the entries in the bound of the loss; 1 for the squared loss.
    totals : ndarray of shape (n_features,)
        Total weight of the observed entries of each feature.
    n_rows : int or float
        Total weight of the rows.
    offset : float
        Overall constant to which biases are relative.
    """

    moment: np.ndarray
    curvature: float
    totals: np.ndarray
    n_rows: float
    offset: float

    @classmethod
    def of(cls, problem: Problem, Ht, W=None):
        """Return the summary of a problem solved by these components, and codes if known."""
        seen = np.flatnonzero(_row_weights(problem.observations))
        some = seen[np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).astype(np.intp)]
        sample = replace(problem, observations=problem.observations.subset(some))
        with one_blas_thread():  # for so few rows, more threads are slower
            W = sample.fold_in(Ht) if W is None else W[some]
        return cls._of_moment(problem, *_pooled_moment(sample, W, Ht))

    @classmethod
    def of_spectrum(cls, problem: Problem, Ht, squares):
        """Return the summary for complete data without penalties, whose codes are uncorrelated.

        Parameters
        ----------
        problem : Problem
            The problem, solved under the squared loss.
        Ht : ndarray of shape (n_features, k)
            Factor of the features, with orthogonal components.
        squares : ndarray of shape (n_components,)
            Sums of squares of the model values of each component.

        Returns
        -------
        past : Past
            The summary, with centered codes if there is a bias.
        """
        lengths = np.square(problem.layout.components(Ht), dtype=np.float64).sum(axis=0)
        lengths *= float(problem.row_weight.sum(dtype=np.float64))
        moment = np.eye(problem.layout.n_in_full)
        means = np.divide(squares, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        moment[np.diag_indices(problem.n_components)] = means
        return cls._of_moment(problem, moment, 1.0)

    @classmethod
    def _of_moment(cls, problem: Problem, moment, curvature):
        totals = problem.T.observations.row_totals().astype(np.float64)
        return cls(moment, curvature, totals, weight_of_rows(problem.observations), problem.offset)

    @property
    def n_entries(self):
        """Total weight of all entries."""
        return self.totals.sum()

    def resumed(self, problem: Problem, Ht):
        """Return approximately the sums of the fit; they are solved by its components."""
        _check_layout(problem, len(self.moment))
        shared = self.totals[:1] if np.ptp(self.totals) == 0 else self.totals
        sums = RowSystems.solved_by(shared[:, None, None] * self.moment, problem.layout.right(Ht))
        counts = dict.fromkeys(("n_in_sums", "n_kept", "n_rows"), self.n_rows)
        curvatures = self.curvature * self.totals
        stream = Stream(sums, self.totals, curvatures, **counts, offset=self.offset)
        scale, ridge, l1, _ = stream.column_penalty(problem)
        sums.moments[:, problem.layout.free] += scale[:, None] * (ridge * Ht + l1 * np.sign(Ht))
        return stream


@dataclass(frozen=True)
class Stream:
    """Sums over the rows of a stream. A batch of rows gives a new stream.

    The model is ``left @ right.T``, where the left factor has a row ``(w, c, 1)`` for each sample
    and the right factor a row ``(h, 1, b + offset)`` for each feature (c and b only if there are
    biases).

    Attributes
    ----------
    sums : RowSystems
        The normal equations of every feature without a penalty: weighted sums of outer products of
        left rows, of shape (q, q), over the rows that observe the feature, and of data times left
        rows. There is one Gram matrix for all features until entries are missing.
    totals : ndarray of shape (n_features,)
        Total weight of the entries in these sums.
    curvatures : ndarray of shape (n_features,)
        The same with the weights of the bound of the loss; equal for the squared loss.
    n_in_sums : float
        Total weight of the rows in these sums, which are down-weighted.
    n_kept : float
        Total weight of the rows after forgetting.
    n_rows : int or float
        Total weight of all rows.
    offset : float
        Overall constant to which biases are relative.
    """

    sums: RowSystems
    totals: np.ndarray
    curvatures: np.ndarray
    n_in_sums: float = 0.0
    n_kept: float = 0.0
    n_rows: float = 0
    offset: float = 0.0

    @classmethod
    def empty(cls, problem: Problem):
        """Return the stream before any row."""
        q, n_features = problem.layout.n_in_full, problem.observations.shape[1]
        nothing = np.zeros(n_features)
        sums = RowSystems(np.zeros((1, q, q)), np.zeros((n_features, q)))
        return cls(sums, nothing, nothing)

    @property
    def n_entries(self):
        """Total weight of all entries after forgetting."""
        return self.totals.sum() * self.n_kept / self.n_in_sums if self.n_in_sums else 0.0

    def resumed(self, problem: Problem, Ht):
        """Return the stream itself if the problem has the same biases; see `Past.resumed`."""
        _check_layout(problem, self.sums.grams.shape[1])
        return self

    def started(self, problem: Problem, Ht):
        """Return the stream with initial components.

        The initialization counts as many rows as there are components, because fewer rows have
        little information.
        """
        moment, _ = _pooled_moment(problem, problem.fold_in(Ht), Ht)
        mean_squares = np.diag(moment).copy()
        # Use the codes only, because biases have a different unit.
        of_codes, _ = problem.layout.split(mean_squares[None])
        of_codes[:] = of_codes.mean()
        gram = problem.n_components * np.diag(mean_squares)
        start = RowSystems.solved_by(gram[None], problem.layout.right(Ht))
        return replace(self, sums=self.sums + start)

    def with_features(self, problem: Problem, Ht):
        """Initialize features that occur for the first time with their means."""
        new = (self.totals == 0) & (problem.T.observations.row_totals() > 0)
        if not new.any():
            return self, Ht
        Ht, moments = Ht.copy(), self.sums.moments.copy()
        if problem.columns.has_bias:
            _, bias = problem.layout.split(Ht)
            bias[new, 0] = first_bias(problem)[new]
        moments[new] = self.sums.times(problem.layout.right(Ht))[new]
        return replace(self, sums=replace(self.sums, moments=moments)), Ht

    def updated(self, problem: Problem, Ht, forget_factor):
        """Add a batch of rows.

        Parameters
        ----------
        problem : Problem
            The batch, with the objective.
        Ht : ndarray of shape (n_features, k)
            Current factor of the features.
        forget_factor : float
            Factor of the weight of a row after each further row.

        Returns
        -------
        stream : Stream
            The sums that include the batch.
        Ht : ndarray of shape (n_features, k)
            Components that solve them; NaN if the codes have diverged.
        """
        n_new = weight_of_rows(problem.observations)
        kept = forget_factor**n_new
        before = self.n_rows + problem.n_components  # the weight of the initialization
        fading = kept * (before / (before + n_new)) ** FADING
        sums, curvatures = _column_sums(problem, problem.fold_in(Ht), Ht)
        if not np.isfinite(sums.grams).all():  # squares of codes overflow
            return self, np.full_like(Ht, np.nan)
        stream = Stream(
            self.sums.faded(fading) + sums,
            fading * self.totals + problem.T.observations.row_totals(),
            fading * self.curvatures + curvatures,
            fading * self.n_in_sums + n_new,
            kept * self.n_kept + n_new,
            self.n_rows + n_new,
            problem.offset,
        )
        after = stream.solved(problem, Ht)
        if is_balanceable(problem):
            stream, after = stream.carried(problem, Ht, after).balanced(problem, after)
        return stream, after.astype(Ht.dtype)

    def column_penalty(self, problem: Problem):
        """Return the penalty of a problem with all rows, down-weighted like the sums."""
        _, *per_column = problem.T.row_penalty
        scale = np.zeros_like(self.totals)
        seen = self.totals > 0
        all_rows = self.totals[seen] * (self.n_kept / self.n_in_sums)
        scale[seen] = self.totals[seen] * all_rows ** (problem.alpha_scaling - 1)
        return RowPenalty(scale, *(part.astype(np.float64) for part in per_column))

    def column_systems(self, problem: Problem):
        """Return the normal equations of the features, for components and estimated biases."""
        known = problem.layout.right(np.zeros((len(self.totals), problem.T.width)))
        systems = self.sums.of_coefficients(problem.layout.free, known)
        return replace(systems, penalty=self.column_penalty(problem))

    def solved(self, problem: Problem, Ht):
        """Return components that solve the normal equations."""
        systems, eps = self.column_systems(problem), float(np.finfo(Ht.dtype).eps)
        if not problem.columns.penalty.is_smooth:
            # Rounded sums may have no minimum. A small multiple of the diagonal restores it.
            k = systems.grams.shape[1]
            grams = systems.grams * (1 + 10 * k * eps * np.eye(k))
            return solve_active_set(replace(systems, grams=grams), Ht.astype(np.float64)).rows
        solution = systems.solved(eps)
        solution[self.totals == 0] = 0
        return solution

    def carried(self, problem: Problem, before, after):
        """Return the sums of the codes as they would be for the new components.

        The part ``D u + d`` that the model explains, with ``u = (w, c)``, has under the new model
        the code ``(D'V D + P)^-1 (D'V (D u + d - d') + P u)``, where D and d belong to the old and
        D' and d' to the new components, V is the mean weight of a feature's entries and P the
        penalty.
        """
        width, right = problem.width, problem.layout.right
        old, new = right(before.astype(np.float64)), right(after)
        share = self.totals / self.n_in_sums
        _, ridge, _, _ = problem.row_penalty
        penalty = np.diag(share.sum() ** problem.alpha_scaling * ridge.astype(np.float64))
        weighted = new[:, :width].T * (self.curvatures / self.n_in_sums)
        target = weighted @ np.hstack([old[:, :width], old[:, width:] - new[:, width:]])
        target[:, :width] += penalty
        system = weighted @ new[:, :width] + penalty
        carry = np.eye(old.shape[1])
        carry[:width] = solve(system[None], target[None], np.finfo(before.dtype).eps)[0]
        return self._with_left(carry)

    def _with_left(self, change):
        """Return the sums that result if every left row is multiplied by this matrix."""
        return replace(self, sums=self.sums.carried(change))

    def balanced(self, problem: Problem, Ht):
        """Return the same model in the form with the smallest penalties.

        Otherwise, with small penalties, components would become more and more similar.
        """
        if are_zero(problem, Ht):
            return self, Ht
        share = self.totals / self.n_in_sums
        # Weighted sums over all features that equal the penalties of the rows.
        row_scale = share.sum() ** (problem.alpha_scaling - 1)
        seen = self.totals > 0
        weights = np.zeros_like(share)
        weights[seen] = row_scale * self.totals[seen] / self.curvatures[seen]
        if len(self.sums.grams) == 1:
            weights = weights.sum(keepdims=True)
        gram = np.tensordot(weights, self.sums.grams, 1)
        scale, *_ = self.column_penalty(problem)
        right, change = least_costly(problem, gram, Ht, scale)
        right[self.totals == 0] = 0
        return self._with_left(change), right


def advanced(past, problem: Problem, model, init, batch):
    """Return the stream with another batch, and components that solve it.

    Parameters
    ----------
    past : Past, Stream or None
        The previous rows; None before the first ones.
    problem : Problem
        The batch, in the unit of the stream.
    model : FactorModel or None
        The current model.
    init : callable
        A function of the problem and a RandomState that returns initial components; see `start`.
    batch : tuple of (float, {int, RandomState instance, None})
        Factor of the weight of a row after each further row, and the source of random numbers.

    Returns
    -------
    stream : Stream
        The stream with the batch.
    Ht : ndarray of shape (n_features, k)
        Factor of the features, in the unit.

    Raises
    ------
    ValueError
        If the components are not finite.
    """
    forget_factor, random_state = batch
    stream = Stream.empty(problem) if past is None else past
    problem = centred(stream, problem)
    Ht = zeros(problem)[1] if model is None else model.features_factor(problem)
    if problem.layout.components(Ht).any():
        Ht = without_saddles(problem, Ht, check_random_state(random_state))
    stream, Ht = stream.resumed(problem, Ht).with_features(problem, Ht)
    if are_zero(problem, Ht):
        rng = check_random_state(random_state)
        first, (_, bias) = init(problem, rng), problem.T.layout.split(Ht)
        bias = bias[:, 0] if problem.columns.has_bias else np.zeros_like(Ht[:, 0])
        _, Ht = start(problem, first, rng, bias)
        stream = stream.started(problem, Ht)
    stream, Ht = stream.updated(problem, Ht, forget_factor)
    check_finite(Ht)
    return stream, Ht


def check_finite(Ht):
    """Raise an error if the components are not finite, before an estimator changes."""
    if not np.isfinite(Ht).all():
        raise ValueError(
            "partial_fit diverged: the components after this batch are not finite, so the model "
            "was not changed. Scale X, or increase alpha_W and alpha_H."
        )


def _check_layout(problem: Problem, n_in_full):
    if n_in_full != problem.layout.n_in_full:
        raise ValueError(
            "bias has changed since the previous rows, so partial_fit cannot continue. Use fit."
        )


def centred(past, problem: Problem):
    """Return the problem of a batch, with biases relative to the mean of past and batch."""
    if not problem.rows.has_bias:
        return problem
    batch = problem.T.observations.row_totals().sum(dtype=np.float64)
    share = batch / (past.n_entries + batch)
    shift = overall_constant(problem) - past.offset
    return replace(problem, offset=float(past.offset + share * shift))


def are_zero(problem: Problem, Ht):
    """Return whether the components are zero, up to rounding errors of the data."""
    largest = max(np.abs(values).max(initial=0) for values in problem.observations.each_value())
    H = problem.layout.components(Ht)
    return np.square(H).max() <= 1e3 * np.finfo(problem.observations.dtype).eps * largest


def seen_rows(observations: ObservedMatrix):
    """Return the observations of the rows with observed entries; None if there are none."""
    seen = np.flatnonzero(_row_weights(observations))
    if len(seen) == 0:
        return None
    return observations if len(seen) == observations.shape[0] else observations.subset(seen)


def weight_of_rows(observations: ObservedMatrix):
    """Return the number, or the total weight, of the rows with observed entries."""
    weights = _row_weights(observations)
    if observations.row_weight is None:
        return int(weights.sum())
    return float(weights.sum(dtype=np.float64))


def _row_weights(observations: ObservedMatrix):
    seen = observations.row_totals() > 0
    return seen if observations.row_weight is None else seen * observations.row_weight


def _column_sums(problem: Problem, W, Ht):
    """Return sums of every feature over the rows of the left factor, and their weights."""
    left, right = problem.layout.left(W), problem.layout.right(Ht)
    no_offsets = np.zeros_like(left, shape=len(left))
    parts = [
        (bound.systems(left, no_offsets), bound.row_totals())
        for _, bound in problem.T.bounds(right, left)
    ]
    sums, curvatures = zip(*parts, strict=True)
    return RowSystems.stacked(sums), np.concatenate(curvatures)


def _pooled_moment(problem: Problem, W, Ht):
    """Return the means over entries of the outer products of left rows, and of their weights."""
    left, right = problem.layout.left(W), problem.layout.right(Ht)
    moment = np.zeros((left.shape[1], left.shape[1]))
    row_weight, curvature = problem.observations.row_weight, 0.0
    for rows, bound in problem.bounds(left, right):
        part = left[rows].astype(np.float64)
        weight = bound.row_totals().astype(np.float64)
        if row_weight is not None:
            weight *= row_weight[rows]
        moment += part.T @ (part * weight[:, None])
        curvature += weight.sum()
    entries = problem.T.observations.row_totals().sum(dtype=np.float64)
    return moment / entries, curvature / entries
