r"""Interpretation of components: canonical forms, alignment and stability.

A product :math:`W H` does not change if an invertible matrix is moved from one factor to the other,
so single components cannot be interpreted before the factors are put into a standard form.
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
    r"""Return the factors in the form of a singular value decomposition.

    With :math:`W H = U S V^\top`, the codes become :math:`U S` and the components :math:`V^\top`:
    the components are orthonormal, and the codes are orthogonal and ordered by their sum of
    squares. The signs are those of :func:`sklearn.utils.extmath.svd_flip` with
    ``u_based_decision=False``: the largest entry of each component in absolute value is positive.
    The product itself is never computed.

    Parameters
    ----------
    W : array-like of shape (n_samples, n_components) or (n_samples, n_components + 1)
        Codes, as returned by `transform`. One additional column is the bias of the samples, and is
        returned unchanged.
    H : array-like of shape (n_components, n_features)
        Components, such as ``components_`` of a fitted estimator.

    Returns
    -------
    W : ndarray of the shape of W
        The codes in the canonical form.
    H : ndarray of shape (n_components, n_features)
        The components in the canonical form.

    Raises
    ------
    ValueError
        If there are more components than samples or features, or the shapes do not match.

    See Also
    --------
    sort_components : Keeps zeros and signs, for non-negative or sparse factors.

    Notes
    -----
    The codes of new samples are converted by ``W_new @ (H @ H_canonical.T)``.

    This function works on arrays and not on fitted estimators, because under a ridge penalty
    `transform` would not return these codes: penalties are invariant to rotations only, but the
    canonical form also changes scales. The product is the same for all penalties. Non-negative
    factors become negative, and the zeros of sparse factors are lost: use :func:`sort_components`
    for them.

    The form is unique if the singular values are distinct. Components with equal singular values
    may be rotated among themselves.

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
            f"The canonical form of {len(H)} components needs at least as many samples and "
            f"features, but W has {len(codes)} rows and H has {H.shape[1]} columns. Use "
            "sort_components."
        )
    samples, left = linalg.qr(codes, mode="economic")
    features, right = linalg.qr(H.T, mode="economic")
    U, s, Vt = linalg.svd(left @ right.T)
    return _with_signs(samples @ (U * s), Vt @ features.T, bias)


def sort_components(W, H):
    """Return components of unit norm, ordered by the sum of squares of their codes.

    Only scales, signs and the order change: zeros remain zeros, and non-negative factors remain
    non-negative. Use this form for non-negative or sparse factors, because a rotation would destroy
    these properties.

    Parameters
    ----------
    W : array-like of shape (n_samples, n_components) or (n_samples, n_components + 1)
        Codes, as returned by `transform`. One additional column is the bias of the samples, and is
        returned unchanged.
    H : array-like of shape (n_components, n_features)
        Components, such as ``components_`` of a fitted estimator.

    Returns
    -------
    W : ndarray of the shape of W
        The codes in the new order, multiplied by the norms of the components.
    H : ndarray of shape (n_components, n_features)
        The components in the new order. The largest entry of each in absolute value is positive, as
        by :func:`sklearn.utils.extmath.svd_flip` with ``u_based_decision=False``. Components of
        zeros come last and are not scaled.

    Raises
    ------
    ValueError
        If the shapes do not match.

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
    """Match the components of one fit with those of another.

    Each component of `a` is assigned a component of `b`. The assignment maximizes the sum of the
    similarities, which are the absolute cosines between the components of each pair.

    Parameters
    ----------
    a : array-like of shape (n_components_a, n_features)
        The reference components.
    b : array-like of shape (n_components_b, n_features)
        The components to match with them, at least as many.

    Returns
    -------
    aligned : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes.

        components : ndarray of shape (n_components_a, n_features)
            ``b[order] * signs[:, None]``: for each row of `a`, the component assigned to it.
            Unassigned components of `b` are left out.
        order : ndarray of int of shape (n_components_a,)
            Rows of `b`. Codes are aligned by ``W_b[:, order] * signs``.
        signs : ndarray of shape (n_components_a,)
            Signs, 1 or -1.
        similarities : ndarray of shape (n_components_a,)
            Similarity of each pair, in [0, 1]. It is 0 if a component consists of zeros.

    Raises
    ------
    ValueError
        If `b` has fewer components than `a`, or a different number of features.

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
        raise ValueError(
            f"a has {a.shape[1]} features, but b has {b.shape[1]}: they must be the same features."
        )
    if len(a) > len(b):
        raise ValueError(
            f"b has {len(b)} components, fewer than the {len(a)} of a: pass the smaller set first."
        )
    cosines = _unit(a)[0] @ _unit(b)[0].T
    rows, order = linear_sum_assignment(np.abs(cosines), maximize=True)
    signs = np.where(cosines[rows, order] < 0, -1, 1).astype(b.dtype)
    return Bunch(
        components=b[order] * signs[:, np.newaxis],
        order=order,
        signs=signs,
        # Rounding errors may make a cosine larger than one.
        similarities=np.minimum(np.abs(cosines[rows, order]), 1),
    )


