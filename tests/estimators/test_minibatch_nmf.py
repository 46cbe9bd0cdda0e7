"""`MiniBatchNMF` against scikit-learn's, and with holes."""

import pickle
from inspect import signature

import numpy as np
import pytest
from conftest import minutes_on_reference, punch_holes, starts, store_observed
from scipy import sparse
from sklearn import decomposition
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mf import NMF, MiniBatchNMF
from sklearn_mf.solvers.minibatch import MiniBatchUpdate

BETAS = [2, 1, 0, 0.5, 1.5, 3]
PENALTY = {"alpha_W": 2e-3, "alpha_H": 1e-2, "l1_ratio": 0.3}
FIXED = {"tol": 0, "max_no_improvement": None}
# Every fit ends with codes, which are solved in loops.
pytestmark = minutes_on_reference
unconverged = pytest.mark.filterwarnings("ignore:.*did not converge", "ignore:Maximum number")


def positive(beta=1.0, shape=(70, 20), rank=4, seed=0, dtype=np.float64):
    """Non-negative data of low rank with noise, a third of them zero where beta allows it."""
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, size=(shape[0], rank)) @ rng.gamma(0.5, size=(rank, shape[1])) + 0.01
    X *= rng.gamma(5, 0.2, size=shape)
    if beta > 0:
        X[rng.random(shape) < 0.3] = 0
    return of_size_one(X).astype(dtype)


def of_size_one(X):
    """In the unit in which the sums of both packages start alike."""
    return X / np.sqrt(np.nanmean(X**2))


def pair(k, **parameters):
    """Two estimators of the same parameters, scikit-learn's first."""
    return decomposition.MiniBatchNMF(k, **parameters), MiniBatchNMF(k, **parameters)


# scikit-learn's -------------------------------------------------------------------------------


def test_the_signature_begins_with_that_of_scikit_learn():
    theirs, ours = (signature(cls).parameters for cls in (decomposition.MiniBatchNMF, MiniBatchNMF))
    assert [*ours][: len(theirs)] == [*theirs]
    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize(("container", "penalty"), [(np.asarray, {}), (sparse.csr_array, PENALTY)])
@pytest.mark.parametrize("fresh_restarts", [False, True])
def test_components_are_those_of_scikit_learn(container, beta, penalty, fresh_restarts):
    X = positive(beta)
    W, H = starts(X, 4)
    before = X.copy(), W.copy(), H.copy()
    for max_iter in (1, 4):
        theirs, ours = pair(
            4,
            init="custom",
            batch_size=20,
            beta_loss=beta,
            fresh_restarts=fresh_restarts,
            fresh_restarts_max_iter=8,
            forget_factor=0.6,
            max_iter=max_iter,
            tol=1e-12,  # of the codes alone: no batch changes H by so little
            max_no_improvement=None,
            **penalty,
        )
        theirs.fit(X, W=W.copy(), H=H.copy())
        ours.fit(container(X), W=W, H=H)
        np.testing.assert_allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
        assert (ours.n_steps_, ours.n_iter_) == (theirs.n_steps_, theirs.n_iter_)
    for array, same in zip((X, W, H), before, strict=True):
        np.testing.assert_array_equal(array, same)


@unconverged
@pytest.mark.parametrize("rule", [{"tol": 3e-2}, {"tol": 0, "max_no_improvement": 2}])
@pytest.mark.parametrize("beta", [2, 1])
def test_it_stops_where_scikit_learn_does(rule, beta):
    X = positive(beta)
    W, H = starts(X, 4)
    theirs, ours = pair(4, init="custom", batch_size=20, beta_loss=beta, **rule)
    theirs.fit(X, W=W.copy(), H=H.copy())
    ours.fit(X, W=W, H=H)
    assert 1 < ours.n_steps_ == theirs.n_steps_ < 200 * 4
    assert ours.n_iter_ == theirs.n_iter_ == len(ours.loss_curve_)


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 0.5])
@pytest.mark.parametrize("first", ["partial_fit", "fit"])
def test_streams_are_those_of_scikit_learn(beta, first):
    X = positive(beta)
    X /= np.sqrt(np.mean(X[:30] ** 2))
    W, H = starts(X[:30], 4)
    theirs, ours = pair(4, init="custom", beta_loss=beta, max_iter=3, batch_size=30, **FIXED)
    for model in (theirs, ours):
        getattr(model, first)(X[:30], W=W.copy(), H=H.copy())
        for rows in (slice(30, 45), slice(45, 46), slice(46, 70), slice(0, 70)):
            model.partial_fit(X[rows])
    np.testing.assert_allclose(ours.components_, theirs.components_, rtol=1e-6, atol=1e-9)
    assert ours.n_steps_ == theirs.n_steps_


