"""A planted rank is found at any noise: exact data, noise as large as a component, few entries."""

import numpy as np
import pytest
from conftest import minutes_on_reference
from grids import pairwise

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.fitting.paths import rested
from sklearn_mf.fitting.ranks import of_every_rank, simplest_of_the_best

CASES = pairwise((2, 5, 8), (0, 0.01), (0, 0.2, 0.5))
MORE = [(3, 0, 0.5), (5, 0.001, 0.2), (8, 0.1, 0.5), (8, 1, 0.2), (2, 1, 0.5)]
# The rank is chosen before the fit, which need not converge.
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def planted(rank, noise, missing, shape, seed):
    rng = np.random.default_rng([seed, rank, shape[0]])
    X = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    X += noise * rng.standard_normal(shape)
    return np.where(rng.random(shape) < missing, np.nan, X)


@unconverged
@minutes_on_reference
@pytest.mark.parametrize(("rank", "noise", "missing"), CASES)
def test_auto_finds_it(rank, noise, missing):
    X = planted(rank, noise, missing, (100, 20), seed=1)
    model = MatrixFactorization("auto", alpha_W="auto", random_state=1, max_iter=5, tol=0.1)
    assert model.fit(X).n_components_ == rank


@minutes_on_reference
@pytest.mark.parametrize(("rank", "noise", "missing"), CASES[::2])
def test_a_search_finds_it(rank, noise, missing):
    X = planted(rank, noise, missing, (100, 20), seed=2)
    model = MatrixFactorization(alpha_W="auto", random_state=2)
    search = RankSearchCV(model, range(1, 12), refit=False, random_state=2)
    assert search.fit(X).best_rank_ == rank


@unconverged
@pytest.mark.slow
@minutes_on_reference
@pytest.mark.parametrize(("rank", "noise", "missing"), MORE)
def test_both_find_it_in_larger_data(rank, noise, missing):
    X = planted(rank, noise, missing, (300, 50), seed=0)
    model = MatrixFactorization("auto", alpha_W="auto", random_state=0, max_iter=5, tol=0.1)
    assert model.fit(X).n_components_ == rank
    search = RankSearchCV(model, range(1, 13), refit=False, random_state=0)
    assert search.fit(X).best_rank_ == rank


@minutes_on_reference
def test_a_penalty_that_is_given_is_obeyed():
    X = planted(5, 0.01, 0.2, (300, 50), seed=0)
    assert MatrixFactorization("auto", alpha_W=0.0, random_state=0).fit(X).n_components_ == 5
    search = RankSearchCV(MatrixFactorization(alpha_W=0.0, random_state=0), range(1, 10))
    assert search.set_params(random_state=0).fit(X).best_rank_ == 5


def test_a_step_goes_on_until_hidden_entries_rest():
    errors = {1: 8.0, 2: 4.0, 3: 2.0, 4: 1.99, 5: 0.1}

    def reached(before, most):
        return rested(iter(errors), errors.get, before, most)

    assert reached(10.0, 100) == 4  # the first that takes less than a hundredth away
    assert reached(8.0, 100) == 1
    assert reached(10.0, 2) == 2


def test_every_rank_is_judged_under_the_strength_that_suits_it():
    """Truth: a table of errors, in which the first strength prefers the wrong rank."""
    errors = np.array([[9.0, 5.0, 6.0], [9.0, 4.0, 1.0], [9.0, 3.0, 2.0]])  # strengths, ranks
    asked = []

    def results_of(ranks, strengths, folds):
        asked.append((len(ranks), len(strengths)))
        table = -errors[np.ix_(strengths, ranks)][None, ..., None]
        return np.repeat(table, 4, axis=0)[folds]

    for n_enough in (4, 1):
        asked.clear()
        results = of_every_rank([0, 1, 2], [0, 1, 2], results_of, 0, n_enough, 0.0)
        assert results.shape == (4, 3, 1)
        np.testing.assert_array_equal(-results[0, :, 0], [9, 3, 1])
    # The first strength for all ranks, all strengths for the best two of them, and so on; each
    # once.
    assert asked[:2] == [(3, 1), (1, 3)]
    assert asked.count((1, 3)) <= 3
    assert asked.count((3, 1)) <= 3


def test_differences_in_the_last_digit_are_none():
    scores = -np.array([[3.0, 3.1], [1e-13, 2e-13], [1e-20, 2e-20]])
    assert simplest_of_the_best(scores) == 2
    assert simplest_of_the_best(scores, least=1e-10) == 1


def test_a_fold_in_which_a_candidate_fails_is_no_reason_to_take_it():
    scores = -np.array([[1.0, 50.0, 1.0], [1.0, 1.1, 1.0]])
    assert simplest_of_the_best(scores) == 1
    scores = -np.array([[1.0005, 2.0005], [1.0, 2.0]])  # sure, and not worth a component
    assert simplest_of_the_best(scores) == 0
    # Worse by the same amount everywhere: not by chance.
    scores = -np.array([[1.1, 2.1, 3.1], [1.0, 2.0, 3.0]])
    assert simplest_of_the_best(scores) == 1
