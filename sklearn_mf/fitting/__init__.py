"""From a problem to a model: runs of solvers, streams, rank paths and hidden entries.

Nothing here depends on estimators: the functions take problems and objectives, and return factors
or a `FitResult`.
"""
