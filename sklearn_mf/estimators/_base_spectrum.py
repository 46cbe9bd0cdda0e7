"""What components explain, and codes brought to variance one: as `PCA` has them."""

import numpy as np

from sklearn_mf.fitting.stream import weight_of_rows
from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.problem import Problem

ATTRIBUTES = "explained_variance_", "explained_variance_ratio_", "singular_values_"


class SpectrumMixin:
    """For estimators with a parameter ``whiten`` whose fits end in the canonical form."""

    def _check_whiten(self, problem: Problem):
        """Refuse codes of variance one where codes may not be scaled."""
        if self.whiten and not problem.is_smooth:
            raise ValueError(
                "whiten=True needs codes that may be turned until they are uncorrelated: use "
                "positive=False and l1_ratio=0, or whiten=False."
            )

    def _spectrum_attributes(self, problem: Problem, spectrum, unit):
        """What `fit` sets; None where components are no directions of variance."""
        if spectrum is None:
            return dict.fromkeys(ATTRIBUTES)
        ratio = None
        if all(type(part).mean is BaseLoss.mean for part in problem.loss.parts):
            ratio = spectrum.squares / (spectrum.total or 1.0)
        squares = spectrum.squares * unit.size**2
        n_samples = weight_of_rows(problem.observations)
        # One less, for the mean; of weights that hardly count as two samples half of them.
        variance = squares / max(n_samples - 1, n_samples / 2)
        return dict(zip(ATTRIBUTES, (variance, ratio, np.sqrt(squares)), strict=True))

    def _whitened(self, W):
        return W / self._deviation_of_codes(W.dtype) if self.whiten else W

    def _unwhitened(self, W):
        return W * self._deviation_of_codes(W.dtype) if self.whiten else W

    def _deviation_of_codes(self, dtype):
        """Of each column of the codes; one for biases, and for codes that are zero."""
        lengths = np.linalg.norm(self.components_.astype(np.float64), axis=1)
        deviation = np.sqrt(self.explained_variance_)
        known = (lengths > 0) & (deviation > 0)
        deviation = np.divide(deviation, lengths, out=np.ones_like(deviation), where=known)
        return np.append(deviation, np.ones(int(self._has_sample_bias))).astype(dtype)
