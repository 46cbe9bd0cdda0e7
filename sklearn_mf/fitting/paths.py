"""Factors along a path of ranks and penalties, each from those before it.

What is asked of a path is not the last digit of every fit, but which of them predicts hidden
entries best. So a step costs few sweeps, often one: new components are found by themselves, from
what the others leave, and then all are improved together while hidden entries gain by it.
"""

from dataclasses import replace
from itertools import islice

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix, StoredObservations, gradient_of
from sklearn_mf.utils._threads import in_threads, one_blas_thread
from sklearn_mf.utils._warnings import quiet

# A path ends where so many errors in a row are by this share, or by one standard error of the
# least if that is less, above the least.
LATE, RISEN = 3, 0.02
# Hidden entries rest once a sweep takes less than this share from their error.
RESTING = 0.01
# What of the standard deviation of the data may be lost in paths, which are twice as fast in
# single precision.
PRECISION = 1e-5
# Entries that are hidden, in as few hold-outs as have them.
ENOUGH_HIDDEN = 10_000
# Share of the error that is no reason for another component, however sure it is.
NEGLIGIBLE = 1e-3
# Products with residuals towards new components: cheaper than sweeps that make up for fewer.
STEPS = 5
# Tables of so few columns and entries are decomposed exactly instead.
FEW_COLUMNS, FEW_ENTRIES = 64, 1 << 18
# Added to what a row sees of a new component, beside the average of all rows.
SHRINKAGE = 0.1
# Components smaller than this share of the data have been shrunk away by a larger penalty.
# Alternation would bring them back slowly, and from zero never.
GONE = 1e-3


class Hidden:
    """What is hidden from the problems of a path, in groups whose errors tell their spread.

    Parameters
    ----------
    held_out : HeldOut
        Single entries, or a block in rows of which other columns are known.
    n_groups : int, default=1
        Of entries, or of rows of the block: fewer, where it has fewer.

    Attributes
    ----------
    weights : ndarray of shape (n_groups,)
        What the entries of each group count for.
    n_observed : int
        Number of hidden entries.
    """

    def __init__(self, held_out, n_groups=1):
        hidden, self._columns = held_out.hidden, held_out.columns
        if self._columns is None:
            group = np.arange(hidden.n_observed) % n_groups
            self._groups = [(hidden.only(group == number), None) for number in range(n_groups)]
        else:
            rows = np.arange(hidden.shape[0])
            parts = [rows[number::n_groups] for number in range(min(n_groups, len(rows)))]
            self._groups = [(hidden.subset(part), held_out.known.subset(part)) for part in parts]
        self.weights = np.array([total_weight(group) for group, _ in self._groups])
        self.n_observed = hidden.n_observed

    def errors(self, problem: Problem, factors, loss):
        """Mean squared error of each group, on the scale of the data.

        Parameters
        ----------
        problem : Problem
            Of what is visible.
        factors : tuple of two ndarrays
            Found for it.
        loss : BaseLoss
            Of the data, in the unit of the problem.

        Returns
        -------
        errors : ndarray of shape (n_groups,)
            Weighted as the entries are.
        """
        # Gram matrices stand for the zeros of a block; entries have squares in double precision.
        in_block = self._columns is not None
        error = loss if loss.is_squared and in_block else SquaredErrorOfMean(loss)
        totals = [
            group.total_loss(*self._model_factors(problem, factors, known), error)
            for group, known in self._groups
        ]
        return 2 * np.array(totals) / self.weights

    def _model_factors(self, problem: Problem, factors, known):
        W, Ht = factors
        if known is not None:  # rows that have no code yet
            W = replace(problem, observations=known).fold_in(Ht[~self._columns])
            Ht = Ht[self._columns]
        return problem.model_factors(W, Ht)


def total_weight(observations: ObservedMatrix):
    """What all entries of some observations count for together."""
    totals = observations.row_totals()
    if observations.row_weight is None:
        return float(totals.sum(dtype=np.float64))
    return float(totals @ observations.row_weight.astype(np.float64))


def sweeps(problem: Problem, W, Ht):
    """Factors after each of any number of sweeps.

    Parameters
    ----------
    problem : Problem
        To be solved.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Where to start.

    Yields
    ------
    W, Ht : ndarray
        W the best for this Ht.
    """
    while True:
        W, Ht = problem.balanced(W, problem.T.solve_rows(W, Ht))
        W = problem.solve_rows(Ht, W)
        yield W, Ht


