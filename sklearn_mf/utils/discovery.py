"""Lists of what the package offers: for its tests, its documentation, and the curious."""

from inspect import getmembers, isclass


def all_estimators():
    """Every estimator as a pair of name and class.

    Returns
    -------
    estimators : list of (str, type)
        Sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_estimators
    >>> print([name for name, _ in all_estimators()])
    ['FactorizationImputer', 'ImplicitFactorization', 'MatrixFactorization', 'MiniBatchNMF', 'NMF']
    """
    from sklearn_mf import estimators

    return getmembers(estimators, isclass)


def all_solvers():
    """Every solver as a pair of the string that chooses it and its class.

    Returns
    -------
    solvers : list of (str, type)
        Sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_solvers
    >>> print([name for name, _ in all_solvers()])
    ['adam', 'als', 'cd', 'gd', 'lbfgs', 'mu', 'sgd', 'svd']
    """
    from sklearn_mf.solvers import SOLVERS

    return sorted(SOLVERS.items())


def all_losses():
    """Every loss as a pair of the string that chooses it and its class.

    Returns
    -------
    losses : list of (str, type)
        Sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_losses
    >>> print([name for name, _ in all_losses()])
    ['absolute', 'huber', 'logistic', 'poisson', 'quantile', 'squared']
    """
    from sklearn_mf.losses import LOSSES

    return sorted(LOSSES.items())


def all_penalties():
    """Every penalty as a pair of name and class.

    Returns
    -------
    penalties : list of (str, type)
        Sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_penalties
    >>> print([name for name, _ in all_penalties()])
    ['elasticnet', 'grouplasso', 'ridge', 'smoothness']
    """
    from sklearn_mf.penalties import PENALTIES

    return sorted(PENALTIES.items())
