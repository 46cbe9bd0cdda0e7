"""
What ranking metrics see
========================

Recommendations that look good by one metric may be useless by another, and a split of the data that
lets a model see the future flatters it. A generated shop whose fashions change shows both.
"""

# %%
# A shop with fashions
# --------------------
#
# 800 customers and 300 products in eight styles. Everybody has a taste for some styles; besides, a
# style is in fashion for a while, and everybody buys of it then. Each purchase has a day.
import numpy as np
from scipy import sparse

rng = np.random.default_rng(0)
n_customers, n_products, n_days = 800, 300, 80
style = rng.integers(0, 8, n_products)
popularity = rng.gamma(0.5, size=n_products)
taste = rng.dirichlet(np.full(8, 0.2), size=n_customers)

days = rng.integers(0, n_days, 30_000)
customers = rng.integers(0, n_customers, len(days))
in_fashion = days * 8 // n_days
wanted = taste[customers][:, style]
wanted = wanted + 0.5 * (style == in_fashion[:, None])
chances = np.cumsum(wanted * popularity, axis=1)
draws = rng.random(len(days)) * chances[:, -1]
bought = (chances < draws[:, None]).sum(axis=1)

# Of the same product for the same customer the first day counts.
order = np.argsort(days, kind="stable")
cells, first = np.unique(customers[order] * n_products + bought[order], return_index=True)
rows, columns = np.divmod(cells, n_products)
times = days[order][first]
X = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n_customers, n_products))
print(f"{X.nnz:,} purchases")

# %%
# One split at random, one by time
# --------------------------------
#
# Both hide a fifth of the purchases and keep no row or column of which nothing is known.
from sklearn_mf import ImplicitFactorization
from sklearn_mf.metrics import ranking_report
from sklearn_mf.model_selection import EntryShuffleSplit, EntryTimeSplit, hide_entries

splits = {"at random": EntryShuffleSplit(1, random_state=0), "by time": EntryTimeSplit(0.2)}
ranks = [1, 2, 4, 8, 16, 32]
reports = {}
for name, splitter in splits.items():
    [(train, test)] = splitter.split(X, groups=times)
    shown = hide_entries(X, np.setdiff1d(np.arange(X.nnz), train))
    hidden = sparse.csr_array((np.ones(len(test)), (rows[test], columns[test])), shape=X.shape)
    popular = np.argsort(-shown.sum(axis=0), kind="stable")[:20]
    reports[name, "hits"] = ranking_report(hidden, np.tile(popular, (n_customers, 1)), k=20)
    for rank in ranks:
        model = ImplicitFactorization(rank, alpha_W=0.01, random_state=0).fit(shown)
        items = model.recommend(shown, n=20, return_scores=False)
        reports[name, rank] = ranking_report(hidden, items, k=20)

# %%
# The report
# ----------
#
# "hits" recommends the same twenty products to all, whatever they have.
metrics = ["ndcg@20", "recall@20", "capped_recall@20", "hit_rate@20", "coverage@20", "gini@20"]
print(" " * 14, *(f"{name:>17}" for name in metrics))
for (split, name), report in reports.items():
    print(f"{split:10} {name!s:>4}", *(f"{report[key]:17.3f}" for key in metrics))

# %%
# What is seen
# ------------
#
# At random, purchases on either side of a hidden one tell of the fashion of that day. Nobody has
# them when it counts. And ranks 4 and 32 have about the same NDCG, but one of them recommends half
# as many products again: accuracy alone does not tell what a shop wants to know.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for split in splits:
    found = [reports[split, rank]["ndcg@20"] for rank in ranks]
    [line] = axes[0].plot(ranks, found, "o-", label=split)
    axes[0].axhline(reports[split, "hits"]["ndcg@20"], color=line.get_color(), ls=":")
axes[0].set(xscale="log", xlabel="rank", ylabel="NDCG at 20", ylim=(0, 0.45))
axes[0].set_xticks(ranks, ranks)
axes[0].minorticks_off()
axes[0].legend(title="split (dotted: hits for all)", ncols=2)
best = {split: max(reports[split, rank]["ndcg@20"] for rank in ranks) for split in splits}
axes[0].set_title(
    f"A split at random promises {best['at random'] / best['by time']:.1f} times the NDCG"
)

covers = {}
for name in ["hits", *ranks]:
    report = reports["by time", name]
    covers[name] = report["coverage@20"]
    axes[1].plot(covers[name], report["ndcg@20"], "o", color="C1")
    label = name if name == "hits" else f"rank {name}"
    axes[1].annotate(label, (covers[name], report["ndcg@20"]), (5, 5), textcoords="offset points")
axes[1].set(xlabel="coverage at 20", ylabel="NDCG at 20")
axes[1].set_title(f"Ranks 4 and 32: NDCG alike, not coverage ({covers[4]:.0%}, {covers[32]:.0%})")
axes[1].margins(0.2)
plt.show()
