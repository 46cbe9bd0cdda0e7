"""How many functions, of how many files, stand between ``fit`` and a kernel.

    SKLEARN_MF_KERNELS=reference python benchmarks/frames.py [--show]

Counts frames of this package on the stack whenever a kernel in NumPy is called, and prints the
deepest stack of each estimator. ``--show`` prints its functions too.
"""

import os
import sys
import warnings
from pathlib import Path

os.environ["SKLEARN_MF_KERNELS"] = "reference"

import numpy as np

import sklearn_mf
from sklearn_mf import NMF, MatrixFactorization, RankSearchCV

PACKAGE = str(Path(sklearn_mf.__file__).parent)
KERNELS = str(Path(PACKAGE, "kernels", "reference.py"))
# The fit of a search runs its folds one after the other, in the thread that is watched.
CASES = {
    "MatrixFactorization": MatrixFactorization(3, random_state=0),
    "NMF": NMF(3, random_state=0),
    "RankSearchCV": RankSearchCV(MatrixFactorization(random_state=0), [1, 2, 3, 4]),
}


def deepest_stack(function):
    """The most frames of the package on the stack where a kernel was called."""
    deepest = []

    def watch(frame, event, _):
        nonlocal deepest
        is_kernel = frame.f_code.co_filename == KERNELS and frame.f_code.co_name != "max_threads"
        if event != "call" or not is_kernel:
            return
        if frame.f_back is not None and frame.f_back.f_code.co_filename == KERNELS:
            return
        stack = []
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGE):
                stack.append((Path(frame.f_code.co_filename).relative_to(PACKAGE), frame.f_code))
            frame = frame.f_back
        if len(stack) > len(deepest):
            deepest = stack[::-1]

    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
    return deepest


def main():
    rng = np.random.RandomState(0)
    X = rng.rand(60, 4) @ rng.rand(4, 20)
    X[rng.rand(*X.shape) < 0.2] = np.nan
    warnings.simplefilter("ignore")
    for name, estimator in CASES.items():
        stack = deepest_stack(lambda estimator=estimator: estimator.fit(X))
        print(f"{name:20} {len(stack)} frames, {len({file for file, _ in stack})} files")
        if "--show" in sys.argv:
            for file, code in stack:
                print(f"    {file!s:36} {getattr(code, 'co_qualname', code.co_name)}")


if __name__ == "__main__":
    main()
