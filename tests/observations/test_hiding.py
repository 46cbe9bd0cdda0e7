"""What is hidden is drawn among what is observed, whatever seeds the user drew holes with."""

import numpy as np
import pytest
from conftest import above_kernels, store_observed
from scipy import sparse
from scipy.stats import binomtest
from sklearn.datasets import make_low_rank_matrix

from sklearn_mf import FactorizationImputer, MatrixFactorization, RankSearchCV
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    EntryShuffleSplit,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
    train_test_entry_split,
)
from sklearn_mf.observations import observe
from sklearn_mf.utils._hiding import hiding_stream, random_share, random_share_of_rows

SHAPE, SHARE, NOISE = (120, 15), 0.2, 0.2


def cells(chosen, shape):
    mask = np.zeros(np.prod(shape), dtype=bool)
    mask[chosen] = True
    return mask.reshape(shape)


def by_global_seed(draw):
    def mask(seed, shape):
        np.random.seed(seed)  # noqa: NPY002
        return draw(np.random, shape)

    return mask


def by_random_state(draw):
    return lambda seed, shape: draw(np.random.RandomState(seed), shape)


def by_generator(draw):
    return lambda seed, shape: draw(np.random.default_rng(seed), shape)


def few(shape):
    return int(SHARE * np.prod(shape))


# How users make holes, each with its own kind of generator.
MASKS = {
    "seed, rand": by_global_seed(lambda rng, shape: rng.rand(*shape) < SHARE),
    "seed, random, above": by_global_seed(lambda rng, shape: rng.random(shape) > 1 - SHARE),
    "seed, choice": by_global_seed(
        lambda rng, shape: cells(rng.choice(np.prod(shape), few(shape), replace=False), shape)
    ),
    "RandomState, rand": by_random_state(lambda rng, shape: rng.rand(*shape) < SHARE),
    "RandomState, uniform": by_random_state(lambda rng, shape: rng.uniform(size=shape) < SHARE),
    "RandomState, randn": by_random_state(lambda rng, shape: rng.randn(*shape) < -0.84),
    "RandomState, by columns": by_random_state(lambda rng, shape: rng.rand(*shape[::-1]).T < SHARE),
    "RandomState, binomial": by_random_state(
        lambda rng, shape: rng.binomial(1, SHARE, shape).astype(bool)
    ),
    "RandomState, randint": by_random_state(lambda rng, shape: rng.randint(5, size=shape) == 0),
    "RandomState, choice": by_random_state(
        lambda rng, shape: cells(rng.choice(np.prod(shape), few(shape), replace=False), shape)
    ),
    "RandomState, two-valued choice": by_random_state(
        lambda rng, shape: rng.choice([True, False], shape, p=[SHARE, 1 - SHARE])
    ),
    "RandomState, permutation": by_random_state(
        lambda rng, shape: cells(rng.permutation(np.prod(shape))[: few(shape)], shape)
    ),
    "Generator, random": by_generator(lambda rng, shape: rng.random(shape) < SHARE),
    "Generator, uniform": by_generator(lambda rng, shape: rng.uniform(size=shape) < SHARE),
    "Generator, normal": by_generator(lambda rng, shape: rng.standard_normal(shape) < -0.84),
    "Generator, binomial": by_generator(
        lambda rng, shape: rng.binomial(1, SHARE, shape).astype(bool)
    ),
    "Generator, integers": by_generator(lambda rng, shape: rng.integers(5, size=shape) == 0),
    "Generator, choice": by_generator(
        lambda rng, shape: cells(rng.choice(np.prod(shape), few(shape), replace=False), shape)
    ),
    "Generator, permutation": by_generator(
        lambda rng, shape: cells(rng.permutation(np.prod(shape))[: few(shape)], shape)
    ),
}


def truth(shape=SHAPE):
    rng = np.random.default_rng(2**40)
    signal = rng.normal(size=(shape[0], 3)) @ rng.normal(size=(3, shape[1]))
    return signal + NOISE * rng.normal(size=shape)


