"""The penalty on a whole factor: on its components and on its biases."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sklearn_mf.penalties import BasePenalty


@dataclass(frozen=True)
class FactorPenalty:
    r"""The penalty on the rows of a factor, for any penalty on its components.

    For a penalty p on rows, and a factor V with components and possibly a bias b, it is

    .. math::

        \sum_i s_i \left(p(v_i) + \tfrac12 \lambda_b b_i^2\right)

    and for a penalty on whole factors, the mean of s times p(V), plus the penalty on the biases.

    Attributes
    ----------
    penalty : BasePenalty
        The penalty on the components.
    scale : ndarray of shape (n_rows,)
        The scale s that multiplies the penalty of each row.
    n_components : int
        Number of columns of the factor that are components; they may be followed by a bias.
    bias_ridge : float
        Strength of the L2 penalty on the biases.
    """

    penalty: BasePenalty
    scale: np.ndarray
    n_components: int
    bias_ridge: float = 0.0

    is_elastic = False
    is_quadratic = False
    holds = True

    @property
    def is_rowwise(self):
        """Whether each row has its own penalty."""
        return self.penalty.is_rowwise

    @cached_property
    def _mean_scale(self):
        return self.scale.mean(dtype=np.float64) if len(self.scale) else 0.0

    @property
    def curvature(self):
        """Upper bound of the second derivatives of the smooth part along each row."""
        of_components = self.penalty.curvature or 0.0
        if not self.is_rowwise:
            largest = self.scale.max(initial=0) * self.bias_ridge
            return max(float(self._mean_scale) * of_components, float(largest))
        return self.scale * self.scale.dtype.type(max(of_components, self.bias_ridge))

    def of_rows(self, rows):
        """Return the penalty on some rows."""
        if not self.is_rowwise:
            raise ValueError(
                f"{type(self.penalty).__name__} compares rows with one another, so it is not "
                "defined for some of them. Use it for H (the components), not for W (the codes)."
            )
        return replace(self, scale=self.scale[rows])

    def of_type(self, dtype):
        """Return the penalty in another precision."""
        return replace(self, scale=self.scale.astype(dtype))

    def value(self, V, weighted_scale):
        """Return the sum over all rows, with the scale of each row multiplied by its weight.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            The factor.
        weighted_scale : ndarray of shape (n_rows,)
            Scales multiplied by the weights of the rows.

        Returns
        -------
        value : float
            The value of the penalty.
        """
        components, bias = self._split(V)
        found = self.penalty.value(components)
        if self.is_rowwise:
            per_row = _checked(found, (len(V),), self.penalty, "value")
            if bias.shape[1]:
                per_row = per_row + 0.5 * self.bias_ridge * bias[:, 0] ** 2
            return float(weighted_scale @ per_row)
        total = float(self._mean_scale * _checked(found, (), self.penalty, "value"))
        if bias.shape[1]:
            total += 0.5 * self.bias_ridge * float(weighted_scale @ bias[:, 0] ** 2)
        return total

    def cost(self, V):
        """Return the penalty of each row; a penalty that compares rows is divided equally."""
        scale = self.scale.astype(np.float64)
        if self.is_rowwise:
            components, bias = self._split(V)
            cost = scale * _checked(
                self.penalty.value(components), (len(V),), self.penalty, "value"
            )
            return cost + 0.5 * self.bias_ridge * scale * (bias**2).sum(axis=1)
        return np.full(len(V), self.value(V, scale) / max(1, len(V)))

    def slope(self, V):
        """Return the derivative of the smooth part."""
        components, bias = self._split(V)
        if self.penalty.has_gradient:
            slope = self.penalty.gradient(components)
            slope = _checked(slope, components.shape, self.penalty, "gradient")
        else:
            slope = np.zeros_like(components)
        scale = self.scale[:, None]
        of_components = scale if self.is_rowwise else V.dtype.type(self._mean_scale)
        if not bias.shape[1]:
            return slope * of_components
        return np.hstack([slope * of_components, V.dtype.type(self.bias_ridge) * bias * scale])

    def prox(self, V, step):
        """Return the result of the proximal operator; it does not change biases.

        Parameters
        ----------
        V : ndarray of shape (n_rows, k)
            The factor.
        step : float or ndarray that broadcasts to the shape of V
            Step size, before multiplication by the scale of the rows.

        Returns
        -------
        V : ndarray of shape (n_rows, k)
            The minimizer.
        """
        if self.penalty.is_smooth:
            return V
        components, bias = self._split(V)
        if self.is_rowwise:
            step = step * self.scale[:, None]
            if bias.shape[1] and step.shape[1] > 1:
                step = step[:, : self.n_components]
        else:
            step = step * V.dtype.type(self._mean_scale)
        found = self.penalty.prox(components, step)
        found = _checked(found, components.shape, self.penalty, "prox")
        return np.hstack([found, bias]) if bias.shape[1] else found

    def _split(self, V):
        return V[:, : self.n_components], V[:, self.n_components :]


def _checked(numbers, shape, penalty, method):
    """Return the result of a penalty, possibly the user's, after checking its shape."""
    if getattr(numbers, "shape", ()) != shape:
        what = "a float" if shape == () else f"an array of shape {shape}"
        raise ValueError(
            f"{type(penalty).__name__}.{method} returned an array of shape {np.shape(numbers)}, "
            f"but with separable={penalty.separable!r} it must return {what}."
        )
    return numbers
