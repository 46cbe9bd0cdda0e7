"""Streams: the components of all rows so far, none of which is kept.

With the codes fixed the components of a feature are a ridge regression on them, of which
the normal equations are all that matters: a Gram matrix and a vector of moments, sums over
the rows that observe the feature (Mairal, Bach, Ponce & Sapiro 2010; with missing entries,
Mensch, Mairal, Thirion & Varoquaux 2018, :doi:`10.1109/TSP.2017.2752697`). A batch of rows
adds to the sums and is forgotten.

The sums are over codes that were solved when the components were others. Two things keep
them from misleading. They are carried along: where the components move, the codes of
everything that the model explains move linearly, and so their sums can follow. And they
fade: what was solved in the beginning counts less and less.
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

# A row counts as much as the number of rows before it, to this power: the first components
# were poor, and so were their codes (Mairal et al. 2010, section 3.4).
FADING = 2.0
# Rows of a fit that tell how its codes are distributed.
SAMPLE = 1000


@dataclass(frozen=True)
class Past:
    """What a fit leaves for a stream that goes on from it.

    Attributes
    ----------
    moment : ndarray of shape (q, q)
        Mean over the observed entries of the products of a row of the left factor.
    curvature : float
        Mean weight of the entries in the bound of the loss; 1 if it is squared.
    totals : ndarray of shape (n_features,)
        Weight of the observed entries of each feature.
    n_rows : int or float
        Weight of the rows.
    offset : float
        Overall constant from which biases are counted.
    """

    moment: np.ndarray
    curvature: float
    totals: np.ndarray
    n_rows: float
    offset: float

    @classmethod
    def of(cls, problem: Problem, Ht, W=None):
        """What a problem leaves that these components, and codes if known, have solved."""
        seen = np.flatnonzero(_row_weights(problem.observations))
        some = seen[np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).astype(np.intp)]
        sample = replace(problem, observations=problem.observations.subset(some))
        with one_blas_thread():  # so few rows are not worth waking others
            W = sample.fold_in(Ht) if W is None else W[some]
        return cls._of_moment(problem, *_pooled_moment(sample, W, Ht))

    @classmethod
    def of_spectrum(cls, problem: Problem, Ht, squares):
        """The same of complete data without penalties, whose codes are uncorrelated.

        Parameters
        ----------
        problem : Problem
            Solved, under the squared loss.
        Ht : ndarray of shape (n_features, k)
            The features' factor, its components orthogonal.
        squares : ndarray of shape (n_components,)
            Sums of squares of the model values of each component.

        Returns
        -------
        past : Past
            Codes are centred where there is a bias.
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
        """Weight of all entries."""
        return self.totals.sum()

    def resumed(self, problem: Problem, Ht):
        """Near enough the sums that the fit would have left; these components solve them."""
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
    """Sums over the rows of a stream. A batch of rows makes another one of it.

    The model is ``left @ right.T``, with a row ``(w, c, 1)`` of the left factor for a sample
    and ``(h, 1, b + offset)`` of the right one for a feature, as far as there are biases.

    Attributes
    ----------
    sums : RowSystems
        Of every feature, without a penalty: weighted sums of products of left rows, of shape
        (q, q), over the rows that observe the feature, and of data times left rows. One Gram matrix
        for all while nothing was missing.
    totals : ndarray of shape (n_features,)
        Weight of the entries in these sums.
    curvatures : ndarray of shape (n_features,)
        The same under the bound of the loss; equal if it is squared.
    n_in_sums : float
        Weight of the rows in these sums, which fade.
    n_kept : float
        Weight of the rows that are not forgotten.
    n_rows : int or float
        Weight of all rows.
    offset : float
        Overall constant from which biases are counted.
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
        """Before any row."""
        q, n_features = problem.layout.n_in_full, problem.observations.shape[1]
        nothing = np.zeros(n_features)
        sums = RowSystems(np.zeros((1, q, q)), np.zeros((n_features, q)))
        return cls(sums, nothing, nothing)

    @property
    def n_entries(self):
        """Weight of all entries that are not forgotten."""
        return self.totals.sum() * self.n_kept / self.n_in_sums if self.n_in_sums else 0.0

    def resumed(self, problem: Problem, Ht):
        """Itself, if the problem is the same; see `Past.resumed`."""
        _check_layout(problem, self.sums.grams.shape[1])
        return self

    def started(self, problem: Problem, Ht):
        """With components of which nothing is known but this start.

        It counts as many rows as there are components: fewer tell little about them.
        """
        moment, _ = _pooled_moment(problem, problem.fold_in(Ht), Ht)
        mean_squares = np.diag(moment).copy()
        # Of the codes alone: a bias has another unit.
        of_codes, _ = problem.layout.split(mean_squares[None])
        of_codes[:] = of_codes.mean()
        gram = problem.n_components * np.diag(mean_squares)
        start = RowSystems.solved_by(gram[None], problem.layout.right(Ht))
        return replace(self, sums=self.sums + start)

    def with_features(self, problem: Problem, Ht):
        """Features that occur for the first time start at their mean."""
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
            The batch, and what is minimised over all rows.
        Ht : ndarray of shape (n_features, k)
            The features' factor so far.
        forget_factor : float
            What a row counts after the next one came.

        Returns
        -------
        stream : Stream
            The sums with the batch in them.
        Ht : ndarray of shape (n_features, k)
            Components that solve them; NaN where codes have run away.
        """
        n_new = weight_of_rows(problem.observations)
        kept = forget_factor**n_new
        before = self.n_rows + problem.n_components  # the start counts as so many
        fading = kept * (before / (before + n_new)) ** FADING
        sums, curvatures = _column_sums(problem, problem.fold_in(Ht), Ht)
        if not np.isfinite(sums.grams).all():  # of codes whose squares no number holds
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
        """As of a problem with all rows: for sums that fade, the penalty fades alike."""
        _, *per_column = problem.T.row_penalty
        scale = np.zeros_like(self.totals)
        seen = self.totals > 0
        all_rows = self.totals[seen] * (self.n_kept / self.n_in_sums)
        scale[seen] = self.totals[seen] * all_rows ** (problem.alpha_scaling - 1)
        return RowPenalty(scale, *(part.astype(np.float64) for part in per_column))

    def column_systems(self, problem: Problem):
        """The normal equations of the features: of their components, and of biases to be found."""
        known = problem.layout.right(np.zeros((len(self.totals), problem.T.width)))
        systems = self.sums.of_coefficients(problem.layout.free, known)
        return replace(systems, penalty=self.column_penalty(problem))

    def solved(self, problem: Problem, Ht):
        """Components that solve the normal equations."""
        systems, eps = self.column_systems(problem), float(np.finfo(Ht.dtype).eps)
        if not problem.columns.penalty.is_smooth:
            # Sums of rounded numbers may have no minimum, a little beside them they have one.
            k = systems.grams.shape[1]
            grams = systems.grams * (1 + 10 * k * eps * np.eye(k))
            return solve_active_set(replace(systems, grams=grams), Ht.astype(np.float64)).rows
        solution = systems.solved(eps)
        solution[self.totals == 0] = 0
        return solution

    def carried(self, problem: Problem, before, after):
        """The sums of the codes as they would be under the new components.

        What the model explains, ``D u + d`` with ``u = (w, c)``, has under the new one the
        code ``(D'V D + P)^-1 (D'V (D u + d - d') + P u)``, D and d of the old and D' and d' of
        the new components, V the mean weight of a feature's entries and P the penalty.
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
        """The sums, were every left row multiplied by this matrix."""
        return replace(self, sums=self.sums.carried(change))

    def balanced(self, problem: Problem, Ht):
        """The same model in the form whose penalties are least.

        Without it small penalties let components drift together.
        """
        if are_zero(problem, Ht):
            return self, Ht
        share = self.totals / self.n_in_sums
        # Sums over all features, so weighted that they are the rows' penalties.
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
    """A stream with a batch more, and components that solve it.

    Parameters
    ----------
    past : Past, Stream or None
        All rows before; None before the first.
    problem : Problem
        The batch, in the unit of the stream.
    model : FactorModel or None
        What was found so far.
    init : callable
        Gets the problem and a RandomState; returns how components start, see `start`.
    batch : tuple of (float, {int, RandomState instance, None})
        What a row leaves of the weight of those before it, and the source of random numbers.

    Returns
    -------
    stream : Stream
        With the batch.
    Ht : ndarray of shape (n_features, k)
        The features' factor, in the unit.

    Raises
    ------
    ValueError
        If they are not finite.
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
    """Refuse what a batch has led to, before an estimator changes."""
    if not np.isfinite(Ht).all():
        raise ValueError(
            "partial_fit diverged: the components after this batch are not finite, so it changes "
            "nothing. Scale X, or raise alpha_W and alpha_H."
        )