def error(filled, X, mask):
    return np.sqrt(np.mean((np.asarray(filled)[mask] - X[mask]) ** 2))


def of_imputer(X, mask, seed):
    return error(FactorizationImputer(random_state=seed).fit_transform(X), truth(), mask)


def of_factorization(X, mask, seed, **parameters):
    parameters = {"bias": "features", "alpha_W": 0.05, "random_state": seed, **parameters}
    model = MatrixFactorization(**parameters)
    return error(model.inverse_transform(model.fit_transform(X)), truth(), mask)


def of_early_stopping(X, mask, seed):
    setting = {"n_components": 3, "early_stopping": True, "solver": "als"}
    return of_factorization(X, mask, seed, **setting)


def of_auto(X, mask, seed):
    return of_factorization(X, mask, seed, n_components="auto")


def of_search(X, mask, seed):
    model = MatrixFactorization(bias="features", alpha_W=0.05)
    search = RankSearchCV(model, range(1, 6), random_state=seed).fit(X)
    return error(search.inverse_transform(search.transform(X)), truth(), mask)


def of_holdout(X, mask, seed):
    model = MatrixFactorization(3, bias="features", alpha_W=0.05, random_state=0)
    return 1 - EntryHoldout(model, random_state=seed, metric="rmse").fit(X).score(X)


def of_scorer(X, mask, seed):
    model = MatrixFactorization(3, bias="features", alpha_W=0.05, random_state=0).fit(X)
    return 1 - MaskedEntryScorer(metric="rmse", random_state=seed)(model, X)


def of_cross_validation(X, mask, seed):
    model = MatrixFactorization(3, bias="features", alpha_W=0.05, random_state=0)
    cv = EntryKFold(5, random_state=seed)
    return 1 - cross_val_entries(model, X, cv=cv, metric="rmse")["test_score"].mean()


def of_shuffle_split(X, mask, seed):
    visible, hidden = train_test_entry_split(X, random_state=seed)
    model = MatrixFactorization(3, bias="features", alpha_W=0.05, random_state=0)
    values = model.inverse_transform(model.fit_transform(visible))
    return 1 + error(values, truth(), ~np.isnan(hidden))


USERS = [
    of_imputer,
    of_early_stopping,
    of_auto,
    of_search,
    of_holdout,
    of_scorer,
    of_cross_validation,
    of_shuffle_split,
]


def check_that_the_seed_of_the_holes_is_no_special_one(user, way, seeds):
    for seed in seeds:
        mask = MASKS[way](seed, SHAPE)
        X = np.where(mask, np.nan, truth())
        own, other = (user(X, mask, s) for s in (seed, seed + 1000))
        if abs(own / other - 1) >= 0.1:  # which of the two is the odd one?
            other = np.median([user(X, mask, seed + 1000 * n) for n in range(2, 7)])
        assert abs(own / other - 1) < 0.1, (way, seed, own, other)


@above_kernels
@pytest.mark.parametrize("way", MASKS)
def test_the_imputer_does_not_depend_on_how_holes_were_made(way):
    check_that_the_seed_of_the_holes_is_no_special_one(of_imputer, way, [0])


@above_kernels
@pytest.mark.parametrize(
    ("way", "seed"), [("RandomState, rand", 0), ("Generator, random", 1), ("seed, choice", 42)]
)
@pytest.mark.parametrize("user", USERS)
def test_nobody_depends_on_how_holes_were_made(user, way, seed):
    check_that_the_seed_of_the_holes_is_no_special_one(user, way, [seed])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(USERS)))
def test_nobody_depends_on_the_seed_of_the_holes(number):
    ways = [*MASKS]
    for seed in range(number, 10 * len(USERS), len(USERS)):  # each way takes its turn
        check_that_the_seed_of_the_holes_is_no_special_one(
            USERS[number], ways[seed % len(ways)], [seed]
        )