@unconverged
@pytest.mark.parametrize("beta", [2, 1])
def test_codes_cost_no_more_than_those_of_scikit_learn(beta):
    X = positive(beta)
    W, H = starts(X, 4)
    theirs, ours = pair(4, init="custom", batch_size=20, beta_loss=beta)
    theirs.fit(X, W=W.copy(), H=H.copy())
    ours.fit(X, W=W, H=H)
    assert ours.reconstruction_err_ <= theirs.reconstruction_err_ * (1 + 1e-6)


# Holes ----------------------------------------------------------------------------------------


def online_updates(X, W, H, size, beta, rho, n_passes):
    """What the docstring has, coefficient by coefficient."""
    exponent = 1.0
    if beta < 1:
        exponent = 1 / (2 - beta)
    elif beta > 2:
        exponent = 1 / (beta - 1)
    W, H = W.copy(), H.copy()
    A, B = H.copy(), np.ones_like(H)
    k = len(H)
    for _ in range(n_passes):
        for start in range(0, len(X), size):
            rows = range(start, min(start + size, len(X)))
            for i in rows:
                seen = ~np.isnan(X[i])
                h, x = H[:, seen], X[i, seen]
                m = W[i] @ h
                up, down = h @ (x * m ** (beta - 2)), h @ m ** (beta - 1)
                W[i] *= (up / down) ** exponent
            M, before = W @ H, H.copy()
            for j in range(X.shape[1]):
                seen = [i for i in rows if not np.isnan(X[i, j])]
                if not seen:
                    continue
                x, m = X[seen, j], M[seen, j]
                for c in range(k):
                    up = before[c, j] ** (1 / exponent) * W[seen, c] @ (x * m ** (beta - 2))
                    A[c, j] = rho * A[c, j] + up
                    B[c, j] = rho * B[c, j] + W[seen, c] @ m ** (beta - 1)
                    H[c, j] = (A[c, j] / B[c, j]) ** exponent
    return H


