"""
Choosing the number of components
=================================

How many components are in the data, and how many are noise? The error of rows that were held
out does not tell: it falls with every component. The error of entries that were hidden does.
"""

# %%
# Half of a noisy table
# ---------------------
#
# Four components, noise, and half of the entries missing.
import numpy as np

rng = np.random.default_rng(0)
complete = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 40))
complete += 0.7 * rng.standard_normal(complete.shape)
X = np.where(rng.random(complete.shape) < 0.5, np.nan, complete)

# %%
# Rows that were held out
# -----------------------
#
# Their codes are solved on the very entries that are then compared, so more freedom always
# looks better.
from sklearn_mf import MatrixFactorization

model = MatrixFactorization(alpha_W=0.02, tol=1e-3, random_state=0)
ranks = np.arange(1, 9)
row_errors = []
for rank in ranks:
    model.set_params(n_components=rank).fit(X[:200])
    residual = X[200:] - model.inverse_transform(model.transform(X[200:]))
    row_errors.append(np.nanmean(residual**2))

# %%
# Entries that were hidden
# ------------------------
#
# :class:`~sklearn_mf.RankSearchCV` hides a fifth of the entries at a time, and goes up the ranks
# from the components of the rank below. The bars are standard errors; the smallest rank within
# one of them of the best is chosen. Where the errors have risen for good the search ends, and does
# not try larger ranks.
import matplotlib.pyplot as plt

from sklearn_mf import RankSearchCV
from sklearn_mf.plotting import RankSearchDisplay

search = RankSearchCV(model, ranks, random_state=0).fit(X)
display = RankSearchDisplay.from_estimator(search, errorbar_kwargs={"label": "hidden entries"})
display.ax_.plot(ranks, row_errors, "s--", color="#d55e00", label="rows held out")
display.ax_.set_ylabel("Mean squared error")
display.ax_.set_title(
    f"Hidden entries find {search.best_rank_} components; rows held out would choose "
    f"{ranks[np.argmin(row_errors)]}"
)
display.ax_.legend()
plt.show()

# %%
# The search is an estimator of the rank that it chose.
print(f"{search.best_rank_} components, codes of shape {search.transform(X).shape}")

# %%
# Complete data
# -------------
#
# Where nothing is missing, :func:`~sklearn_mf.select_rank` needs no fit: it counts the
# singular values that noise alone would not show.
from sklearn_mf import select_rank

for method in ("gavish-donoho", "parallel"):
    print(f"{method}: {select_rank(complete, method=method, random_state=0)}")
