"""A thousand random cases, always the same; the nightly run has others. See `fuzz.py`."""

import fuzz
import pytest

# On data of 1e30 and 1e-30 too.
CHUNKS, CASES = 8, 125


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_cases(chunk):
    seeds = range(chunk * CASES, (chunk + 1) * CASES)
    outcomes, failed = fuzz.run_many(seeds, report=lambda line: None)
    for seed, _ in failed[:1]:
        fuzz.show(seed)
    assert not failed
    assert outcomes["passed"] > 0.6 * CASES


def test_the_same_seed_makes_the_same_case():
    one, other = (fuzz.make(7).reproduction for _ in range(2))
    assert one == other
