"""Thin grids of parameters leave no pair of values out."""

from itertools import combinations, product

import pytest
from grids import pairwise


@pytest.mark.parametrize(
    ("sizes", "at_most"), [((2, 3), 6), ((4, 3, 2, 2), 12), ((3, 3, 3), 10), ((2,) * 5, 7)]
)
def test_every_pair_of_values_is_there_in_few_combinations(sizes, at_most):
    axes = [[f"{axis}{number}" for number in range(size)] for axis, size in enumerate(sizes)]
    found = pairwise(*axes)
    assert len(set(found)) == len(found) <= at_most
    assert set(found) <= set(product(*axes))
    for first, second in combinations(range(len(axes)), 2):
        seen = {(values[first], values[second]) for values in found}
        assert seen == set(product(axes[first], axes[second]))