def test_an_imputer_whose_seed_made_the_holes_is_better_than_means():
    mask = np.random.RandomState(0).rand(*SHAPE) < SHARE
    X = np.where(mask, np.nan, truth())
    imputer = FactorizationImputer(random_state=0).fit(X)
    assert min(imputer.hidden_errors_.values()) > 0
    assert imputer.n_components_ >= 3
    assert error(imputer.transform(X), truth(), mask) < 1.5 * NOISE


@pytest.mark.parametrize("make", [np.random.RandomState, lambda seed: None])
def test_a_generator_shared_with_the_holes_serves_too(make):
    X = truth()
    np.random.seed(3)  # noqa: NPY002
    random_state = make(3)
    mask = (np.random if random_state is None else random_state).rand(*SHAPE) < SHARE
    filled = FactorizationImputer(random_state=random_state).fit_transform(
        np.where(mask, np.nan, X)
    )
    assert error(filled, X, mask) < 1.5 * NOISE


@above_kernels
@pytest.mark.parametrize("shape", [(20, 6), (50, 8)])
def test_of_small_tables_enough_is_hidden(shape):
    """Two in a hundred would choose the rank by chance: all are hidden in turn."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    X += 0.3 * rng.normal(size=shape)
    mask = np.random.default_rng(1).random(shape) < SHARE
    holed = np.where(mask, np.nan, X)
    errors = [
        error(FactorizationImputer(random_state=seed).fit_transform(holed), X, mask)
        for seed in range(5)
    ]
    assert max(errors) < 1.1 * min(errors)


class TestTheStream:
    def test_the_same_seed_gives_the_same_numbers(self):
        draws = [
            hiding_stream(make(7)).random(5) for make in (int, np.random.RandomState) for _ in "ab"
        ]
        for other in draws[1:]:
            np.testing.assert_array_equal(draws[0], other)

    def test_an_instance_moves_on(self):
        random_state = np.random.RandomState(0)
        assert hiding_stream(random_state).random() != hiding_stream(random_state).random()

    def test_none_follows_the_global_seed(self):
        np.random.seed(5)  # noqa: NPY002
        first = hiding_stream(None).random(5)
        np.random.seed(5)  # noqa: NPY002
        np.testing.assert_array_equal(hiding_stream(None).random(5), first)

    @pytest.mark.parametrize("seed", range(20))
    def test_it_shares_no_number_with_what_users_draw_with_the_same_seed(self, seed):
        n = 1000
        own = hiding_stream(seed)
        numbers = own.random(n)
        for theirs in (
            np.random.RandomState(seed).random_sample(n),
            np.random.default_rng(seed).random(n),
            np.random.Generator(np.random.MT19937(seed)).random(n),
        ):
            assert len(np.intersect1d(numbers, theirs)) == 0
            # Nor do both fall below a share together.
            both = int(((numbers < 0.5) & (theirs < 0.5)).sum())
            assert binomtest(both, n, 0.25).pvalue > 1e-6

    @pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, (1 << 16) + 1, 200_000])
    @pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
    def test_a_share_is_exact_and_never_nothing(self, n, share):
        mask = random_share(n, share, hiding_stream(0))
        assert mask.shape == (n,)
        assert abs(mask.sum() - max(1, share * n)) <= 1 + n / (1 << 16)

    def test_every_entry_is_as_likely(self):
        rng = hiding_stream(0)
        counts = sum(random_share(50, 0.2, rng).astype(int) for _ in range(2000))
        assert np.abs(counts - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)

    def test_of_rows_one_stays_and_one_goes(self):
        rows = np.repeat(np.arange(4), [1, 2, 5, 1])
        for seed in range(50):
            mask = random_share_of_rows(rows, 0.05, hiding_stream(seed))
            assert 1 <= mask.sum() <= 5
            assert not mask[[0, -1]].any()
            assert (np.bincount(rows[~mask], minlength=4) >= 1).all()


class TestFewEntries:
    @pytest.mark.parametrize("store", [lambda X: X, store_observed])
    @pytest.mark.parametrize("seed", range(30))
    def test_what_can_be_hidden_is_hidden(self, store, seed):
        """An entry that is not alone in its row or its column can; no row or column is emptied."""
        rng = np.random.default_rng(seed)
        X = np.where(rng.random((6, 5)) < 0.6, np.nan, 1.0)
        observed = ~np.isnan(X)
        n_in_row, n_in_column = observed.sum(axis=1), observed.sum(axis=0)
        possible = observed & (n_in_row > 1)[:, None] & (n_in_column > 1)
        unstored = "zero" if isinstance(store(X), np.ndarray) else "missing"
        held_out = observe(store(X), unstored=unstored).hold_out(0.05, hiding_stream(seed))
        assert (held_out.hidden.n_observed > 0) == possible.any()

    @pytest.mark.parametrize(
        "model",
        [
            MatrixFactorization(1, early_stopping=True, solver="als"),
            MatrixFactorization("auto"),
        ],
    )
    def test_nothing_to_hide_is_said_with_the_remedy(self, model):
        X = np.where(np.eye(5) == 1, 1.0, np.nan)
        with pytest.raises(ValueError, match=r"cannot hide any entry.*Use"):
            model.fit(X)

    def test_an_imputer_that_cannot_choose_says_so(self):
        X = np.where(np.eye(5) == 1, np.arange(5.0), np.nan)
        with pytest.warns(UserWarning, match="rank cannot be chosen.*Pass an estimator"):
            imputer = FactorizationImputer(random_state=0).fit(X)
        assert np.isnan(imputer.hidden_errors_[0])
        np.testing.assert_allclose(imputer.transform(X), np.tile(np.arange(5.0), (5, 1)))

    def test_early_stopping_hides_a_small_share_of_few_entries(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 5))
        setting = {"early_stopping": True, "solver": "als", "validation_fraction": 0.001}
        model = MatrixFactorization(1, tol=0, max_iter=3, random_state=0, **setting).fit(X)
        assert len(model.validation_scores_) > 0

    def test_score_hides_an_entry_of_two_rows_that_have_one_to_spare(self):
        X = make_low_rank_matrix(50, 4, effective_rank=2, random_state=0)
        model = MatrixFactorization(1, alpha_W=0.1).fit(X)
        assert np.isfinite(model.score([[0.1, 0.2, np.nan, np.nan], [0.3, 0.2, np.nan, np.nan]]))


@pytest.mark.parametrize("unstored", ["zero", "missing"])
def test_score_hides_the_same_entries_of_dense_and_of_sparse_data(unstored):
    X = np.where(np.random.default_rng(0).random(SHAPE) < SHARE, np.nan, truth())
    stored = store_observed(X)
    if unstored == "zero":
        X = np.nan_to_num(X)
        stored = sparse.csr_array(X)
    model = MatrixFactorization(2, alpha_W=0.01, unstored=unstored, random_state=0).fit(X)
    np.testing.assert_allclose(model.score(stored), model.score(X), rtol=1e-9)


def test_splitters_and_blocks_do_not_follow_the_shuffles_of_users():
    """Rows shuffled by a seed, and split by the same one, are split at random all the same."""
    n = 200
    X = np.arange(2.0 * n).reshape(20, 20)
    for seed in range(5):
        order = np.random.RandomState(seed).permutation(2 * n)
        for splitter in (
            EntryKFold(2, random_state=seed),
            EntryShuffleSplit(1, test_size=0.5, random_state=seed),
        ):
            _, test = next(splitter.split(X))
            first = np.isin(order[:n], test).sum()
            # Of 400 entries half are hidden; 5 is the standard deviation of this count.
            assert abs(first - n / 2) < 20
    scores = [
        bi_cross_val_score(MatrixFactorization(1), truth((40, 12)), random_state=0) for _ in "ab"
    ]
    np.testing.assert_array_equal(*scores)
