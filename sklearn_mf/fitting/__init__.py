"""How models are fitted beyond one run of a solver: in streams, along paths, stopped in time.

Nothing here knows an estimator: functions take problems and return factors.
"""
