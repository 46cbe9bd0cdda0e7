"""
From a long table to recommendations
====================================

Sales come as a long table: who bought what, how often, and when. Customers and products are
strings. What comes out is a table again, the ten best products for each customer, for customers
that nobody knew yesterday, too, and with the reason.
"""

# %%
# A long table
# ------------
#
# The purchases are generated: customers have tastes, and few products are bought by many. Each
# has a day, and some come twice.
import numpy as np
import pandas as pd

from sklearn_mf.datasets import make_implicit

counts, _, _ = make_implicit(2000, 400, density=0.06, n_components=6, random_state=0)
customers, products = counts.nonzero()
rng = np.random.default_rng(0)
sales = pd.DataFrame(
    {
        "customer": [f"customer-{i:04}" for i in customers],
        "product": [f"product-{j:03}" for j in products],
        "quantity": counts.data.astype(int),
        "date": pd.Timestamp("2024-01-01")
        + pd.to_timedelta(rng.integers(100, size=counts.nnz), unit="D"),
    }
)
sales = pd.concat([sales, sales[:500]]).sample(frac=1, random_state=0, ignore_index=True)
sales.head()

# %%
# Does it work?
# -------------
#
# The last thirty days tell: nothing of them is known to the model. Products of those days that a
# customer had bought before do not count, and neither do customers and products that are new,
# of which nothing can be known. A list of the best sellers is what has to be beaten.
from sklearn_mf import ImplicitFactorization
from sklearn_mf.metrics import recall_at_k
from sklearn_mf.recommending import pivot_entries

names = {"rows": "customer", "columns": "product", "values": "quantity"}
is_late = sales["date"] >= "2024-03-10"
train = pivot_entries(sales[~is_late], **names)
known = {"row_labels": train.row_labels, "column_labels": train.column_labels}
late = pivot_entries(sales[is_late], **names, **known, unknown="drop").X
late = late - late.multiply(train.X > 0)  # what they had not bought before

sellers = (train.X > 0).sum(axis=0)
best_sellers = [
    np.setdiff1d(np.argsort(-sellers), row.indices, assume_unique=True)[:10] for row in train.X
]
recalls = {"best sellers": recall_at_k(late, best_sellers, k=10)}
for rank in (1, 2, 4, 8, 16, 32):
    model = ImplicitFactorization(rank, unobserved_weight=0.3, alpha_W=0.02, random_state=0)
    items = model.fit(train).recommend(train, n=10, return_scores=False)
    recalls[f"rank {rank}"] = recall_at_k(late, items, k=10)

# %%
# Six tastes were planted.
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.bar(recalls.keys(), recalls.values(), color=["gray"] + ["C0"] * (len(recalls) - 1))
ax.set_ylabel("recall at 10")
ax.tick_params(axis="x", rotation=30)
plt.show()

# %%
# A table for everybody
# ---------------------
#
# The model that is used knows all days. ``to_frame`` of the matrix puts the labels back.
data = pivot_entries(sales, **names)
model = ImplicitFactorization(8, unobserved_weight=0.3, alpha_W=0.02, random_state=0).fit(data)
table = data.to_frame(*model.recommend(data, n=10))
table.head(3)

# %%
# Somebody new
# ------------
#
# A customer who came today needs no new fit. The columns of a later table are those that the
# model knows by name; what it does not know is left out.
today = pd.DataFrame(
    {
        "customer": ["somebody new"] * 3,
        "product": ["product-007", "product-042", "product-unknown"],
        "quantity": [2, 1, 5],
    }
)
new = pivot_entries(today, **names, column_labels=model.feature_names_in_, unknown="drop")
items, scores = model.recommend(new, n=3)
new.to_frame(items, scores)

# %%
# And why? Each purchase is left out in turn: how much less would the first product be expected?
new.to_frame(*model.explain(new, items[0, 0], n=2))
