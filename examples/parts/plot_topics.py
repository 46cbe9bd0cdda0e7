"""
Topics of texts, and how many there are
=======================================

Words that occur together in documents make topics: the components of a non-negative factorization
of the counts of words. How many topics are there? Counts that were hidden from the fit tell. The
documents here are written by chance, about subjects that we know, so that the answer can be
checked.
"""

# %%
# Documents
# ---------
#
# Six subjects have words of their own, and share a few: frost is a matter of gardens and of the
# weather. A document is about one subject or two, and a third of its words belong to none.
import numpy as np

subjects = {
    "kitchen": "oven butter flour simmer garlic recipe onion bake salt pepper soup sauce dough",
    "weather": "rain storm cloud wind forecast snow sunny degrees frost thunder humid fog season",
    "football": "goal striker match referee penalty league team coach pitch keeper score season",
    "music": "melody guitar chord rhythm concert drummer album singer tune piano harmony score",
    "money": "bank interest loan market shares inflation profit tax bond credit budget price",
    "garden": "soil seeds roots prune tomato bloom compost lawn hedge rain rose frost onion sunny",
}
subjects = {name: words.split() for name, words in subjects.items()}
common = "today people week year city new small large time place work begin end often"

rng = np.random.default_rng(0)
mixtures = rng.dirichlet(np.full(len(subjects), 0.15), size=200)
documents = []
for mixture in mixtures:
    words = []
    for subject in rng.choice(list(subjects), size=rng.poisson(50), p=mixture):
        words.append(rng.choice(common.split() if rng.random() < 0.3 else subjects[subject]))
    documents.append(" ".join(words))
print(documents[0])

# %%
# Counts of words
# ---------------
#
# A sparse matrix, whose entries that are not stored are zeros.
from sklearn.feature_extraction.text import CountVectorizer

vectorizer = CountVectorizer()
X = vectorizer.fit_transform(documents).astype(float)
words = vectorizer.get_feature_names_out()
print(f"{X.shape[0]} documents, {X.shape[1]} words, {X.nnz / np.prod(X.shape):.0%} not zero")

# %%
# How many topics?
# ----------------
#
# :class:`~sklearn_mf.RankSearchCV` hides a fifth of the counts at a time and predicts them. For
# this the counts are put into a dense array, in which single counts can be missing. The
# Kullback-Leibler divergence is the loss that suits counts; a slight penalty keeps topics in bounds
# that only few words support.
import matplotlib.pyplot as plt

from sklearn_mf import NMF, RankSearchCV
from sklearn_mf.plotting import ComponentsDisplay, RankSearchDisplay

model = NMF(solver="mu", beta_loss="kullback-leibler", alpha_W=0.01, max_iter=200, random_state=0)
search = RankSearchCV(model, range(3, 9), random_state=0).fit(X.toarray())
display = RankSearchDisplay.from_estimator(search)
display.ax_.set(
    ylabel="Mean squared error of hidden counts",
    title=f"Hidden counts find {search.best_rank_} topics; there are {len(subjects)} subjects",
)
plt.show()

# %%
# What they are about
# -------------------
#
# The fit itself takes the sparse matrix, and costs as much as the matrix stores. The words that
# count most in each topic:
model.set_params(n_components=search.best_rank_)
W = model.fit_transform(X)
display = ComponentsDisplay.from_estimator(model, feature_names=words, n_top_features=7)
for number, ax in enumerate(display.axes_):
    ax.set(title=f"Topic {number}", xticks=[], xlabel="Weight")
display.figure_.suptitle("The words that count most tell the subject of each topic")
plt.show()

# %%
# Subjects and topics
# -------------------
#
# The model of a document is the sum of its topics. The share of each topic in a document goes
# with the share of one subject, which the factorization has not seen.
shares = W * model.components_.sum(axis=1)
shares /= shares.sum(axis=1, keepdims=True)
correlations = np.corrcoef(mixtures.T, shares.T)[: len(subjects), len(subjects) :]
order = correlations.argmax(axis=1)

figure, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
image = ax.imshow(correlations[:, order], cmap="RdBu_r", vmin=-1, vmax=1)
ax.set_xticks(range(len(order)), labels=[f"topic {number}" for number in order])
ax.set_yticks(range(len(subjects)), labels=list(subjects))
for i, j in np.ndindex(len(subjects), len(order)):
    value = correlations[i, order[j]]
    ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if value > 0.5 else "k")
ax.set_title(
    f"Each subject has a topic: correlations of {correlations.max(axis=1).min():.2f} or more"
)
figure.colorbar(image, ax=ax, label="Correlation over documents")
plt.show()
