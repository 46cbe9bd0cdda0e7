"""
Recommending from what people did
=================================

Plays of songs say what somebody likes, but hardly what not: most of what was not played was never
met. :class:`~sklearn_mf.ImplicitFactorization` lets every cell count, what was not played a little.
How little is its most important parameter, beside the penalty. Here listeners and songs are
generated, so that we know what everybody would like.
"""

# %%
# Listeners with tastes
# ---------------------
#
# Each listener mixes a few of twelve tastes, each song belongs to some of them, and some songs are
# more famous. What is played depends on both; how often does not interest us here.
import numpy as np
from scipy import sparse

rng = np.random.default_rng(0)
n_listeners, n_songs, n_tastes = 2000, 1500, 12
tastes = rng.dirichlet(np.full(n_tastes, 0.15), n_listeners)
styles = rng.dirichlet(np.full(n_tastes, 0.15), n_songs)
fame = rng.lognormal(0, 1.0, n_songs)
liked = tastes @ styles.T  # what we would like to know
share = 30 * liked * fame / (liked * fame).sum(axis=1, keepdims=True)
plays = sparse.csr_array(rng.poisson(share).astype(np.float32))
train, test = plays[:1500], plays[1500:]
print(f"{plays.nnz / n_listeners:.0f} songs a listener, of {n_songs}")

# %%
# Recommendations for new listeners
# ---------------------------------
#
# The listeners of ``test`` were not there when the model was fitted. Their codes are solved when
# they come, from the songs that they are known to have played. Of ten songs that they have not
# played, how many belong to the tenth of all songs that they would like most?
from sklearn_mf import ImplicitFactorization

top_tenth = liked[1500:] > np.quantile(liked[1500:], 0.9, axis=1, keepdims=True)


def share_liked(model):
    """Of ten songs for each new listener."""
    songs, _ = model.recommend(test, n=10)
    return np.take_along_axis(top_tenth, songs, axis=1).mean()


# %%
# What was not played counts, but how much?
# -----------------------------------------
#
# Nobody knows in practice what listeners would like. There ``score``, which hides some songs of
# each listener and looks at where they are ranked, or early stopping would choose.
backgrounds = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
found = {
    rank: [
        share_liked(
            ImplicitFactorization(rank, unobserved_weight=background, random_state=0).fit(train)
        )
        for background in backgrounds
    ]
    for rank in (4, 12, 48)
}

# %%
# For comparison everybody gets what is popular: one component with the number of listeners.
popular = ImplicitFactorization(1).fit(train)
popular.components_ = np.asarray((train > 0).sum(axis=0), dtype=float)[None]
by_fame = share_liked(popular)

# %%
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for (rank, shares), shade in zip(found.items(), ["#9ecae1", "#4292c6", "#08306b"], strict=True):
    ax.plot(backgrounds, shares, "o-", color=shade)
    ax.annotate(f"  {rank} components", (backgrounds[-1], shares[-1]), va="center", color=shade)
ax.axhline(by_fame, color="0.5", ls=":")
ax.annotate("what is popular", (backgrounds[0], by_fame + 0.01), color="0.4")
ax.set(
    xscale="log",
    xlim=(None, 8),
    ylim=(0, None),
    xlabel="weight of what was not played",
    ylabel="share of ten new songs that are liked",
)
ax.set_title("Unplayed songs must count: of ten new ones six are liked, not two", loc="left")
ax.spines[["top", "right"]].set_visible(False)
plt.show()