def _check_layout(problem: Problem, n_in_full):
    if n_in_full != problem.layout.n_in_full:
        raise ValueError(
            "bias has changed since the last rows: partial_fit cannot go on from them."
        )


def centred(past, problem: Problem):
    """The problem of a batch, its biases counted from the mean of the past and the batch."""
    if not problem.rows.has_bias:
        return problem
    batch = problem.T.observations.row_totals().sum(dtype=np.float64)
    share = batch / (past.n_entries + batch)
    shift = overall_constant(problem) - past.offset
    return replace(problem, offset=float(past.offset + share * shift))


def are_zero(problem: Problem, Ht):
    """Whether the components are zero, but for the rounding error of the data."""
    largest = max(np.abs(values).max(initial=0) for values in problem.observations.each_value())
    H = problem.layout.components(Ht)
    return np.square(H).max() <= 1e3 * np.finfo(problem.observations.dtype).eps * largest


def seen_rows(observations: ObservedMatrix):
    """The observations of the rows that have an entry; None if none has."""
    seen = np.flatnonzero(_row_weights(observations))
    if len(seen) == 0:
        return None
    return observations if len(seen) == observations.shape[0] else observations.subset(seen)


def weight_of_rows(observations: ObservedMatrix):
    """How many rows have an entry, or their weight."""
    weights = _row_weights(observations)
    if observations.row_weight is None:
        return int(weights.sum())
    return float(weights.sum(dtype=np.float64))


def _row_weights(observations: ObservedMatrix):
    seen = observations.row_totals() > 0
    return seen if observations.row_weight is None else seen * observations.row_weight


def _column_sums(problem: Problem, W, Ht):
    """Sums of every feature over the rows of the left factor, and its weight in them."""
    left, right = problem.layout.left(W), problem.layout.right(Ht)
    no_offsets = np.zeros_like(left, shape=len(left))
    parts = [
        (bound.systems(left, no_offsets), bound.row_totals())
        for _, bound in problem.T.bounds(right, left)
    ]
    sums, curvatures = zip(*parts, strict=True)
    return RowSystems.stacked(sums), np.concatenate(curvatures)


def _pooled_moment(problem: Problem, W, Ht):
    """Mean over the entries of the products of left rows, and of their weights there."""
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
