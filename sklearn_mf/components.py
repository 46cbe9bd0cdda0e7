r"""Components to read and compare: one form of many equal ones, pairs, stability.

A product :math:`W H` does not change if an invertible matrix moves from one factor to the
other, so neither factor means anything alone until a form is chosen.
"""

from itertools import combinations

import numpy as np
from scipy import linalg, sparse
from scipy.optimize import linear_sum_assignment
from sklearn.model_selection import cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sklearn_mf.objective.canonical_form import positive_signs
from sklearn_mf.utils._tables import native
from sklearn_mf.utils._validation import admit, check_complete

__all__ = [
    "align_components",
    "canonical_form",
    "component_stability",
    "sort_components",
    "subspace_stability",
]


def canonical_form(W, H):
    r"""Of all factorizations with the same product, the one that singular vectors make.

    With :math:`W H = U S V^\top` the codes become :math:`U S` and the components
    :math:`V^\top`: components are orthonormal, codes are orthogonal and ordered by their
    sum of squares. Signs are those of :func:`sklearn.utils.extmath.svd_flip` with
    ``u_based_decision=False``: the entry of largest size in each component is positive. The
    product itself is never built.

    Parameters
    ----------
    W : array-like of shape (n_samples, n_components) or (n_samples, n_components + 1)
        Codes, as `transform` returns them. One more column is the bias of the samples, and
        stays as it is.
    H : array-like of shape (n_components, n_features)
        Components, ``components_`` of a fitted estimator.

    Returns
    -------
    W : ndarray of the shape of W
        The codes in the canonical form.
    H : ndarray of shape (n_components, n_features)
        The components in the canonical form.

    Raises
    ------
    ValueError
        If there are more components than samples or features, or shapes do not agree.

    See Also
    --------
    sort_components : Keeps zeros and signs; for non-negative or sparse factors.

    Notes
    -----
    Codes of new samples go with the same components as ``W_new @ (H @ H_canonical.T)``.

    This works on arrays, and makes no fitted estimator, on purpose. Under a ridge penalty
    `transform` would not return these codes: only rotations leave the penalties as they are,
    and this form rescales too. The product is the same whatever the penalties were. But
    non-negative factors become negative, and the zeros of sparse ones are lost: use
    :func:`sort_components` for them.

    The form is unique where the singular values differ. Components whose singular values
    are equal may still turn among themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.components import canonical_form
    >>> X = np.array([[4.0, 1.0, 2.0], [1.0, 3.0, 1.0], [2.0, np.nan, 1.0], [3.0, 2.0, 2.0]])
    >>> model = MatrixFactorization(2, alpha_W=0.01, random_state=0)
    >>> W = model.fit_transform(X)
    >>> W_canonical, H_canonical = canonical_form(W, model.components_)
    >>> print((H_canonical @ H_canonical.T).round(6) + 0.0)
    [[1. 0.]
     [0. 1.]]
    >>> np.allclose(W_canonical @ H_canonical, W @ model.components_)
    True
    """
    codes, bias, H = _check_factors(W, H)
    if len(H) > min(len(codes), H.shape[1]):
        raise ValueError(
            f"The canonical form of {len(H)} components needs as many samples and features; W "
            f"has {len(codes)} rows, H has {H.shape[1]} columns. Use sort_components."
        )
    samples, left = linalg.qr(codes, mode="economic")
    features, right = linalg.qr(H.T, mode="economic")
    U, s, Vt = linalg.svd(left @ right.T)
    return _with_signs(samples @ (U * s), Vt @ features.T, bias)


