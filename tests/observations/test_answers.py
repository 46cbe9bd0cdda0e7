"""What losses answer for models that are no numbers."""

import numpy as np
import pytest

from sklearn_mf.losses import Absolute, Huber
from sklearn_mf.observations.answers import parabola_of


@pytest.mark.parametrize("loss", [Absolute(), Huber()])
def test_a_model_that_is_nan_is_not_the_fault_of_its_loss(loss):
    x, m = np.array([1.0, 2.0]), np.array([1.0, np.nan])
    with pytest.raises(ValueError, match=r"^The model diverged"):
        parabola_of(loss, x, m)
    parabola_of(loss, np.array([1.0, np.nan]), m)  # what is missing does not matter
