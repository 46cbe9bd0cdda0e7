"""Lists of the estimators, solvers, losses and penalties of the package."""

from inspect import getmembers, isclass


def all_estimators():
    """Return all estimators with their names.

    Returns
    -------
    estimators : list of (str, type)
        Pairs of name and class, sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_estimators
    >>> print([name for name, _ in all_estimators()])
    ['FactorizationImputer', 'ImplicitFactorization', 'MatrixFactorization', 'MiniBatchNMF', 'NMF']
    """
    from sklearn_mf import estimators

    return getmembers(estimators, isclass)


def all_solvers():
    """Return all solvers with their names.

    Returns
    -------
    solvers : list of (str, type)
        Pairs of the string that selects a solver and its class, sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_solvers
    >>> print([name for name, _ in all_solvers()])
    ['adam', 'als', 'cd', 'gd', 'lbfgs', 'mu', 'sgd', 'svd']
    """
    from sklearn_mf.solvers import SOLVERS

    return sorted(SOLVERS.items())


def all_losses():
    """Return all losses with their names.

    Returns
    -------
    losses : list of (str, type)
        Pairs of the string that selects a loss and its class, sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_losses
    >>> print([name for name, _ in all_losses()])
    ['absolute', 'huber', 'logistic', 'poisson', 'quantile', 'squared']
    """
    from sklearn_mf.losses import LOSSES

    return sorted(LOSSES.items())


def all_penalties():
    """Return all penalties with their names.

    Returns
    -------
    penalties : list of (str, type)
        Pairs of name and class, sorted by name.

    Examples
    --------
    >>> from sklearn_mf.utils.discovery import all_penalties
    >>> print([name for name, _ in all_penalties()])
    ['elasticnet', 'grouplasso', 'ridge', 'smoothness']
    """
    from sklearn_mf.penalties import PENALTIES

    return sorted(PENALTIES.items())