def sort_components(W, H):
    """Components of unit length, ordered by the sum of squares of their codes.

    Only scale, sign and order change: zeros stay zeros, and what is not negative stays so.
    This is the form for factors that are non-negative or sparse, where a rotation would
    undo what was asked for.

    Parameters
    ----------
    W : array-like of shape (n_samples, n_components) or (n_samples, n_components + 1)
        Codes, as `transform` returns them. One more column is the bias of the samples, and
        stays as it is.
    H : array-like of shape (n_components, n_features)
        Components, ``components_`` of a fitted estimator.

    Returns
    -------
    W : ndarray of the shape of W
        The codes in that order, multiplied by the lengths of the components.
    H : ndarray of shape (n_components, n_features)
        The components in that order. The entry of largest size in each is positive, as by
        :func:`sklearn.utils.extmath.svd_flip` with ``u_based_decision=False``. A component
        of zeros comes last, as it is.

    Raises
    ------
    ValueError
        If the shapes do not agree.

    See Also
    --------
    canonical_form : For factors that may be rotated.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.components import sort_components
    >>> W = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> H = np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 0.0]])
    >>> W_sorted, H_sorted = sort_components(W, H)
    >>> print(W_sorted)
    [[ 0.  1.]
     [10.  0.]]
    >>> print(H_sorted)
    [[0.6 0.8 0. ]
     [0.  0.  1. ]]
    """
    codes, bias, H = _check_factors(W, H)
    H, lengths = _unit(H)
    codes = codes * lengths
    order = np.argsort(-np.linalg.norm(codes, axis=0), kind="stable")
    return _with_signs(codes[:, order], H[order], bias)


def align_components(a, b):
    """Bring the components of one fit next to those of another.

    Of all ways to give every component of `a` one of `b`, this is the one with the
    largest sum of similarities, the absolute cosines of the pairs.

    Parameters
    ----------
    a : array-like of shape (n_components_a, n_features)
        The components to go by.
    b : array-like of shape (n_components_b, n_features)
        The components to bring in their order, at least as many.

    Returns
    -------
    aligned : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes.

        components : ndarray of shape (n_components_a, n_features)
            ``b[order] * signs[:, None]``, each the partner of its row in `a`. Components of
            `b` without a partner are left out.
        order : ndarray of int of shape (n_components_a,)
            Rows of `b`. With `signs` this aligns codes too: ``W_b[:, order] * signs``.
        signs : ndarray of shape (n_components_a,)
            1 or -1.
        similarities : ndarray of shape (n_components_a,)
            Cosines of the pairs, in [0, 1]. That of a component of zeros is 0.

    Raises
    ------
    ValueError
        If `b` has fewer components than `a`, or not the same features.

    References
    ----------
    Kuhn, H. W. (1955). The Hungarian method for the assignment problem. Naval Research
    Logistics Quarterly 2(1-2). :doi:`10.1002/nav.3800020109`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.components import align_components
    >>> a = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> b = np.array([[0.0, 2.0, 0.0], [-3.0, 0.0, 4.0]])
    >>> aligned = align_components(a, b)
    >>> print(aligned.components)
    [[ 3. -0. -4.]
     [ 0.  2.  0.]]
    >>> print(aligned.order, aligned.signs, aligned.similarities)
    [1 0] [-1.  1.] [0.6 1. ]
    """
    a = check_complete(a, "a")
    b = check_complete(b, "b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a has {a.shape[1]} features, b has {b.shape[1]}: they must agree.")
    if len(a) > len(b):
        raise ValueError(
            f"b has {len(b)} components, fewer than the {len(a)} of a: give the smaller set first."
        )
    cosines = _unit(a)[0] @ _unit(b)[0].T
    rows, order = linear_sum_assignment(np.abs(cosines), maximize=True)
    signs = np.where(cosines[rows, order] < 0, -1, 1).astype(b.dtype)
    return Bunch(
        components=b[order] * signs[:, np.newaxis],
        order=order,
        signs=signs,
        # A cosine of one may be rounded to more.
        similarities=np.minimum(np.abs(cosines[rows, order]), 1),
    )


