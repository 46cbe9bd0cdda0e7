"""
A survey of numbers, scales, and a yes or no
============================================

Real tables mix kinds of columns. The squared error suits the numbers among them, but an answer of
yes or no has log-odds, and a prediction of 1.2 for it means nothing.
:class:`~sklearn_mf.MatrixFactorization` takes a loss for each column (a generalized low-rank
model). What is it good for in a real survey of which a third is missing, and what do the imputers
do better?
"""

# %%
# A survey before an election
# ---------------------------
#
# The table comes with statsmodels: 944 persons of the American National Election Study of 1996.
# They placed themselves and two candidates between left and right, told their age, education,
# income, party and how often they watch the news, and for whom they would vote. The vote is 1
# for Dole and 0 for Clinton.
import numpy as np
from statsmodels.datasets import anes96

survey = anes96.load_pandas().data
survey = survey.drop(columns="popul")  # whose logarithm is there, too
print(survey.head(3).to_string())

# %%
# Five ways to fill it
# --------------------
#
# All have their default parameters but for the loss and the rank. Numbers are standardized for
# all of them, the vote is not for the one with a loss of its own.
import warnings

from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from sklearn_mf import FactorizationImputer, MatrixFactorization

vote = survey.columns.get_loc("vote")
losses = {"logistic": ["vote"], "squared": [name for name in survey if name != "vote"]}
methods = {
    "mean of the column": SimpleImputer(),
    "nearest neighbours": KNNImputer(),
    "iterative imputer": IterativeImputer(random_state=0),
    "FactorizationImputer": FactorizationImputer(random_state=0),
    "a loss for each column": MatrixFactorization(3, loss=losses, bias="features", random_state=0),
}


def fill(method, holed):
    """The table as the method expects it to be, in the units of the survey."""
    scaler = StandardScaler().set_output(transform="pandas").fit(holed)
    scaled = scaler.transform(holed)
    if isinstance(method, MatrixFactorization):
        scaled["vote"] = holed["vote"]
        expected = method.inverse_transform(method.fit_transform(scaled))
        probability = expected[:, vote].copy()
        expected = scaler.inverse_transform(expected)
        expected[:, vote] = probability
        return expected
    return scaler.inverse_transform(np.asarray(method.fit_transform(scaled)))


# %%
# Five times a third is hidden
# ----------------------------
#
# How often is a hidden vote told rightly, how many predictions are no probabilities, and how far
# are the numbers off, in units of their standard deviation?
warnings.filterwarnings("ignore", module="sklearn.impute")  # of rounds that end early
measures = ["Votes told rightly, %", "Outside of 0 to 1, %", "Error of numbers, sd"]
results = {name: [] for name in methods}
deviations = survey.std().to_numpy()
numbers = np.delete(np.arange(survey.shape[1]), vote)
for seed in range(5):
    hidden = np.random.default_rng(seed).random(survey.shape) < 0.3
    holed = survey.mask(hidden)
    truth, cells = survey.to_numpy(), hidden[:, vote]
    for name, method in methods.items():
        expected = fill(method, holed)
        predicted = expected[cells, vote]
        error = ((expected - truth) / deviations)[:, numbers][hidden[:, numbers]]
        results[name].append(
            (
                100 * np.mean((predicted > 0.5) == truth[cells, vote]),
                100 * np.mean((predicted < -1e-9) | (predicted > 1 + 1e-9)),
                np.sqrt(np.mean(error**2)),
            )
        )

# %%
# Each its own use
# ----------------
#
# Dots are means over five masks, bars their standard deviations.
import matplotlib.pyplot as plt

means = {name: np.mean(values, axis=0) for name, values in results.items()}
best = max(means, key=lambda name: means[name][0])
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
for column, (ax, measure) in enumerate(zip(axes, measures, strict=True)):
    for place, (name, values) in enumerate(results.items()):
        spread = np.std(values, axis=0)[column]
        ours = name in ("FactorizationImputer", "a loss for each column")
        color = "#d55e00" if ours else "#0072b2"
        ax.errorbar(means[name][column], place, xerr=spread, fmt="o", color=color, capsize=4)
    ax.set(xlabel=measure)
    ax.grid(axis="x", alpha=0.4)
axes[0].set_yticks(range(len(results)), list(results))
axes[0].invert_yaxis()
figure.suptitle(
    f"{best} tells {means[best][0]:.0f} % of hidden votes; a loss for each column keeps "
    "all predictions between 0 and 1"
)
plt.show()

# %%
# To fill a table, the imputer is the better choice: it learns how all columns go together, and
# neighbours correct it. The factorization with losses gives codes and probabilities: what each
# column is expected to be, on its own scale.
#
# Components of the survey
# ------------------------
#
# What goes together: the components over all columns, each in its own units (standard deviations,
# and log-odds for the vote).
from sklearn_mf.plotting import ComponentsDisplay

model = methods["a loss for each column"]
display = ComponentsDisplay.from_estimator(model, n_components=2, n_top_features=6)
for ax in display.axes_:
    ax.set_xlabel("Weight")
display.figure_.suptitle("Party, vote and the view of the candidates go together")
plt.show()
