"""Small changes of the code, one at a time: do the tests of its area notice?

    python tests/mutants.py objective --mutants 80 --seed 0

Each mutant is one changed operator, comparison, number, condition or statement, in a copy of the
package that the tests import instead. Drawn without replacement; the same seed draws the same.
Prints which were killed and which survived: each of those is a missing test, or an equivalent
program. Needs `os.fork`.
"""

import argparse
import ast
import copy
import os
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

# For the forks that try mutants: all but the package itself.
import pandas  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import sklearn.utils.estimator_checks  # noqa: F401

ROOT = Path(__file__).parents[1]
# Which tests an area is to be noticed by, the nearest first.
AREAS = {
    "objective": ["objective", "systems", "fitting/test_stream.py", "solvers/test_solvers.py"],
    "observations": ["observations", "losses", "objective", "solvers/test_solvers.py"],
    "fitting": ["fitting", "model_selection", "objective"],
    "estimators": ["estimators/test_matrix_factorization.py", "estimators", "fitting"],
}
SECONDS = 300
OTHERS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def changed(node):
    """The same node with one thing different; None if there is nothing to change."""
    node = copy.deepcopy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in OTHERS:
        node.op = OTHERS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHERS:
        node.ops[0] = OTHERS[type(node.ops[0])]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        return node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value = node.value + 1
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.Pass()
    else:
        return None
    return node


class Swap(ast.NodeTransformer):
    """Puts another node in the place of one."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        """The new node, or what becomes of this one."""
        return self.new if node is self.old else self.generic_visit(node)


def mutants_of(path):
    """Triples of a description, a node and another, for all that can be changed in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    in_functions = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for node in ast.walk(statement)
    ]
    for node in dict.fromkeys(in_functions):
        new = changed(node)
        if new is not None:
            where = f"{path.parent.name}/{path.name}:{node.lineno}"
            yield f"{where}: {ast.unparse(node)[:60]!r} -> {ast.unparse(new)[:60]!r}", node, new


def source_with(path, node, new):
    """The source of a file with one node replaced."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    same = next(
        twin
        for twin in ast.walk(tree)
        if type(twin) is type(node)
        and ast.dump(twin, include_attributes=True) == ast.dump(node, include_attributes=True)
    )
    return ast.unparse(ast.fix_missing_locations(Swap(same, new).visit(tree)))


def tests_for(path, area):
    """The files of tests of an area, those that are named after the changed file first."""
    tests = ROOT / "tests"
    files = []
    for name in AREAS[area]:
        place = tests / name
        files += sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
    stem = path.stem.strip("_").removeprefix("base_")

    def distance(file):
        return (stem not in file.stem, file.stat().st_size)

    near = [file for file in files if file.is_relative_to(tests / area)]
    others = [file for file in files if file not in near]
    ordered = sorted(near, key=distance) + others
    return [str(file.relative_to(ROOT)) for file in dict.fromkeys(ordered)]


def run_tests(folder, tests, seconds):
    """Whether all tests pass, tried in a copy of the project by a fork of this process.

    The fork has all that the package needs and not the package: that takes half of the time of
    a mutant that the first test notices. Time is that of the processor.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        os.chdir(folder)
        sys.path[:0] = [str(folder), str(folder / "tests")]
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
        status = int(pytest.main([*options, *tests]))
    finally:
        os._exit(status)


def survives(copied, target, source, tests):
    """Whether all tests pass with this source in place of a file of the copy."""
    before = target.read_text(encoding="utf-8")
    target.write_text(source, encoding="utf-8")
    # A cached twin of the same second and size would be taken for this source.
    for cached in (target.parent / "__pycache__").glob(f"{target.stem}.*"):
        cached.unlink()
    try:
        return run_tests(copied, tests, SECONDS)
    finally:
        target.write_text(before, encoding="utf-8")


def copy_of_the_project(folder):
    """What the tests need, in a folder that may be changed."""
    for name in ("sklearn_mf", "tests", "doc"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("pyproject.toml", "README.md", "setup.cfg"):
        shutil.copy(ROOT / name, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--mutants", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="how many of those to leave out")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    n_killed = 0
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        copy_of_the_project(copied)
        paths = sorted((copied / "sklearn_mf" / options.area).glob("*.py"))
        if not run_tests(copied, tests_for(paths[0], options.area), SECONDS):
            sys.exit("The tests fail, or take too long, before anything is changed.")
        found = [(path, *mutant) for path in paths for mutant in mutants_of(path)]
        drawn = random.Random(options.seed).sample(found, min(options.mutants, len(found)))
        for number, (path, description, node, new) in enumerate(drawn, 1):
            if number <= options.first:
                continue
            tests = tests_for(path, options.area)
            survived = survives(copied, path, source_with(path, node, new), tests)
            n_killed += not survived
            print(f"{'survived' if survived else 'killed  '}  {description}", flush=True)
    print(f"{n_killed} of {len(drawn) - options.first} killed")
    return n_killed < len(drawn) - options.first


if __name__ == "__main__":
    sys.exit(main())
