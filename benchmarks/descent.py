"""Adam against PyTorch's, and how many steps preconditioned descent takes.

Adam: the same loop in PyTorch, ``zero_grad``, the squared error, ``backward``, ``step``, with
the same learning rate and number of iterations from a start of the same scale. The toy is the
textbook's 4 x 2 matrix at rank 2, 5,000 iterations; the other is complete, 2,000 x 500, rank 20,
500 iterations. The error is the mean squared error reached. PyTorch computes it in its own
dtype; ours is that of the codes solved at the end.

Preconditioned descent: noiseless 1,000 x 1,000 matrices of rank 10 with singular values spaced
evenly from n down to n over the condition number; iterations until the relative error of the
whole matrix is 1e-6 (the error column holds them), 20 % observed from the spectral start, and
complete from a random one.
"""

from functools import partial

import numpy as np
from _harness import OURS, Case, main, measure

from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import Adam, GradientDescent

TOY = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])
RATE = 0.01


def matrix(name, dtype):
    if name == "toy":
        return TOY.astype(dtype), 2, 5000
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 20)) @ rng.normal(size=(20, 500)) + 0.3 * rng.normal(
        size=(2000, 500)
    )
    return X.astype(dtype), 20, 500


def ours(name, setting):
    X, k, n_steps = matrix(name, setting.dtype)
    solver = Adam(learning_rate=RATE)
    model = MatrixFactorization(
        k, solver=solver, init="random", max_iter=n_steps, tol=0, random_state=0
    )
    model, result = measure(lambda: model.fit(X), setting.repeats)
    residual = model.inverse_transform(model.transform(X)) - X
    return result | {"error": float(np.mean(np.square(residual, dtype=np.float64)))}


def torchs(name, setting):
    import torch

    torch.set_num_threads(setting.threads)
    X, k, n_steps = matrix(name, setting.dtype)
    X = torch.as_tensor(X)

    def fit():
        torch.manual_seed(0)
        W = torch.randn(X.shape[0], k, dtype=X.dtype, requires_grad=True)
        H = torch.randn(k, X.shape[1], dtype=X.dtype, requires_grad=True)
        optimizer = torch.optim.Adam([W, H], lr=RATE)
        for _ in range(n_steps):
            optimizer.zero_grad()
            loss = ((X - W @ H) ** 2).sum()
            loss.backward()
            optimizer.step()
        return loss

    loss, result = measure(fit, setting.repeats)
    return result | {"error": float(loss) / X.numel()}


class Counting(GradientDescent):
    """Stops at a relative error of 1e-6."""

    truth = None

    def _step(self, problem, state):
        objective = super()._step(problem, state)
        error = np.linalg.norm(state.W @ state.Ht.T - self.truth)
        state.converged |= bool(error < 1e-6 * np.linalg.norm(self.truth))
        return objective


def steps(preconditioned, condition, share, init, setting):
    n, k = 1000, 10
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.normal(size=(n, k)))[0] for _ in range(2))
    truth = n * U * np.linspace(1, 1 / condition, k) @ V.T
    X = truth if share == 1 else np.where(rng.random((n, n)) < share, truth, np.nan)
    solver = Counting(preconditioned=preconditioned)
    Counting.truth = truth
    model = MatrixFactorization(k, solver=solver, init=init, max_iter=3000, tol=0, random_state=0)
    model, result = measure(lambda: model.fit(X), 1)
    return result | {"error": model.n_iter_}


def make_cases(args):
    cases = []
    for name, title in (("toy", "Toy, 5,000 iterations"), ("large", "2,000 x 500, 500 iterations")):
        cases += [
            Case(f"Adam: {title}", OURS, partial(ours, name)),
            Case(f"Adam: {title}", "torch.optim.Adam", partial(torchs, name), needs="torch"),
        ]
    for share, init, conditions in (
        (0.2, "svd", (1, 5, 20)),
        (1, "random", (1, 100, 10_000)),
    ):
        for condition in conditions:
            group = f"Steps, {share:.0%} observed, condition number {condition} (error: iterations)"
            for preconditioned in (True, False):
                if condition > 20 and not preconditioned:
                    continue  # thousands of steps
                name = OURS + (" preconditioned" if preconditioned else " plain")
                run = partial(steps, preconditioned, condition, share, init)
                cases.append(Case(group, name, run, dtypes=("float64",)))
    return cases


if __name__ == "__main__":
    main(make_cases)