def component_stability(estimator, X, y=None, *, cv=None, form=None, n_jobs=None, params=None):
    """How far fits on different rows agree on each of the components.

    The estimator is fitted to the training rows of every split. Components of every two
    fits are paired by :func:`align_components`; the stability is the mean of the
    similarities of all pairs.

    Parameters
    ----------
    estimator : estimator object
        Has ``components_`` after `fit`; or a pipeline whose last step has. Not fitted itself.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,), default=None
        Passed to `fit` and to the splitter.
    cv : int, cross-validation splitter or iterable, default=None
        How to choose rows, as in :func:`sklearn.model_selection.cross_validate`; None for
        five folds. ``ShuffleSplit(20, train_size=0.5)`` is a harder test: its fits share
        fewer rows.
    form : callable, default=None
        Puts the factors of every fit into a form before they are compared, such as
        :func:`canonical_form`. Called as ``form(W, H)``, with the codes of the training rows
        and the components, it returns both. None: the components are compared as they are,
        which for factors that may be rotated is to compare rotations.
    n_jobs : int, default=None
        Number of fits in parallel, as in scikit-learn.
    params : dict, default=None
        Passed to `fit` and to the splitter, as in
        :func:`sklearn.model_selection.cross_validate`.

    Returns
    -------
    stability : float
        In [0, 1]. 1: all fits have the same components, up to order, signs and lengths. A
        component without a partner, where fits differ in how many they have, counts as 0.

    Raises
    ------
    ValueError
        If there are fewer than two splits, or the estimator has no components.

    See Also
    --------
    align_components : Pairs components of two fits.
    subspace_stability : Whether they span the same space, which is less.

    Notes
    -----
    This is for components that are read one by one. It says nothing of how well entries are
    predicted. Cosines between non-negative components are large by themselves: compare
    stabilities with one another, not with 1.

    References
    ----------
    Wu, S., Joseph, A., Hammonds, A. S., Celniker, S. E., Yu, B. & Frise, E. (2016).
    Stability-driven nonnegative matrix factorization to interpret spatial gene expression
    and build local gene networks. PNAS 113(16). :doi:`10.1073/pnas.1521171113`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.components import canonical_form, component_stability
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.standard_normal((100, 2)) * [5, 1]) @ rng.standard_normal((2, 10))
    >>> X += 0.5 * rng.standard_normal(X.shape)
    >>> for n_components in (2, 5):
    ...     model = MatrixFactorization(n_components, alpha_W=0.01, random_state=0)
    ...     print(component_stability(model, X, form=canonical_form) > 0.95)
    True
    False
    """
    fits, rows = _fits(estimator, X, y, cv, n_jobs, params)
    found = [fitted_components(fit) for fit in fits]
    if form is not None:
        codes = [np.asarray(fit.transform(X))[train] for fit, train in zip(fits, rows, strict=True)]
        found = [form(W, H)[1] for W, H in zip(codes, found, strict=True)]
    return _mean_over_pairs(found, lambda a, b: align_components(a, b).similarities)


def subspace_stability(estimator, X, y=None, *, cv=None, n_jobs=None, params=None):
    """How far fits on different rows agree on the space that the components span.

    The estimator is fitted to the training rows of every split. Two fits agree by the mean
    cosine of the principal angles between the spaces of their components; the stability is
    the mean over all pairs of fits. No rotation changes it.

    Parameters
    ----------
    estimator : estimator object
        Has ``components_`` after `fit`; or a pipeline whose last step has. Not fitted itself.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,), default=None
        Passed to `fit` and to the splitter.
    cv : int, cross-validation splitter or iterable, default=None
        How to choose rows, as in :func:`sklearn.model_selection.cross_validate`; None for
        five folds. ``ShuffleSplit(20, train_size=0.5)`` is a harder test: its fits share
        fewer rows.
    n_jobs : int, default=None
        Number of fits in parallel, as in scikit-learn.
    params : dict, default=None
        Passed to `fit` and to the splitter, as in
        :func:`sklearn.model_selection.cross_validate`.

    Returns
    -------
    stability : float
        In [0, 1]. 1: all fits span the same space. Where fits differ in their rank, the
        directions that one has more count as 0.

    Raises
    ------
    ValueError
        If there are fewer than two splits, or the estimator has no components.

    See Also
    --------
    component_stability : Whether every single component is the same, which is more.

    Notes
    -----
    Where a signal of some rank stands out from noise, the stability is highest at that
    rank: with fewer components, chance decides which are left out; with more, noise decides
    which come in. Ranks near the number of features tell nothing, all spaces being alike.

    References
    ----------
    Björck, Å. & Golub, G. H. (1973). Numerical methods for computing angles between linear
    subspaces. Mathematics of Computation 27(123). :doi:`10.2307/2005662`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.components import subspace_stability
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 15))
    >>> X += 0.5 * rng.standard_normal(X.shape)
    >>> stabilities = [
    ...     subspace_stability(MatrixFactorization(n_components, random_state=0), X)
    ...     for n_components in (1, 2, 3, 4, 5)
    ... ]
    >>> 1 + np.argmax(stabilities)
    np.int64(3)
    """
    fits, _ = _fits(estimator, X, y, cv, n_jobs, params)
    found = [linalg.orth(fitted_components(fit).T).T for fit in fits]
    return _mean_over_pairs(found, lambda a, b: np.linalg.svd(a @ b.T, compute_uv=False))


