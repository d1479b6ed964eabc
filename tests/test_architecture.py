"""The shape of the source: data flows one way, files stay short, nothing draws from global random state."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradskew

SOURCE = Path(gradskew.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# A module imports only from modules to its left.
ORDER = """
    core doctor data models attacks aggregators skew federation runs report audit sheets paper_screen charts flower
    commands paper traces probe cli
"""
LONGEST = 300
GLOBAL_DRAWS = {
    "torch": {"manual_seed", "seed", "set_rng_state", "cuda.manual_seed", "cuda.manual_seed_all", "random.manual_seed"},
    "np": {f"random.{name}" for name in ("seed", "rand", "randn", "shuffle", "permutation", "choice", "default_rng")},
    "numpy": {"random.seed"},
}
NEEDS_GENERATOR = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "normal_", "uniform_"}


PLACE = {name: place for place, name in enumerate(ORDER.split())}


def names(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def module_of(path: Path) -> str:
    """`attacks` for all files of that package, `data` for data.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def package_of(path: Path) -> list[str]:
    """The package that holds the file, as the parts of its dotted name."""
    return ["gradskew", *path.relative_to(SOURCE).parts[:-1]]


def imports(path: Path) -> Iterator[list[str]]:
    """The dotted names that a file imports from gradskew, as parts after `gradskew`, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package_of(path)[: len(package_of(path)) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            found = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (parts[1:] for parts in found if parts[0] == "gradskew")


def dotted(node: ast.expr) -> str:
    """`torch.random.fork_rng` for that expression, `?` where it is more than names."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != SOURCE or path.stem[0] != "_"], ids=names)
def test_imports_point_left(path: Path) -> None:
    own = module_of(path)
    assert own in PLACE, f"{own} has no place in the order of modules"
    for parts in imports(path):
        assert parts, "import from modules, not from the package"
        other = parts[0]
        assert other in PLACE, f"{own} imports {'.'.join(parts)}"
        inside = other == own and path.parent != SOURCE
        assert inside or PLACE[other] < PLACE[own], f"{own} imports {'.'.join(parts)} to its right"


@pytest.mark.parametrize("package", ["attacks", "aggregators", "models", "data"])
def test_one_method_a_file_imports_only_base_or_an_earlier_one(package: str) -> None:
    """Within a package imports make no circle, and only `__init__` knows all files."""
    graph = {
        path.stem: {parts[1] for parts in imports(path) if parts[0] == package and len(parts) > 1}
        for path in FILES
        if path.parent.name == package and path.stem != "__init__"
    }
    assert graph["base"] == set()
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & graph.keys()}
        assert leaves, f"a circle: {graph}"
        graph = {name: needed for name, needed in graph.items() if name not in leaves}


@pytest.mark.parametrize("path", FILES, ids=names)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def draws(tree: ast.AST) -> Iterator[str]:
    """Uses of global random state."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if "random" in modules:
                yield "the standard library's random"
            if isinstance(node, ast.ImportFrom) and node.module in ("torch", "numpy", "numpy.random", "torch.random"):
                drawn = NEEDS_GENERATOR | {"manual_seed", "seed", "default_rng"}
                yield from (alias.name for alias in node.names if alias.name in drawn)
        if isinstance(node, ast.Call):
            root, _, rest = dotted(node.func).partition(".")
            if rest in GLOBAL_DRAWS.get(root, ()):
                yield dotted(node.func)
            given = {keyword.arg for keyword in node.keywords}
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            ours = root in ("generator", "rng")  # a NumPy generator, in hand
            if method in NEEDS_GENERATOR and "generator" not in given and not ours:
                yield dotted(node.func)


@pytest.mark.parametrize("path", FILES, ids=names)
def test_no_global_random_state(path: Path) -> None:
    """Only `randomness.drawing` seeds torch's global generators, which it has forked."""
    tree = ast.parse(path.read_text())
    found = list(draws(tree))
    if names(path) != "core/randomness.py":
        assert not found
        assert "default_generator" not in path.read_text()
        return
    drawing = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "drawing")
    assert found == list(draws(drawing)) == ["torch.cuda.manual_seed"]
    assert "fork_rng" in ast.unparse(drawing)


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed_all(0)",
        "np.random.seed(0)",
        "np.random.default_rng(0)",
        "import random",
        "from random import shuffle",
        "from torch import randn",
        "torch.randperm(3)",
        "weight.normal_()",
    ],
)
def test_a_use_of_global_random_state_is_seen(line: str) -> None:
    assert list(draws(ast.parse(line)))


def test_a_use_of_a_generator_is_not_taken_for_it() -> None:
    lines = "torch.randperm(3, generator=rng)\ngenerator.permutation(3)\nnp.random.PCG64(1)\nimport torch.random"
    assert not list(draws(ast.parse(lines)))