def rested(sweeps, error_of, before, most):
    """Follow sweeps until the error of hidden entries rests.

    A step of a path that ended sooner would leave to the next rank what is its own to gain, and
    that rank would seem to be needed.

    Parameters
    ----------
    sweeps : iterable of tuple of two ndarrays
        Factors, see `sweeps`.
    error_of : callable
        Mean squared error of hidden entries; gets the factors.
    before : float
        The error of the step before.
    most : int
        Number of sweeps.

    Returns
    -------
    factors : tuple of two ndarrays
        The last.
    """
    for factors in islice(sweeps, most):
        error = error_of(factors)
        if not error < (1 - RESTING) * before:
            break
        before = error
    return factors


def follow(judge, tasks, work):
    """What is found along the paths of some tasks, whose threads fill each other's gaps.

    Parameters
    ----------
    judge : callable
        Of one task.
    tasks : sequence
        What it is called with.
    work : float
        Multiplications in the largest step of a path: little is not worth another thread.

    Returns
    -------
    results : list
        In the order of the tasks.
    """

    def quietly(task):
        with quiet(ConvergenceWarning):  # whether the last fit converges, that will say
            return judge(task)

    with one_blas_thread():
        return in_threads(quietly, tasks, work)


def n_enough(n_hidden, enough=ENOUGH_HIDDEN):
    """How many hold-outs are enough to choose by, if each hides so many entries."""
    return int(np.ceil(enough / n_hidden))


def has_risen(errors, n_hidden):
    """Whether the last errors of a path are so far above its least that the rest is no use.

    Parameters
    ----------
    errors : ndarray of shape (n_steps,)
        Mean squares, of hidden entries.
    n_hidden : int
        Number of hidden entries: it tells the standard error of such a mean of normal errors.

    Returns
    -------
    risen : bool
        Whether to end the path.
    """
    rise = min(RISEN, np.sqrt(2 / n_hidden))
    return len(errors) > LATE and min(errors[-LATE:]) > (1 + rise) * min(errors)


def widened(problem: Problem, W, Ht, random_state, n_blocks=1):
    """Factors for a problem, from those for one of fewer components or a larger penalty.

    Parameters
    ----------
    problem : Problem
        Of the same observations.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Where to start.
    random_state : RandomState
        Draws where the search for new components starts.
    n_blocks : int, default=1
        Of how many tables along a diagonal the observations consist; each gets its own components.

    Returns
    -------
    W, Ht : ndarray
        As many components as the problem has: those that are there, and new ones.
    """
    parts = _parts(problem, W, Ht)
    sizes = np.prod([np.linalg.norm(components, axis=0) for components, _ in parts], axis=0)
    kept = sizes > GONE * np.sqrt(problem.observations.total_squares)
    n_new = problem.n_components - int(kept.sum())
    if n_new == 0:
        return W, Ht
    parts = [(components[:, kept], bias) for components, bias in parts]
    old = replace(problem, n_components=problem.n_components - n_new)
    factors = tuple(np.hstack(part) for part in parts)
    new = _directions(old, factors, n_new, (n_blocks, random_state))
    return tuple(
        np.hstack([components, found, bias])
        for (components, bias), found in zip(parts, new, strict=True)
    )


def narrowed(problem: Problem, W, Ht, n_blocks=1):
    """Factors for a problem, from those for one of more components: the largest are kept.

    Parameters
    ----------
    problem : Problem
        Of the same observations.
    W, Ht : ndarray of shape (n_rows, k), (n_columns, k)
        Where to start.
    n_blocks : int, default=1
        As in `widened`.

    Returns
    -------
    W, Ht : ndarray
        As many components as the problem has, and biases as they were.
    """
    parts, after = _parts(problem, W, Ht), problem.n_components
    bases, triangles = zip(
        *(np.linalg.qr(V.reshape(n_blocks, -1, V.shape[1])) for V, _ in parts), strict=True
    )
    left, sizes, right = np.linalg.svd(triangles[0] @ triangles[1].swapaxes(1, 2))
    roots = np.sqrt(sizes[:, None, :after])
    turned = left[..., :after] * roots, right.swapaxes(1, 2)[..., :after] * roots
    return tuple(
        np.hstack([(basis @ turn).reshape(-1, after), bias])
        for basis, turn, (_, bias) in zip(bases, turned, parts, strict=True)
    )


