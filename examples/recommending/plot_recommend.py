"""
Recommending from a long table
==============================

From a table of who bought what to ten products for each customer, for those who were there and for
new ones, with reasons, and a shelf that is not ten times the same.
"""

# %%
# Purchases
# ---------
#
# A generated shop: products belong to departments, customers have a taste for one or two of
# them, and some products sell everywhere. Customers and products are strings, a row is a purchase.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
departments = ["books", "garden", "kitchen", "music", "sports", "toys"]
products = np.array([f"{name}-{number:02}" for name in departments for number in range(30)])
department = np.repeat(np.arange(6), 30)
popularity = rng.gamma(0.7, size=180)

purchases = []
for number in range(1500):
    taste = rng.dirichlet(np.full(6, 0.15))[department] * popularity + 0.02 * popularity
    bought = rng.choice(180, size=rng.integers(3, 25), p=taste / taste.sum())
    purchases += [(f"customer-{number:04}", products[j]) for j in bought]
sales = pd.DataFrame(purchases, columns=["customer", "product"])
print(sales.head(), f"\n{len(sales):,} purchases")

# %%
# A matrix with labels
# --------------------
#
# Equal pairs are counted. What is not stored was not bought, which does not mean that it is not
# wanted.
from sklearn_mf import ImplicitFactorization
from sklearn_mf.recommending import pivot_entries

data = pivot_entries(sales, rows="customer", columns="product")
model = ImplicitFactorization(8, confidence="log", random_state=0).fit(data)
print(data)

# %%
# Ten products for everybody
# --------------------------
#
# What a customer has bought is left out. Labels come back beside the rank and the score.
items, scores = model.recommend(data, n=10)
table = data.to_frame(items, scores)
print(table.head(10).to_string(index=False))

# %%
# A new customer
# --------------
#
# Who was not in the fit needs no new one: a code is solved from what is in the basket. Only
# products of a sale are asked for, by their names.
counts = sales["product"].value_counts()
in_garden = counts.index[counts.index.str.startswith("garden")]
in_kitchen = counts.index[counts.index.str.startswith("kitchen")]
basket = pd.DataFrame({"customer": "new", "product": [*in_garden[3:5], in_kitchen[4]]})
newcomer = pivot_entries(
    basket, rows="customer", columns="product", column_labels=model.feature_names_in_
)
sale = [name for name in model.feature_names_in_ if name.endswith(("5", "6", "7"))]
offered, _ = model.recommend(newcomer, n=3, items=sale)
print("has", *basket["product"], "and is offered", *model.feature_names_in_[offered[0]])

# %%
# Why?
# ----
#
# Each purchase is left out in turn: how much lower would the score have been?
because, contributions = model.explain(newcomer, column=offered[0, 0], n=3)
for column, contribution in zip(because[0], contributions[0], strict=True):
    print(f"{model.feature_names_in_[column]:12} {contribution:+.3f}")

# %%
# Not ten times the same
# ----------------------
#
# Of the forty best products, ``rerank_mmr`` chooses ten that are good and unlike one another.
# How many departments does a shelf have, and what does that cost in score?
import matplotlib.pyplot as plt

column_department = pd.Series(model.feature_names_in_).str.split("-").str[0].to_numpy()
items, scores = model.recommend(data, n=40)
weights = np.linspace(0, 0.9, 10)
variety, quality = [], []
for weight in weights:
    chosen, values = model.rerank_mmr(items, scores, n=10, diversity=weight)
    variety.append(np.mean([len(set(row)) for row in column_department[chosen]]))
    quality.append(values.mean() / scores[:, :10].mean())

gain = variety[4] / variety[0]
figure, axis = plt.subplots(layout="constrained")
axis.plot(quality, variety, "o-")
for k in (0, 4, 9):
    label, place = f"diversity={weights[k]:.1f}", (quality[k], variety[k])
    axis.annotate(label, place, (6, 6), textcoords="offset points")
axis.set(xlabel="mean score, as a share of the best ten", ylabel="departments among ten products")
axis.set_title(f"{gain:.1f} times as many departments for {1 - quality[4]:.0%} of the score")
axis.margins(x=0.3, y=0.1)
plt.show()
