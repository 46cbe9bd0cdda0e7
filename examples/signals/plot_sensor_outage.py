"""
Sensors that fail for days
==========================

Fifteen thermometers of a region fail now and then, each for up to three days. What did they miss?
Interpolation in time draws a straight line through it. But the other sensors felt the same sun,
the same fronts and the same rain, so that the table of hours and sensors has a low rank.
"""

# %%
# Four weeks of fifteen sensors
# -----------------------------
#
# The temperatures are generated: a daily course, fronts and rain reach each sensor more or less,
# and each measures with an error of 0.4 degrees.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
hours = pd.date_range("2026-05-01", periods=24 * 28, freq="h")
hour = np.arange(len(hours))
sun = np.sin(2 * np.pi * (hour - 9) / 24)
fronts = 0.4 * np.cumsum(rng.normal(size=len(hours)))
showers = (rng.random(len(hours)) < 0.02) * rng.gamma(2, size=len(hours))
rain = np.convolve(showers, np.exp(-np.arange(24) / 6))[: len(hours)]
reach = rng.uniform([[2], [0.6], [-1.5]], [[7], [1.4], [-0.3]], size=(3, 15))
temperature = np.c_[sun, fronts - fronts.mean(), rain] @ reach + rng.uniform(8, 18, size=15)
measured = temperature + 0.4 * rng.normal(size=temperature.shape)

failed = np.zeros(measured.shape, dtype=bool)
for sensor in np.repeat(np.arange(15), 3):
    start = rng.integers(len(hours) - 70)
    failed[start : start + rng.integers(12, 70), sensor] = True
table = pd.DataFrame(measured, hours, [f"sensor {i}" for i in range(15)]).mask(failed)
print(f"{failed.mean():.0%} of the measurements are missing")

# %%
# Four ways to fill them
# ----------------------
#
# None of them is tuned. The rank of the factorization is chosen within the fit, on hidden entries.
from sklearn.impute import KNNImputer

from sklearn_mf import MatrixFactorization

model = MatrixFactorization("auto", bias="features", random_state=0)
filled = {
    "interpolation": table.interpolate(limit_direction="both"),
    "mean of the hour": table.fillna(table.groupby(table.index.hour).transform("mean")),
    "nearest hours": KNNImputer().fit_transform(table),
    "factorization": model.inverse_transform(model.fit_transform(table)),
}
errors = {
    name: np.sqrt(np.mean((np.asarray(values) - measured)[failed] ** 2))
    for name, values in filled.items()
}
for name, error in errors.items():
    print(f"{name:18} {error:.2f} °C")
print(f"rank {model.n_components_}; the measurements err by 0.40 °C themselves")

# %%
# One sensor, and all of them
# ---------------------------
#
# Above, where measurements are missing; below, one week of the sensor that failed for longest.
import matplotlib.pyplot as plt

longest = failed.sum(axis=0).argmax()
first = max(0, np.flatnonzero(failed[:, longest])[0] - 30)
week = slice(first, first + 7 * 24)
days = hour / 24
figure, (above, below) = plt.subplots(
    2, 1, figsize=(9, 6.5), height_ratios=[1, 1.8], layout="constrained"
)
above.imshow(failed.T, aspect="auto", cmap="gray_r", extent=(0, 28, 14.5, -0.5), alpha=0.8)
above.axvspan(days[week.start], days[week.start] + 7, color="#e69f00", alpha=0.25, lw=0)
above.set(title="Black: missing", xlabel="Day", ylabel="Sensor", yticks=[0, 7, 14])
styles = {"interpolation": ("#d55e00", ":"), "factorization": ("#0072b2", "-")}
below.plot(days[week], measured[week, longest], color="0.75", lw=3, label="true, partly missing")
for name, (color, style) in styles.items():
    values = np.where(failed[:, longest], np.asarray(filled[name])[:, longest], np.nan)
    label = f"{name}: RMSE {errors[name]:.2f} °C"
    below.plot(days[week], values[week], style, color=color, lw=1.8, label=label)
below.set(title=f"Sensor {longest}", xlabel="Day", ylabel="Temperature in °C")
figure.legend(
    *below.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
)
figure.suptitle(
    f"Other sensors tell what a sensor missed to {errors['factorization']:.2f} °C, "
    f"where the measurements err by 0.40 °C"
)
plt.show()