def last_step(estimator):
    """The estimator with the components: itself, the last of a pipeline, the best of a search."""
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        estimator = estimator[-1] if isinstance(estimator, Pipeline) else estimator.best_estimator_
    return estimator


def fitted_components(estimator):
    """``components_`` of a fitted estimator; see `last_step`."""
    last = last_step(estimator)
    if not hasattr(last, "components_"):
        raise ValueError(
            f"This {type(last).__name__} has no components_: fit an estimator that has them, a "
            "pipeline that ends in one, or a search over one with refit=True."
        )
    return last.components_


def _fits(estimator, X, y, cv, n_jobs, params):
    """Estimators fitted to the training rows of every split, and these rows."""
    # Before scikit-learn takes rows of it.
    X = admit(X) if sparse.issparse(X) else native(X)
    results = cross_validate(
        estimator,
        X,
        y,
        cv=cv,
        scoring=_no_score,
        n_jobs=n_jobs,
        params=params,
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    if len(results["estimator"]) < 2:
        raise ValueError("cv makes one split only, but stability compares fits: use two or more.")
    return results["estimator"], results["indices"]["train"]


def _mean_over_pairs(found, cosines):
    """Mean of the cosines between every two sets; what has no partner counts as 0."""
    pairs = combinations(sorted(found, key=len), 2)
    mean = np.mean([np.sum(cosines(a, b)) / max(1, len(b)) for a, b in pairs])
    return min(1.0, float(mean))  # a cosine of one may be rounded to more


def _no_score(estimator, X, y=None):
    """What `cross_validate` must be given, and what nobody looks at."""
    return 0.0


def _check_factors(W, H):
    """Codes, the columns beside them, and components, of one dtype."""
    W = check_complete(W, "W")
    H = check_complete(H, "H")
    beside = W.shape[1] - len(H)
    if beside not in (0, 1):
        raise ValueError(
            f"W has {W.shape[1]} columns, H has {len(H)} rows: they must agree, but for one more "
            "column of sample biases."
        )
    dtype = np.result_type(W, H)
    codes, bias = np.hsplit(W.astype(dtype, copy=False), [len(H)])
    return codes, bias, H.astype(dtype, copy=False)


def _with_signs(codes, H, bias):
    """Factors whose components have a positive entry of largest size, biases beside the codes."""
    signs = positive_signs(H.T)
    return np.hstack([codes * signs, bias]), H * signs[:, np.newaxis]


def _unit(H):
    """Components of unit length, and their lengths; zeros stay."""
    largest = np.abs(H).max(axis=1, keepdims=True)  # whose square may be no number
    H = H / np.where(largest == 0, 1, largest)
    lengths = np.linalg.norm(H, axis=1, keepdims=True)
    return H / np.where(lengths == 0, 1, lengths), np.ravel(largest * lengths)
