"""Ranks of complete data."""

import numpy as np
import pytest

from sklearn_mf import select_rank
from sklearn_mf.model_selection._rank import _hard_threshold


def test_threshold_of_a_square_matrix_is_the_paper_s():
    assert _hard_threshold((50, 50)) == pytest.approx(2.858, abs=1e-3)


@pytest.mark.parametrize("method", ["gavish-donoho", "parallel"])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_rank_is_found(method, seed):
    rng = np.random.RandomState(seed)
    X = rng.randn(300, 4) @ rng.randn(4, 40) + 0.7 * rng.randn(300, 40)
    assert select_rank(X, method=method, random_state=0) == 4


def test_holes_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        select_rank(np.array([[1.0, np.nan], [0.0, 1.0]]))


@pytest.mark.parametrize("method", ["gavish-donoho", "parallel"])
def test_noise_has_no_components(method):
    X = np.random.RandomState(0).randn(200, 50)
    assert select_rank(X, method=method, random_state=0) == 0


@pytest.mark.parametrize("wrong", [{"method": "mle"}, {"n_permutations": 0}])
def test_bad_parameters_are_named(wrong):
    [name] = wrong
    with pytest.raises(ValueError, match=f"'{name}' parameter of select_rank"):
        select_rank(np.eye(5), **wrong)
