"""
Topics of a text corpus
=======================

Words that occur together in documents make topics: the components of a non-negative factorization
of a matrix of documents and words. The documents here are docstrings of scikit-learn, SciPy and
NumPy. We know which module each comes from, so that topics can be checked.
"""

# %%
# Documents
# ---------
#
# Docstrings of public functions and classes, of which short ones say little.
import inspect
from importlib import import_module

modules = {
    "sklearn": ["cluster", "linear_model", "metrics"],
    "scipy": ["fft", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"],
    "numpy": ["linalg", "random"],
}
names = [f"{package}.{module}" for package in modules for module in modules[package]]
documents = {}
for name in names:
    module = import_module(name)
    for member in dir(module):
        text = inspect.getdoc(getattr(module, member))
        if text and len(text) > 400 and not member.startswith("_"):
            documents.setdefault(text, name)
print(len(documents), "documents")

# %%
# Weighted counts of words
# ------------------------
#
# The more documents a word is in, the less it tells. The matrix is sparse, and what it does not
# store is zero: ``unstored="zero"``, the default.
from sklearn.feature_extraction.text import TfidfVectorizer

vectorizer = TfidfVectorizer(
    sublinear_tf=True, stop_words="english", min_df=8, max_df=0.2, token_pattern=r"\b[a-z]{4,}\b"
)
X = vectorizer.fit_transform(documents)
words = vectorizer.get_feature_names_out()
print(f"{len(words)} words, {X.nnz / X.shape[0] / X.shape[1]:.1%} of the matrix is not zero")

# %%
# Topics
# ------
#
# The Kullback-Leibler divergence is made for counts, and words that are rare matter more to it
# than to squares. For a sparse matrix it costs as much as the matrix stores, the zeros
# nothing. The words that count most in each topic:
import matplotlib.pyplot as plt
import numpy as np

from sklearn_mf import NMF
from sklearn_mf.plotting import ComponentsDisplay

model = NMF(9, solver="mu", beta_loss="kullback-leibler", max_iter=500)
W = model.fit_transform(X)
display = ComponentsDisplay.from_estimator(model, feature_names=words, n_top_features=7)
for number, ax in enumerate(display.axes_):
    ax.set_title(f"Topic {number}")
    ax.set_xticks([])
display.figure_.suptitle("The words that count most in each topic")
plt.show()

# %%
# Where topics come from
# ----------------------
#
# The model of a document is the sum of its topics. The share of each in the documents of a module
# was not known to the factorization, and makes sense all the same.
counts = W * model.components_.sum(axis=1)
sources = np.array(list(documents.values()))
shares = np.array([counts[sources == name].sum(axis=0) for name in names])
shares /= shares.sum(axis=1, keepdims=True)
labels = [
    f"{number}: " + ", ".join(words[np.argsort(-topic)[:2]])
    for number, topic in enumerate(model.components_)
]

_, ax = plt.subplots(figsize=(8, 5.5), layout="constrained")
image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(len(labels)), labels=labels, rotation=40, ha="right", rotation_mode="anchor")
ax.set_yticks(range(len(names)), labels=names)
ax.set_title("Share of each topic in the words of a module")
ax.figure.colorbar(image, ax=ax)
plt.show()
