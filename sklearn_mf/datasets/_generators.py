"""Generated ratings and interactions with known factors."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_mf.utils._validation import Interval, validate_params

# Maximum number of cells whose scores are computed at a time.
BLOCK = 1 << 22

SHAPE = {
    "n_samples": [Interval(Integral, 1, None, closed="left")],
    "n_features": [Interval(Integral, 1, None, closed="left")],
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "density": [Interval(Real, 0, 1, closed="right")],
    "popularity_skew": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
}


@validate_params(
    {
        **SHAPE,
        "noise": [Interval(Real, 0, None, closed="left")],
        "scale": [tuple, list, None],
    },
    prefer_skip_nested_validation=True,
)
def make_ratings(
    n_samples=500,
    n_features=200,
    *,
    n_components=3,
    density=0.1,
    noise=0.5,
    scale=(1, 5),
    popularity_skew=1.0,
    random_state=None,
):
    r"""Generate low-rank ratings of which only a few are observed.

    The expected ratings are :math:`\mu + c_i + b_j + w_i^\top h_j`, with normally distributed
    biases of variance 0.2 and a product of variance 0.6; :math:`\mu` is the middle of the scale.
    Which entries are observed depends on the popularity of the columns, but not on the ratings.

    Parameters
    ----------
    n_samples : int, default=500
        Number of rows.
    n_features : int, default=200
        Number of columns.
    n_components : int, default=3
        Rank of the product.
    density : float, default=0.1
        Average fraction of observed entries. The numbers of entries in the rows are exponentially
        distributed, at least 1 and at most `n_features`.
    noise : float, default=0.5
        Standard deviation of the normally distributed noise.
    scale : tuple of (float, float) or None, default=(1, 5)
        Range of the ratings, which are rounded and clipped. With None, they are neither rounded nor
        clipped, and are centered at zero.
    popularity_skew : float, default=1.0
        Exponent s of the popularity: columns are drawn with weights :math:`r^{-s}` for the ranks 1,
        2, ... in random order, as in Zipf's law. With 0, all columns are equally popular.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. An int gives the same data in every call.

    Returns
    -------
    X : csr_array of shape (n_samples, n_features)
        The ratings, for estimators with ``unstored="missing"``.
    W : ndarray of shape (n_samples, n_components + 2)
        Factor of the rows. The last two columns are the bias of the row and ones.
    H : ndarray of shape (n_components + 2, n_features)
        Factor of the columns. The last two rows are ones and the bias of the column plus the mean,
        so that ``W @ H`` are the expected ratings.

    See Also
    --------
    make_implicit : Generates counts of interactions.

    Examples
    --------
    >>> from sklearn_mf.datasets import make_ratings
    >>> X, W, H = make_ratings(100, 50, random_state=0)
    >>> X.shape
    (100, 50)
    >>> sorted(set(X.data.tolist()))
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    _check_scale(scale)
    rng = _stream(random_state)
    middle = 0.0 if scale is None else np.mean(scale)
    W, H = _planted(rng, (n_samples, n_features, n_components), np.sqrt(0.6))
    row_bias = rng.normal(scale=np.sqrt(0.2), size=n_samples)
    column_bias = middle + rng.normal(scale=np.sqrt(0.2), size=n_features)
    W = np.column_stack([W, row_bias, np.ones(n_samples)])
    H = np.vstack([H, np.ones(n_features), column_bias])
    popularity = _log_popularity(rng, n_features, popularity_skew)
    X = _drawn(rng, (n_samples, n_features), density, lambda rows: popularity)
    X.data = _entries_of(W, H, X) + noise * rng.normal(size=X.nnz)
    if scale is not None:
        X.data = np.rint(X.data).clip(*scale)
    return X, W, H