def component_stability(estimator, X, y=None, *, cv=None, form=None, n_jobs=None, params=None):
    """Measure how similar the components are in fits to different samples.

    The estimator is fitted to the training samples of every split. The components of every two fits
    are matched by :func:`align_components`. The stability is the mean of the similarities of all
    pairs.

    Parameters
    ----------
    estimator : estimator object
        An estimator that has ``components_`` after `fit`, or a pipeline whose last step has them.
        It is not fitted itself.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,), default=None
        Passed to `fit` and to the splitter.
    cv : int, cross-validation splitter or iterable, default=None
        How to choose the samples, as in :func:`sklearn.model_selection.cross_validate`; None uses
        five folds. ``ShuffleSplit(20, train_size=0.5)`` is a harder test, because its fits have
        fewer samples in common.
    form : callable, default=None
        A function that converts the factors of every fit to a standard form before they are
        compared, such as :func:`canonical_form`. It is called as ``form(W, H)`` with the codes of
        the training samples and the components, and returns both. With None, the components are
        compared unchanged; if the factors may be rotated, this compares arbitrary rotations.
    n_jobs : int, default=None
        Number of fits in parallel, as in scikit-learn.
    params : dict, default=None
        Passed to `fit` and to the splitter, as in
        :func:`sklearn.model_selection.cross_validate`.

    Returns
    -------
    stability : float
        A number in [0, 1]. It is 1 if all fits have the same components, up to order, signs and
        scales. If the fits have different numbers of components, unmatched components count as 0.

    Raises
    ------
    ValueError
        If there are fewer than two splits, or the estimator has no components.

    See Also
    --------
    align_components : Matches the components of two fits.
    subspace_stability : Compares only the spaces that the components span.

    Notes
    -----
    Use this measure if components are interpreted one by one. It does not measure how well entries
    are predicted. Non-negative components always have large cosines: compare stabilities with one
    another, not with 1.

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
    """Measure how similar the spaces spanned by the components are in fits to different samples.

    The estimator is fitted to the training samples of every split. The similarity of two fits is
    the mean cosine of the principal angles between the spaces of their components. The stability is
    the mean over all pairs of fits. It does not depend on rotations of the components.

    Parameters
    ----------
    estimator : estimator object
        An estimator that has ``components_`` after `fit`, or a pipeline whose last step has them.
        It is not fitted itself.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data.
    y : array-like of shape (n_samples,), default=None
        Passed to `fit` and to the splitter.
    cv : int, cross-validation splitter or iterable, default=None
        How to choose the samples, as in :func:`sklearn.model_selection.cross_validate`; None uses
        five folds. ``ShuffleSplit(20, train_size=0.5)`` is a harder test, because its fits have
        fewer samples in common.
    n_jobs : int, default=None
        Number of fits in parallel, as in scikit-learn.
    params : dict, default=None
        Passed to `fit` and to the splitter, as in
        :func:`sklearn.model_selection.cross_validate`.

    Returns
    -------
    stability : float
        A number in [0, 1]. It is 1 if all fits span the same space. If the fits have different
        ranks, the additional directions count as 0.

    Raises
    ------
    ValueError
        If there are fewer than two splits, or the estimator has no components.

    See Also
    --------
    component_stability : Compares every single component.

    Notes
    -----
    If a signal of some rank stands out from the noise, the stability is highest at that rank: with
    fewer components, chance decides which of them are left out; with more, the additional ones fit
    noise. Ranks near the number of features are not informative, because all spaces become similar.

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
    """Return the estimator with the components: the last of a pipeline, the best of a search."""
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        estimator = estimator[-1] if isinstance(estimator, Pipeline) else estimator.best_estimator_
    return estimator


def fitted_components(estimator):
    """Return ``components_`` of a fitted estimator; see `last_step`."""
    last = last_step(estimator)
    if not hasattr(last, "components_"):
        raise ValueError(
            f"This {type(last).__name__} has no components_: pass a fitted estimator that has "
            "them, a pipeline that ends with one, or a search over one with refit=True."
        )
    return last.components_


def _fits(estimator, X, y, cv, n_jobs, params):
    """Return estimators fitted to the training samples of every split, and these samples."""
    # Convert X before scikit-learn selects rows of it.
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
        raise ValueError(
            "cv makes a single split, but stability compares fits: use two or more splits."
        )
    return results["estimator"], results["indices"]["train"]


def _mean_over_pairs(found, cosines):
    """Return the mean cosine over every two sets; unmatched components count as 0."""
    pairs = combinations(sorted(found, key=len), 2)
    mean = np.mean([np.sum(cosines(a, b)) / max(1, len(b)) for a, b in pairs])
    return min(1.0, float(mean))  # rounding errors may make a cosine larger than one


def _no_score(estimator, X, y=None):
    """Return a constant score, because `cross_validate` requires one."""
    return 0.0


def _check_factors(W, H):
    """Return codes, additional columns and components with the same dtype."""
    W = check_complete(W, "W")
    H = check_complete(H, "H")
    beside = W.shape[1] - len(H)
    if beside not in (0, 1):
        raise ValueError(
            f"W has {W.shape[1]} columns, but H has {len(H)} rows: W must have as many columns, or "
            "one more for sample biases."
        )
    dtype = np.result_type(W, H)
    codes, bias = np.hsplit(W.astype(dtype, copy=False), [len(H)])
    return codes, bias, H.astype(dtype, copy=False)


def _with_signs(codes, H, bias):
    """Return factors whose largest entries per component are positive, with biases appended."""
    signs = positive_signs(H.T)
    return np.hstack([codes * signs, bias]), H * signs[:, np.newaxis]


def _unit(H):
    """Return components of unit norm, and their norms; zeros remain zeros."""
    largest = np.abs(H).max(axis=1, keepdims=True)  # the squares may overflow
    H = H / np.where(largest == 0, 1, largest)
    lengths = np.linalg.norm(H, axis=1, keepdims=True)
    return H / np.where(lengths == 0, 1, lengths), np.ravel(largest * lengths)
