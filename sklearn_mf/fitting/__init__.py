"""From a problem to a model: runs of solvers, streams, paths of ranks, hidden entries.

Nothing here knows an estimator: functions take problems and objectives, and return factors or a
`FitResult`.
"""