def _parts(problem: Problem, W, Ht):
    """Components and biases of factors that have another number of components."""
    layout = replace(problem.layout, n_components=Ht.shape[1] - problem.columns.has_bias)
    return [layout.split(V) for V in (W, Ht)]


def _directions(problem: Problem, factors, n_new, search):
    """What the residuals of rows, and of columns, have in common."""
    samples, factors = problem.observations, problem.model_factors(*factors)
    if isinstance(samples, StoredObservations):
        slopes = gradient_of(
            problem.loss.at(samples.kinds), samples.values, samples.model(*factors)
        )
        weights = np.ones_like(slopes) if samples.weights is None else samples.weights
        V, images = _leading(samples.matrix(-slopes), n_new, *search)
        squares = samples.matrix(weights) @ V**2
    else:
        V, images = _leading(_Residuals(samples, factors, problem.loss), n_new, *search)
        squares = np.tile((V**2).sum(axis=0), (len(images), 1))
    U = _regressed(images, squares, V)
    # Entries of both factors of the same size, where penalties want them.
    size = np.sqrt(np.linalg.norm(U, axis=0) * (len(V) / len(U)) ** 0.5)
    size += np.finfo(V.dtype).tiny
    return U / size, V * size


class _Residuals:
    """What a model leaves of sparse data whose zeros count: nothing dense but blocks of rows."""

    def __init__(self, samples, factors, loss):
        self._samples, self._factors, self._loss = samples, factors, loss
        self._is_sum = loss.is_squared and samples.complete
        self.shape, self.dtype = samples.shape, samples.dtype

    @property
    def T(self):
        """The same, rows and columns exchanged."""
        return _Residuals(self._samples.T, self._factors[::-1], self._loss)

    def __matmul__(self, V):
        W, Ht = self._factors
        if self._is_sum:  # of a sparse matrix and one of low rank
            return self._samples.product(V, np.zeros_like(V, shape=len(V))) - W @ (Ht.T @ V)
        out = np.empty_like(V, shape=(self.shape[0], V.shape[1]))
        for rows, block in self._samples.blocks():
            slopes = gradient_of(self._loss.at(block.kinds), block.values, block.model(W[rows], Ht))
            out[rows] = -block.pull_rows(slopes, V)
        return out


