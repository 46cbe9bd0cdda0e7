"""The variance that components explain, and the whitening of codes, as in `PCA`."""

import numpy as np

from sklearn_mf.fitting.fit import FitResult
from sklearn_mf.fitting.stream import weight_of_rows
from sklearn_mf.losses import BaseLoss

ATTRIBUTES = "explained_variance_", "explained_variance_ratio_", "singular_values_"


def spectrum_attributes(result: FitResult):
    """Attributes that `fit` sets, None if components do not have the standard form."""
    spectrum, problem = result.state.spectrum, result.problem
    if spectrum is None:
        return dict.fromkeys(ATTRIBUTES)
    ratio = None
    if all(type(part).mean is BaseLoss.mean for part in problem.loss.parts):
        ratio = spectrum.squares / (spectrum.total or 1.0)
    squares = spectrum.squares * result.unit.size**2
    n_samples = weight_of_rows(problem.observations)
    # One degree of freedom is that of the mean; small sums of weights are at least halved.
    variance = squares / max(n_samples - 1, n_samples / 2)
    return dict(zip(ATTRIBUTES, (variance, ratio, np.sqrt(squares)), strict=True))


def deviation_of_codes(estimator, dtype):
    """Standard deviation of the codes of each component in `fit`, one where codes are zero."""
    lengths = np.linalg.norm(estimator.components_.astype(np.float64), axis=1)
    deviation = np.sqrt(estimator.explained_variance_)
    known = (lengths > 0) & (deviation > 0)
    deviation = np.divide(deviation, lengths, out=np.ones_like(deviation), where=known)
    return deviation.astype(dtype)
