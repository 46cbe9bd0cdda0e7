"""Fits to blocks of rows against fits to the same data in memory."""

import subprocess
import sys
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_mf import NMF, MatrixFactorization
from sklearn_mf.blocks import RowBlocks, from_arrays, from_npy
from sklearn_mf.observations import BlockedObservations, Look, observe
from sklearn_mf.systems import RowPenalty

CUTS = (100, 130)


def data(kind, dtype=np.float64, n=220, m=30, k=4):
    """Noisy data of low rank; a row and a column have little, no row has nothing."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(n, k)) @ rng.normal(size=(k, m)) + 0.3 * rng.normal(size=(n, m)) + 1
    mask = rng.random((n, m)) < 0.5
    mask[5], mask[:, 7] = False, False
    mask[5, 3] = mask[8, 7] = True
    if kind == "complete":
        return full.astype(dtype)
    if kind == "dense":
        return np.where(mask, full, np.nan).astype(dtype)
    return sparse.csr_array((full[mask].astype(dtype), np.nonzero(mask)), shape=full.shape)


def in_blocks(X, cuts=CUTS):
    edges = [0, *cuts, X.shape[0]]
    return from_arrays([X[a:b] for a, b in pairwise(edges)])


def model(kind, **params):
    unstored = "missing" if kind == "stored" else "zero"
    defaults = {"alpha_W": 0.05, "solver": "als", "random_state": 0, "unstored": unstored}
    return MatrixFactorization(4, **defaults | params)


def assert_same(one, other, rtol=1e-10):
    assert one.n_iter_ == other.n_iter_
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(one.components_, other.components_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.feature_bias_, other.feature_bias_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.reconstruction_err_, other.reconstruction_err_, rtol=1e-10)
    assert one.n_samples_seen_ == other.n_samples_seen_


KINDS = ["stored", "dense", "complete", "filled"]
PARAMS = [
    {},
    {"bias": "both"},
    {"bias": "features"},
    {"bias": "samples", "alpha_H": 0.02},
    {"positive": True},
    {"l1_ratio": 0.3},
    {"alpha_W": 0.0},
    {"alpha_scaling": 0.0, "alpha_W": 3.0},
]


# All of them where what is missing differs from row to row; elsewhere those that change the sums.
CASES = [(kind, params) for kind in ("stored", "dense") for params in PARAMS]
CASES += [(kind, params) for kind in ("complete", "filled") for params in PARAMS[1:7:2]]


@pytest.mark.parametrize(("kind", "params"), CASES, ids=str)
@pytest.mark.filterwarnings("ignore:.*samples have fewer observed entries:UserWarning")
@pytest.mark.filterwarnings("ignore:.*did not converge")
def test_a_fit_to_blocks_is_the_fit_in_memory(kind, params):
    X = data(kind)
    params = {"max_iter": 30} | params
    memory, blocks = model(kind, **params), model(kind, **params)
    memory.fit(X)
    B = in_blocks(X)
    blocks.fit(B)
    assert_same(memory, blocks, 1e-8)
    np.testing.assert_allclose(blocks.transform(B), memory.transform(X), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(blocks.score(B), memory.score(X), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_has_the_objective_of_memory(kind):
    X = data(kind, np.float32)
    memory, blocks = model(kind).fit(X), model(kind).fit(in_blocks(X))
    assert blocks.components_.dtype == np.float32
    np.testing.assert_allclose(blocks.loss_curve_[-1], memory.loss_curve_[-1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["stored", "dense"])
def test_weights_of_rows_and_entries(kind):
    X = data(kind)
    rng = np.random.default_rng(1)
    s = rng.random(X.shape[0])
    s[4] = 0
    E = X.copy() if kind == "stored" else np.ones(X.shape)
    if kind == "stored":
        E.data = rng.random(E.nnz)
    else:
        E = rng.random(X.shape)
    memory = model(kind, bias="both").fit(X, sample_weight=s, entry_weight=E)
    B, weights = in_blocks(X), in_blocks(E)
    blocks = model(kind, bias="both").fit(B, sample_weight=s, entry_weight=weights)
    assert_same(memory, blocks)
    found = blocks.transform(B, entry_weight=weights)
    np.testing.assert_allclose(found, memory.transform(X, entry_weight=E), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("solver", ["als", "lbfgs", "gd"])
def test_solvers_know_nothing_of_blocks(solver):
    X = data("stored")
    params = {"solver": solver, "max_iter": 15, "tol": 0.0}
    memory = model("stored", **params).fit(X)
    assert_same(memory, model("stored", **params).fit(in_blocks(X)), 1e-6)


def test_complete_data_take_the_exact_solver():
    X = data("complete")
    memory, blocks = (MatrixFactorization(4, bias="features").fit(D) for D in (X, in_blocks(X)))
    assert blocks.solver_.name == "svd"
    np.testing.assert_allclose(blocks.components_, memory.components_, rtol=1e-7, atol=1e-8)
    ratios = blocks.explained_variance_ratio_, memory.explained_variance_ratio_
    np.testing.assert_allclose(*ratios, rtol=1e-10)


def test_the_penalty_that_hidden_entries_choose_is_that_of_memory():
    X = data("stored")
    params = {"alpha_W": "auto", "bias": "both"}
    memory, blocks = model("stored", **params).fit(X), model("stored", **params).fit(in_blocks(X))
    assert blocks.alpha_W_ == pytest.approx(memory.alpha_W_, rel=1e-9)
    np.testing.assert_allclose(blocks.components_, memory.components_, rtol=1e-6, atol=1e-7)


def test_one_block_has_the_rows_of_memory_to_the_last_bit():
    X = data("stored")
    memory = model("stored").fit(X)
    blocks = model("stored")
    vars(blocks).update(vars(memory))
    np.testing.assert_array_equal(blocks.transform(in_blocks(X)), memory.transform(X))


@pytest.mark.parametrize("bias", [False, "both"])
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 220)], ids=["plain", "weighted"])
def test_a_sweep_reads_the_data_once(bias, weight):
    B = in_blocks(data("stored"))
    few = model("stored", bias=bias, tol=0, max_iter=3).fit(B, sample_weight=weight)
    before = B.n_reads
    many = model("stored", bias=bias, tol=0, max_iter=10).fit(B, sample_weight=weight)
    memory = model("stored", bias=bias, tol=0, max_iter=10).fit(data("stored"), None, weight)
    np.testing.assert_allclose(many.loss_curve_, memory.loss_curve_, rtol=1e-11)
    per_sweep = (B.n_reads - 2 * before) / B.n_blocks
    assert per_sweep == many.n_iter_ - few.n_iter_
    # One for sums of rows and columns, five for the start, three for the codes and their error.
    assert before / B.n_blocks <= few.n_iter_ + 10


def test_the_loss_of_nearly_exact_data_is_read_off_residuals():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(220, 2)) @ rng.normal(size=(2, 30))
    X[rng.random(X.shape) < 0.3] = np.nan
    params = {"alpha_W": 1e-9, "max_iter": 20, "tol": 0}
    memory, blocks = model("dense", **params).fit(X), model("dense", **params).fit(in_blocks(X))
    np.testing.assert_allclose(blocks.loss_curve_, memory.loss_curve_, rtol=1e-6)


def test_fit_transform_is_fit_and_transform():
    B = in_blocks(data("stored"))
    codes = model("stored", bias="both").fit_transform(B)
    fitted = model("stored", bias="both").fit(B)
    np.testing.assert_allclose(codes, fitted.transform(B), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bits_do_not_depend_on_threads(threads):
    X = in_blocks(data("stored"))
    with threadpool_limits(threads):
        one = model("stored", bias="both").fit(X).components_
    np.testing.assert_array_equal(one, model("stored", bias="both").fit(X).components_)


def test_a_file_of_numpy_is_read_in_blocks(tmp_path):
    X = data("dense", np.float32)
    np.save(tmp_path / "X.npy", X)
    B = from_npy(tmp_path / "X.npy", rows_per_block=50)
    assert (B.shape, B.dtype, B.n_blocks) == (X.shape, np.float32, 5)
    found = model("dense").fit(B)
    np.testing.assert_allclose(found.loss_curve_[-1], model("dense").fit(X).loss_curve_[-1], 1e-6)


class TestRefusals:
    def test_other_estimators_say_so(self):
        with pytest.raises(TypeError, match="NMF does not take data in blocks"):
            NMF(2).fit(in_blocks(data("complete")))

    def test_blocks_are_not_pulled_into_memory_by_numpy(self):
        with pytest.raises(TypeError, match="not loaded into memory"):
            np.asarray(in_blocks(data("dense")))

    def test_single_rows_are_asked_for_in_memory(self):
        B = in_blocks(data("stored"))
        with pytest.raises(TypeError, match="needs its rows in memory"):
            model("stored").fit(B).predict_entries(B, [0], [1])

    def test_early_stopping_is_refused_by_name(self):
        with pytest.raises(ValueError, match="early_stopping=False"):
            model("stored", early_stopping=True).fit(in_blocks(data("stored")))

    def test_other_losses_are_refused_by_name(self):
        with pytest.raises(ValueError, match=r"loss='huber'.*loss='squared'"):
            model("stored", loss="huber").fit(in_blocks(data("stored")))

    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    def test_solvers_of_single_entries_are_refused(self, solver):
        with pytest.raises(ValueError, match=f"solver='{solver}'.*blocks"):
            model("stored", solver=solver).fit(in_blocks(data("stored")))

    def test_an_infinity_is_named_with_its_block(self):
        X = data("dense")
        X[150, 2] = np.inf
        with pytest.raises(ValueError, match=r"begins with row 130: .*row 20, column 2"):
            model("dense").fit(in_blocks(X))

    def test_weights_must_lie_in_the_same_blocks(self):
        X = data("dense")
        with pytest.raises(ValueError, match="same blocks"):
            model("dense").fit(in_blocks(X), entry_weight=np.ones(X.shape))

    def test_a_block_of_another_shape(self):
        X = RowBlocks(lambda number: np.ones((3, 2)), [3, 4], 2)
        with pytest.raises(ValueError, match="Block 1 of X has the shape"):
            MatrixFactorization(1).fit(X)

    @pytest.mark.parametrize("lengths", [[0, 3], [1.5], [[2]]])
    def test_lengths(self, lengths):
        with pytest.raises(ValueError, match="positive integers"):
            RowBlocks(lambda number: None, lengths, 2)


def test_nothing_of_dask_is_imported_with_the_package():
    code = (
        "import sys, sklearn, sklearn.base\n"
        "before = set(sys.modules)\n"
        "import sklearn_mf, sklearn_mf.blocks\n"
        "extras = {'dask', 'distributed', 'zarr', 'pyarrow', 'torch'}\n"
        "print(sorted(extras & set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sums_for_columns_are_known_again_only_for_the_same_rows():
    """What one visit has added up must not answer for other rows."""
    X, rng = data("stored"), np.random.default_rng(2)
    seen = observe(X, unstored="missing")
    blocks = from_arrays([X[:90], X[90:]]).checked(lambda X, first, weights: (X, weights))
    make = partial(observe, unstored="missing")
    lying = BlockedObservations(blocks.engine(), Look(make), X.shape, X.dtype)
    offsets = np.zeros(220)
    penalty = RowPenalty.of_ridge(np.ones(30), np.full(4, 0.1))
    one, other = (rng.normal(size=(220, 4)) for _ in range(2))
    for design in (one, other, other, one):
        found = lying.T.solve_rows(design, offsets, penalty)
        expected = seen.T.solve_rows(design, offsets, penalty)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    # One visit for the totals of columns, and one for each change of the design.
    assert blocks.n_reads / blocks.n_blocks == 4