def _leading(residuals, n_vectors, n_blocks, random_state):
    """Right singular vectors, the best in a block Krylov subspace (Musco & Musco 2015), and images.

    The images are the products of the residuals with them. Blocks along the diagonal have each
    their own.
    """
    n_columns = residuals.shape[1] // n_blocks
    is_small = n_columns <= FEW_COLUMNS and residuals.shape[0] * n_columns <= FEW_ENTRIES
    if is_small and not isinstance(residuals, _Residuals):
        return _leading_of_few(residuals, n_vectors, n_blocks)

    def times(matrix, stacked):
        """The product with each block."""
        return (matrix @ stacked.reshape(-1, n_vectors)).reshape(n_blocks, -1, n_vectors)

    block = random_state.standard_normal((n_blocks, n_columns, n_vectors)).astype(residuals.dtype)
    basis, _ = np.linalg.qr(block)
    images = times(residuals, basis)
    for _ in range(1, min(STEPS, n_columns // n_vectors)):
        block = times(residuals.T, images[..., -n_vectors:])
        for _ in range(2):  # once more, or what was lost in rounding error would stay in
            block -= basis @ (basis.swapaxes(1, 2) @ block)
        block, _ = np.linalg.qr(block)
        basis = np.concatenate([basis, block], axis=2)
        images = np.concatenate([images, times(residuals, block)], axis=2)
    _, rotation = np.linalg.eigh(images.swapaxes(1, 2) @ images)
    leading = rotation[..., ::-1][..., :n_vectors]
    return (basis @ leading).reshape(-1, n_vectors), (images @ leading).reshape(-1, n_vectors)


def _leading_of_few(residuals, n_vectors, n_blocks):
    """The same of small tables, whose Gram matrices take less time than the calls of a search."""
    n_rows, n_columns = residuals.shape[0], residuals.shape[1] // n_blocks
    dense = np.zeros((n_blocks, n_rows // n_blocks, n_columns), residuals.dtype)
    rows = np.repeat(np.arange(n_rows), np.diff(residuals.indptr))
    dense.reshape(n_rows, -1)[rows, residuals.indices % n_columns] = residuals.data
    _, vectors = np.linalg.eigh(dense.swapaxes(1, 2) @ dense)
    leading = vectors[..., ::-1][..., :n_vectors]
    return leading.reshape(-1, n_vectors), (dense @ leading).reshape(-1, n_vectors)


def _regressed(images, squares, V):
    """Each row of residuals regressed on each column of V by itself, where it is observed.

    Rows that see little of a column are shrunk, or rounding error would fill them.
    """
    return images / (squares + SHRINKAGE * squares.mean(axis=0) + np.finfo(V.dtype).tiny)


def of_every_rank(ranks, strengths, results_of, first, n_deciding, least):
    """Results of every rank, under the best of the strengths that it was tried with.

    A strength that suits few components hides those that a weaker one would find, and a rank tells
    which strength it needs. So the ranks are tried under one strength, then strengths at the best
    rank and at the simplest that is nearly as good, in turns, until no turn begins anew.

    Parameters
    ----------
    ranks : sequence
        Ascending.
    strengths : sequence
        The largest first.
    results_of : callable
        Gets ranks and strengths, of which one is alone, and follows the other, and a slice of
        folds; returns an ndarray of shape (n_folds, n_strengths, n_ranks, n_results), the score
        first: NaN where a path had ended.
    first : int
        Index of the strength to begin with.
    n_deciding : int
        Number of folds that are enough to choose a strength.
    least : float
        A difference that is no difference.

    Returns
    -------
    results : ndarray of shape (n_folds, n_ranks, n_results)
        NaN where a path had ended.
    """
    if len(strengths) == 1:
        return results_of(ranks, strengths, slice(None))[:, 0]
    found, lines = [[] for _ in ranks], []
    tried, begun, to_begin = set(), set(), [first]

    def column_of(rank):
        """Results of a rank under all strengths."""
        tried.add(rank)
        column = results_of(ranks[rank : rank + 1], strengths, slice(n_deciding))[:, :, 0]
        if len(column) == len(found[rank][0]):
            found[rank] += list(column.swapaxes(0, 1))
        return column.swapaxes(0, 1)

    while to_begin:
        index = to_begin.pop()
        begun.add(index)
        line = results_of(ranks, strengths[index : index + 1], slice(None))[:, 0].swapaxes(0, 1)
        lines.append(line)
        for of_rank, results in zip(found, line, strict=True):
            of_rank.append(results)
        promising = {_best(line), simplest_of_the_good(line[..., 0])}
        to_begin += {_best(column_of(rank)) for rank in promising - tried} - begun - {*to_begin}
    # A rank that was tried under all strengths has an advantage over its neighbours.
    n_folds = len(found[0][0])
    while n_deciding >= n_folds:
        scores = np.stack([of_rank[_best(of_rank)][:, 0] for of_rank in found])
        winner = simplest_of_the_best(scores, least)
        untried = {winner - 1, winner, winner + 1} & {*range(len(ranks))} - tried
        if not untried:
            break
        for rank in untried:
            column_of(rank)
    results = np.stack([of_rank[_best(of_rank)] for of_rank in found], axis=1)
    # Where the path of the best strength had ended, those of others tell no more.
    ended = lines[_best([line[_best(line)] for line in lines])][..., 0].T
    results[np.isnan(ended)] = np.nan
    return results


def _best(results):
    """Which of some results, each of shape (n_folds, n_results), has the best mean score."""
    means = [result[:, 0].mean() for result in results]
    return int(np.argmax(np.nan_to_num(means, nan=-np.inf)))


def simplest_of_the_best(scores, least=0.0):
    """The first candidate, the simplest first, that is within one standard error of the best.

    That is the standard error of how much worse it is on the same hidden entries, or of the best
    score if that is less, since folds in which a candidate fails are no reason to take it.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates, n_folds)
        NaN where a path had ended.
    least : float
        A difference that is no difference, beside a thousandth of the best score.

    Returns
    -------
    index : int
        Of that candidate.
    """
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    losses = best - scores
    errors = np.minimum(losses.std(axis=1), best.std()) / np.sqrt(max(scores.shape[1] - 1, 1))
    least = max(least, NEGLIGIBLE * abs(float(best.mean())))
    return int(np.argmax(losses.mean(axis=1) <= np.maximum(errors, least)))


def simplest_of_the_good(scores):
    """The same within one standard error of the best score itself, which most candidates are."""
    best = scores[int(np.nanargmax(scores.mean(axis=1)))]
    error = best.std() / np.sqrt(max(scores.shape[1] - 1, 1))
    return int(np.argmax(scores.mean(axis=1) >= best.mean() - error))
