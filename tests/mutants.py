"""Small changes of the code, one at a time: do the tests of its area notice?

    python tests/mutants.py objective --mutants 80 --seed 0

Each mutant is one changed operator, comparison, number, condition or statement, in a copy of the
package that the tests import instead. Drawn without replacement; the same seed draws the same.
Prints the survivors with their lines: each is a missing test, or an equivalent program.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Which tests an area is to be noticed by, the nearest first.
AREAS = {
    "objective": ["objective", "systems", "fitting/test_stream.py", "solvers/test_solvers.py"],
    "observations": ["observations", "losses", "objective", "solvers/test_solvers.py"],
    "fitting": ["fitting", "model_selection", "objective"],
    "estimators": ["estimators/test_matrix_factorization.py", "estimators", "fitting"],
}
SECONDS = 600
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
    """Pairs of a description and a source, for all that can be changed in a file."""
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
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
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


def survives(copy_of_package, path, source, tests):
    """Whether all tests pass with this source in place of a file."""
    target = copy_of_package / path.relative_to(ROOT)
    before = target.read_text(encoding="utf-8")
    target.write_text(source, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
    ]
    try:
        run = subprocess.run(
            [*command, *tests],
            cwd=copy_of_package,
            env={**os.environ, "PYTHONPATH": str(copy_of_package), "OMP_NUM_THREADS": "1"},
            timeout=SECONDS,
            capture_output=True,
            check=False,
        )
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(before, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("area", choices=AREAS)
    parser.add_argument("--mutants", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = sorted((ROOT / "sklearn_mf" / options.area).glob("*.py"))
    found = [(path, *mutant) for path in paths for mutant in mutants_of(path)]
    drawn = random.Random(options.seed).sample(found, min(options.mutants, len(found)))
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in ("sklearn_mf", "tests", "doc"):
            shutil.copytree(ROOT / name, copied / name)
        for name in ("pyproject.toml", "README.md", "setup.cfg"):
            shutil.copy(ROOT / name, copied)
        tests = [str(copied / "tests" / name) for name in AREAS[options.area]]
        survivors = []
        for number, (path, description, node, new) in enumerate(drawn, 1):
            if survives(copied, path, source_with(path, node, new), tests):
                survivors.append(description)
                print(f"survived  {description}", flush=True)
            print(f"{number - len(survivors)} of {number} killed", flush=True)
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
