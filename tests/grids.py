"""Grids of parameters, thin where parameters do not interact in threes."""

from itertools import combinations, product


def pairwise(*axes):
    """Few combinations of values, one of each axis, among them each pair of values of two axes.

    What goes wrong depends on one parameter or on two together, hardly ever on three. Of four axes
    with four, three, two and two values, twelve combinations have all pairs; the product has 48.
    """
    wanted = {
        ((first, a), (second, b))
        for first, second in combinations(range(len(axes)), 2)
        for a, b in product(range(len(axes[first])), range(len(axes[second])))
    }
    found = []
    while wanted:
        best = max(
            product(*(range(len(axis)) for axis in axes)),
            key=lambda numbers: len(wanted & pairs(numbers)),
        )
        wanted -= pairs(best)
        found.append(tuple(axis[number] for axis, number in zip(axes, best, strict=True)))
    return found


def pairs(numbers):
    """All pairs of places of a combination, each with the number of its value."""
    return set(combinations(enumerate(numbers), 2))
