"""
A stream of rows
================

Rows arrive in batches, each is seen once and thrown away, and a fifth of their entries is
missing. :meth:`~sklearn_mf.MatrixFactorization.partial_fit` keeps sums, whose size does not
depend on how many rows there were. How near does it come to a fit on the rows that memory
would hold, and what if the components themselves move?
"""

# %%
# A source that never ends
# ------------------------
#
# Batches of 200 rows are generated when they are asked for. Each row has four components and
# noise of standard deviation 0.5. `turn` is how far the components turn into four others with
# every batch, in radians; zero for a source that stays as it is.
import numpy as np

N_FEATURES, RANK, BATCH, NOISE = 60, 4, 200, 0.5


def source(n_batches, turn=0.0, seed=0):
    """Yield batches with missing entries (NaN), and what the missing entries would be."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, RANK, N_FEATURES))
    for number in range(n_batches):
        H = np.cos(turn * number) * first + np.sin(turn * number) * second
        truth = rng.normal(size=(BATCH, RANK)) @ H
        noisy = truth + NOISE * rng.normal(size=truth.shape)
        yield np.where(rng.random(truth.shape) < 0.2, np.nan, noisy), truth


def hidden_rmse(model, X, truth):
    """Root mean squared error of what is missing in X, against the truth without noise."""
    error = model.inverse_transform(model.transform(X)) - truth
    return np.sqrt(np.mean(error[np.isnan(X)] ** 2))


# %%
# One pass
# --------
#
# Every batch is a test before it is learnt from: its missing entries are predicted with the
# components of the batches before it. The two fits for comparison have the first 5 and the
# first 50 batches at once, as if these were what fits into memory, and are tested on the
# same batches.
import pickle
from time import perf_counter

from sklearn_mf import MatrixFactorization

N_BATCHES = 200
settings = {"n_components": RANK, "alpha_W": 0.002, "random_state": 0}
held = {
    f"fit of the first {n} batches": MatrixFactorization(**settings).fit(
        np.vstack([X for X, _ in source(n)])
    )
    for n in (5, 50)
}

online, sizes, seconds = MatrixFactorization(**settings), [], 0.0
errors = {"partial_fit": [np.nan], **{name: [np.nan] for name in held}}
for number, (X, truth) in enumerate(source(N_BATCHES)):
    if number:
        errors["partial_fit"].append(hidden_rmse(online, X, truth))
        for name, model in held.items():
            errors[name].append(hidden_rmse(model, X, truth))
    began = perf_counter()
    online.partial_fit(X)
    seconds += perf_counter() - began
    sizes.append(len(pickle.dumps(online)))

megabytes = N_BATCHES * X.nbytes / 1e6
print(f"The stream: {online.n_samples_seen_:,} rows, {megabytes:.0f} MB; a batch: {X.nbytes:,} B")
print(f"The estimator: {sizes[0]:,} B after the first batch, {sizes[-1]:,} B after the last")
print(f"All calls of partial_fit: {seconds:.1f} s")
print("Error, mean over the last 100 batches")
for name, values in errors.items():
    print(f"  {name:30}{np.mean(values[-100:]):8.4f}")

# %%
# In the end it has seen more than either of the fits. What it keeps does not grow.
#
# A drift
# -------
#
# Now the components turn by 0.01 with every batch, a quarter of a circle in 157 batches. What
# was learnt in the beginning becomes wrong. `forget_factor` is what a row leaves of the
# weight of those before it: with 0.9995 about 2,000 rows, ten batches, count.
drift = {}
for forget_factor in (1.0, 0.9999, 0.9995):
    model = MatrixFactorization(**settings, forget_factor=forget_factor)
    drift[forget_factor] = [np.nan]
    for number, (X, truth) in enumerate(source(150, turn=0.01)):
        if number:
            drift[forget_factor].append(hidden_rmse(model, X, truth))
        model.partial_fit(X)
    print(f"forget_factor={forget_factor}: {np.mean(drift[forget_factor][-100:]):.3f}")

# %%
# To forget too much costs accuracy where nothing drifts, since fewer rows count.
#
# Both streams
# ------------
import matplotlib.pyplot as plt


def running_mean(values, n=10):
    """Mean over up to n batches, the first of which is not tested."""
    return [np.nanmean(values[max(1, i - n + 1) : i + 1]) for i in range(1, len(values))]


colors = ["#0072b2", "#e69f00", "#009e73"]
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
styles = list(zip(colors, ("-", "--", ":"), strict=True))
for (name, values), (color, style) in zip(errors.items(), styles, strict=True):
    axes[0].plot(range(1, N_BATCHES), running_mean(values), style, color=color, label=name)
for (forget_factor, values), (color, style) in zip(drift.items(), styles, strict=True):
    label = f"forget_factor={forget_factor}"
    axes[1].plot(range(1, len(values)), running_mean(values), style, color=color, label=label)
ends = {name: np.mean(values[-50:]) for name, values in drift.items()}
few = next(name for name in held if "first 5 " in name)
passed = (
    1 + np.flatnonzero(np.less(running_mean(errors["partial_fit"]), running_mean(errors[few])))[0]
)
axes[0].set_title(f"A source that stays: better than a fit of\n5 batches from batch {passed} on")
axes[1].set_title(
    f"A source that drifts: forgetting keeps\nthe error at {ends[0.9995]:.2f}, not {ends[1.0]:.2f}"
)
for ax in axes:
    ax.set(xlabel="Batches seen (200 rows each)", ylabel="RMSE of missing entries, next batch")
    ax.set_ylim(bottom=0 if ax is axes[1] else None)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False)
figure.suptitle("One pass over a stream predicts as well as a fit of what memory would hold")
plt.show()