@unconverged
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", ["NaN", "stored", "zeros"])
def test_holes_do_not_count(beta, kind):
    complete = positive(0, (24, 7))  # without zeros
    X = punch_holes(complete)
    X[:6, 2] = np.nan  # a batch without an entry of this column
    X = of_size_one(X)
    W, H = starts(X, 3)
    expected = online_updates(X, W, H, 6, beta, 0.7 ** (6 / 24), 3)
    containers = {"NaN": np.asarray, "stored": store_observed, "zeros": sparse.csr_array}
    unstored = "missing" if kind == "stored" else "zero"
    model = MiniBatchNMF(
        3, init="custom", batch_size=6, beta_loss=beta, max_iter=3, unstored=unstored, **FIXED
    ).fit(containers[kind](X), W=W, H=H)
    np.testing.assert_allclose(model.components_, expected, rtol=1e-8)


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 1.5])
@pytest.mark.parametrize("fresh_restarts", [False, True])
def test_it_does_not_matter_how_the_data_are_kept(beta, fresh_restarts):
    X = positive(beta)
    model = MiniBatchNMF(
        4,
        beta_loss=beta,
        batch_size=32,
        fresh_restarts=fresh_restarts,
        max_iter=5,
        random_state=0,
        **FIXED,
    )
    missing = clone(model).set_params(unstored="missing")
    for data in (X, punch_holes(X)):
        W = model.fit_transform(data)
        twins = [(missing, store_observed(data)), (model, sparse.csr_array(data))]
        for twin, other in (*twins, (model, np.asfortranarray(data))):
            twin = clone(twin)
            np.testing.assert_allclose(twin.fit_transform(other), W, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(twin.components_, model.components_, rtol=1e-6, atol=1e-8)


@unconverged
@pytest.mark.parametrize("beta", [2, 1])
def test_what_is_hidden_of_exact_data_is_found(beta):
    errors = []
    for seed in range(3):  # of one alone the minimum may be a local one
        rng = np.random.default_rng(seed)
        X = (rng.gamma(0.5, size=(300, 5)) + 0.1) @ (rng.gamma(0.5, size=(5, 40)) + 0.1)
        hidden = rng.random(X.shape) < 0.3
        holed = np.where(hidden, np.nan, X)
        model = MiniBatchNMF(5, beta_loss=beta, batch_size=50, max_iter=400, random_state=0)
        model.set_params(**FIXED)
        streamed = clone(model)
        for _ in range(30):
            for start in range(0, len(X), 50):
                streamed.partial_fit(holed[start : start + 50])
        for fitted in (model.fit(holed), streamed):
            found = fitted.inverse_transform(fitted.transform(holed))
            errors.append(np.linalg.norm((X - found)[hidden]) / np.linalg.norm(X[hidden]))
    assert np.median(errors[::2]) < 0.03
    assert np.median(errors[1::2]) < 0.03


@unconverged
def test_a_feature_may_come_late_and_stay_away():
    X = positive(2, (200, 12))
    first, rest = X.copy(), X.copy()
    first[:50, 3] = np.nan
    rest[50:, 5] = np.nan
    model = MiniBatchNMF(3, random_state=0).partial_fit(first[:50])
    late = model.components_[:, 3].copy()
    assert late.min() > 0
    kept = model.components_[:, 5].copy()
    for _ in range(150):  # so long that the sums would be forgotten
        model.partial_fit(rest[50:])
    np.testing.assert_array_equal(model.components_[:, 5], kept)
    twin = NMF(3, random_state=0, tol=1e-3).fit(X[50:])
    found = [fitted.inverse_transform(fitted.transform(X)) for fitted in (model, twin)]
    errors = [np.linalg.norm((X - each)[50:, 3]) for each in found]
    assert errors[0] < 1.3 * errors[1]


def test_batches_without_an_entry_change_nothing():
    X = positive(2)
    model = MiniBatchNMF(3, random_state=0)
    with pytest.warns(UserWarning, match="this batch changes nothing"):
        model.partial_fit(np.full((5, 20), np.nan))
    assert not hasattr(model, "components_")
    before = model.partial_fit(X).components_.copy()
    with pytest.warns(UserWarning, match="this batch changes nothing"):
        model.partial_fit(np.full((5, 20), np.nan))
    np.testing.assert_array_equal(model.components_, before)
    assert model.n_steps_ == 1
    gap = np.vstack([X[:20], np.full((20, 20), np.nan), X[20:]])
    parameters = {"batch_size": 20, "init": "custom", "max_iter": 4, **FIXED}
    W, H = starts(gap, 3)
    model = MiniBatchNMF(3, **parameters)
    with pytest.warns(UserWarning, match="20 of 90 samples have no observed entry"):
        model.fit(gap, W=W, H=H)
    assert model.n_steps_ == 4 * 4
    rho = 0.7 ** (20 / len(gap))
    W = np.delete(W, range(20, 40), axis=0)
    twin = MiniBatchNMF(3, forget_factor=rho ** (len(X) / 20), **parameters)
    with pytest.warns(UserWarning, match="did not converge"):
        twin.set_params(tol=1e-12).fit(X, W=W, H=H)
    np.testing.assert_allclose(model.components_, twin.components_, rtol=1e-8)


# Weights --------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("beta", [2, 1])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("fresh_restarts", [False, True])
def test_weight_two_is_the_row_twice_in_its_batch(beta, holes, fresh_restarts):
    X = punch_holes(positive(beta)) if holes else positive(beta)
    weight = np.random.default_rng(0).integers(0, 3, size=len(X))
    model = MiniBatchNMF(
        4, beta_loss=beta, fresh_restarts=fresh_restarts, alpha_W=1e-3, random_state=0, tol=1e-3
    )
    weighted = clone(model).fit(X, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-5, atol=1e-7)
    assert weighted.n_steps_ == repeated.n_steps_
    weighted.partial_fit(X, sample_weight=weight)
    repeated.partial_fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-5, atol=1e-7)


@unconverged
def test_entries_of_weight_zero_are_missing():
    X = positive(1)
    holed = punch_holes(X)
    model = MiniBatchNMF(4, beta_loss=1, batch_size=32, max_iter=5, random_state=0, **FIXED)
    W = clone(model).fit_transform(X, entry_weight=(~np.isnan(holed)).astype(float))
    np.testing.assert_allclose(W, model.fit_transform(holed), rtol=1e-6, atol=1e-7)


# Codes ----------------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 0.5])
def test_codes_depend_on_their_row_alone(beta):
    X = punch_holes(positive(beta))
    model = MiniBatchNMF(4, beta_loss=beta, batch_size=32, max_iter=5, random_state=0)
    W = model.fit_transform(X)
    np.testing.assert_array_equal(W, model.transform(X))
    np.testing.assert_allclose(model.transform(X[7:9]), W[7:9], rtol=1e-6, atol=1e-9)
    same = NMF(4, solver="mu", beta_loss=beta, init="custom", max_iter=1, tol=0)
    same.fit(X, W=np.ones_like(W), H=np.ones((4, 20)))
    same.components_ = model.components_
    np.testing.assert_array_equal(same.transform(X), W)