@validate_params(
    {
        **SHAPE,
        "affinity": [Interval(Real, 0, None, closed="left")],
        "mean_count": [Interval(Real, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def make_implicit(
    n_samples=500,
    n_features=200,
    *,
    n_components=5,
    density=0.1,
    affinity=2.0,
    mean_count=2.0,
    popularity_skew=1.0,
    random_state=None,
):
    r"""Generate counts of interactions that depend on tastes and popularity.

    Each row draws its columns without replacement, with weights :math:`\exp(w_i^\top h_j)\,
    r_j^{-s}`. This is done by adding Gumbel noise to the logarithms of the weights and taking the
    largest sums.

    Parameters
    ----------
    n_samples : int, default=500
        Number of rows.
    n_features : int, default=200
        Number of columns.
    n_components : int, default=5
        Rank of the tastes.
    density : float, default=0.1
        Average fraction of entries with an interaction. The numbers of entries in the rows are
        exponentially distributed, at least 1 and at most `n_features`.
    affinity : float, default=2.0
        Standard deviation of :math:`w_i^\top h_j`. With 0, the rows differ by chance only, and only
        popularity can be learned.
    mean_count : float, default=2.0
        Mean of the counts, which are at least 1 and geometrically distributed. With 1, all counts
        are 1.
    popularity_skew : float, default=1.0
        Exponent :math:`s` of the ranks :math:`r_j` of the columns, which are 1, 2, ... in random
        order, as in Zipf's law. With 0, all columns are equally popular.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers. An int gives the same data in every call.

    Returns
    -------
    X : csr_array of shape (n_samples, n_features)
        The counts.
    W : ndarray of shape (n_samples, n_components + 1)
        Factor of the rows. The last column is ones.
    H : ndarray of shape (n_components + 1, n_features)
        Factor of the columns. The last row is :math:`-s \log r_j`, so that ``W @ H`` are the
        logarithms of the weights.

    See Also
    --------
    make_ratings : Generates ratings with noise.

    References
    ----------
    Kool, W., van Hoof, H. & Welling, M. (2019). Stochastic beams and where to find them: the
    Gumbel-top-k trick for sampling sequences without replacement. ICML 2019.

    Examples
    --------
    >>> from sklearn_mf.datasets import make_implicit
    >>> X, W, H = make_implicit(100, 50, random_state=0)
    >>> X.shape
    (100, 50)
    >>> bool((X.data >= 1).all())
    True
    """
    rng = _stream(random_state)
    W, H = _planted(rng, (n_samples, n_features, n_components), affinity)
    W = np.column_stack([W, np.ones(n_samples)])
    H = np.vstack([H, _log_popularity(rng, n_features, popularity_skew)])
    X = _drawn(rng, (n_samples, n_features), density, lambda rows: W[rows] @ H)
    X.data = rng.geometric(1 / mean_count, size=X.nnz).astype(np.float64)
    return X, W, H


def _stream(random_state):
    seed = check_random_state(random_state).randint(1 << 32, size=4, dtype=np.uint32)
    return np.random.default_rng(seed.tolist())


def _check_scale(scale):
    if scale is None:
        return
    if len(scale) != 2 or not all(isinstance(end, Real) for end in scale) or scale[0] >= scale[1]:
        raise ValueError(
            f"scale must be a pair of numbers (low, high) with low < high, got {scale!r}."
        )


def _planted(rng, sizes, deviation):
    """Return random factors whose product has this standard deviation."""
    n_samples, n_features, k = sizes
    size = np.sqrt(deviation) / k**0.25
    return rng.normal(scale=size, size=(n_samples, k)), rng.normal(scale=size, size=(k, n_features))


def _log_popularity(rng, n_features, skew):
    return -skew * np.log(1 + rng.permutation(n_features))


def _drawn(rng, shape, density, scores):
    """Draw the observed entries of each row, with weights whose logarithms are the scores."""
    n_samples, n_features = shape
    numbers = np.ceil(rng.exponential(density * n_features, size=n_samples)).astype(np.intp)
    numbers = numbers.clip(1, n_features)
    step, indices = max(1, BLOCK // n_features), []
    for begin in range(0, n_samples, step):
        rows = slice(begin, min(begin + step, n_samples))
        noisy = scores(rows) + rng.gumbel(size=(rows.stop - begin, n_features))
        indices += [
            np.sort(np.argpartition(-row, n - 1)[:n])
            for row, n in zip(noisy, numbers[rows], strict=True)
        ]
    indptr = np.concatenate([[0], np.cumsum(numbers)])
    indices = np.concatenate(indices)
    return sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=shape)


def _entries_of(W, H, X):
    """Return the product of two factors at the stored entries of a matrix."""
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    values = np.empty(X.nnz)
    step = max(1, BLOCK // len(H))
    for begin in range(0, X.nnz, step):
        part = slice(begin, begin + step)
        values[part] = np.einsum("ij,ij->i", W[rows[part]], H.T[X.indices[part]])
    return values