# Bad and odd input ----------------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_bad_data_are_refused_in_the_words_of_scikit_learn(container):
    X = positive(2)
    model = MiniBatchNMF(2, tol=1e-2, random_state=0).fit(X)
    words = r"Negative values in data passed to MiniBatchNMF \(input X\)"
    for call in (MiniBatchNMF(2).fit, MiniBatchNMF(2).partial_fit, model.partial_fit):
        with pytest.raises(ValueError, match=words):
            call(container(-X))
    with pytest.raises(ValueError, match=words):
        model.transform(container(-X))
    for call in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="When beta_loss <= 0 and X contains zeros"):
            getattr(MiniBatchNMF(2, beta_loss="itakura-saito"), call)(container(X))


def test_starts_of_ones_own_are_checked():
    X = positive(2)
    W, H = starts(X, 3)
    for call in ("fit", "fit_transform", "partial_fit"):
        model = MiniBatchNMF(init="custom", tol=1e-2)
        getattr(model, call)(X, W=W, H=H)
        assert model.n_components_ == 3
        model = MiniBatchNMF(init="custom", tol=1e-2)
        with pytest.raises(ValueError, match="init='custom' needs W"):
            getattr(model, call)(X)
        with pytest.raises(ValueError, match=r"wrong first dimension passed to MiniBatchNMF"):
            getattr(model, call)(X, W=W[1:], H=H)
        with pytest.warns(RuntimeWarning, match="W and H are ignored"):
            getattr(MiniBatchNMF(3, tol=1e-2), call)(X, W=W, H=H)


@unconverged
@pytest.mark.parametrize("beta", [2, 1, 0.5, 1.5, 3])
def test_zero_rows_and_columns_and_nothing_but_zeros(beta):
    X = positive(beta)
    X[3], X[:, 5] = 0, 0
    for container in (np.asarray, sparse.csr_array):
        # Where nothing pulls a component up, it fades with the sums of the batches.
        model = MiniBatchNMF(4, beta_loss=beta, batch_size=35, max_iter=60, random_state=0, **FIXED)
        W = model.fit_transform(container(X))
        assert np.isfinite(W).all()
        assert np.isfinite(model.components_).all()
        np.testing.assert_allclose(W[3] @ model.components_, 0, atol=1e-3)
        np.testing.assert_allclose(W @ model.components_[:, 5], 0, atol=1e-2)
    nothing = MiniBatchNMF(2, beta_loss=beta).fit(np.zeros((5, 4)))
    assert np.isfinite(nothing.components_).all()
    assert nothing.reconstruction_err_ < 0.1


@unconverged
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [2, 1, 0.5])
def test_precision_stays(dtype, beta):
    X = positive(beta, dtype=dtype)
    model = MiniBatchNMF(4, beta_loss=beta, batch_size=20, max_iter=10, random_state=0)
    W = model.fit_transform(X)
    model.partial_fit(X[:10])
    for array in (W, model.components_, model.inverse_transform(W), model.transform(X)):
        assert array.dtype == dtype
        assert np.isfinite(array).all()


@unconverged
def test_it_is_pickled_and_searched_and_piped():
    X = punch_holes(positive(0, (300, 30)))
    model = MiniBatchNMF(3, random_state=0, tol=1e-2, batch_size=20).fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    again.partial_fit(X[:9])
    np.testing.assert_array_equal(again.components_, model.partial_fit(X[:9]).components_)
    pipeline = make_pipeline(MiniBatchNMF(random_state=0, max_iter=60, batch_size=20))
    search = GridSearchCV(pipeline, {"minibatchnmf__n_components": [1, 4]}).fit(X)
    assert search.best_params_["minibatchnmf__n_components"] == 4


def test_a_stream_keeps_no_rows():
    X = np.tile(positive(2), (40, 1))
    models = [MiniBatchNMF(3, random_state=0).partial_fit(X[:n]) for n in (70, len(X))]
    short, long = (len(pickle.dumps(model)) for model in models)
    assert abs(long - short) < 100


def test_what_stays_after_an_interruption_is_the_last_pass(monkeypatch):
    X = positive(2)
    model = MiniBatchNMF(3, batch_size=20, max_iter=2, random_state=0, **FIXED)
    expected = clone(model).fit(X)
    update, calls = MiniBatchUpdate.update, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 2 * 4 + 3:
            raise KeyboardInterrupt
        return update(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(MiniBatchUpdate, "update", interrupted)
        model.set_params(max_iter=9)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    np.testing.assert_array_equal(model.components_, expected.components_)
    assert model.n_steps_ == expected.n_steps_ == 8
    model.partial_fit(X[:9])
    np.testing.assert_array_equal(model.components_, expected.partial_fit(X[:9]).components_)


def test_it_says_when_passes_were_too_few():
    with pytest.warns(Warning, match="did not converge in max_iter=2"):
        MiniBatchNMF(3, max_iter=2, batch_size=20, random_state=0).fit(positive(2))
