"""The shape of the source: data flows one way, files stay short, nothing draws from global random state."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradskew

SOURCE = Path(gradskew.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# A room imports only from rooms to its left.
ORDER = [
    *("core", "data", "models", "aggregators", "attacks", "skew", "trackers", "federation", "runs"),
    *("report", "audit", "paper", "flower", "cli"),
]
ANNEXES = {"audit", "paper", "flower"}  # none of them knows another
LONGEST = 300
DRAWING = "core/randomness.py"
GLOBAL_DRAWS = {
    "torch": {"manual_seed", "seed", "set_rng_state", "cuda.manual_seed", "cuda.manual_seed_all", "random.manual_seed"},
    "np": {f"random.{name}" for name in ("seed", "rand", "randn", "shuffle", "permutation", "choice", "default_rng")},
    "numpy": {"random.seed"},
}
NEEDS_GENERATOR = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "normal_", "uniform_"}


PLACE = {name: place for place, name in enumerate(ORDER)}


def names(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def room_of(path: Path) -> str:
    """The room that a file lies in."""
    return path.relative_to(SOURCE).parts[0]


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


def wrong_imports(path: Path) -> Iterator[str]:
    """The imports of a file that point to its right, or from one annex into another."""
    own = room_of(path)
    for parts in imports(path):
        other = parts[0] if parts else ""
        if other not in PLACE:
            yield f"{names(path)} imports {'.'.join(parts) or 'the package itself'}: import from rooms"
        elif PLACE[other] > PLACE[own]:
            yield f"{names(path)} imports {'.'.join(parts)} to its right"
        elif own != other and {own, other} <= ANNEXES:
            yield f"{names(path)} imports {'.'.join(parts)} from another annex"


def test_imports_point_left() -> None:
    assert {room_of(path) for path in FILES if path.parent != SOURCE} == set(ORDER)
    assert not [line for path in FILES if path.parent != SOURCE for line in wrong_imports(path)]


def test_nothing_lies_beside_the_rooms() -> None:
    assert [path.name for path in FILES if path.parent == SOURCE] == ["__init__.py", "__main__.py"]


@pytest.mark.parametrize("room", ORDER)
def test_within_a_room_imports_make_no_circle(room: str) -> None:
    """Only the `__init__` of a room knows all of its files."""
    graph = {
        path.stem: {parts[1] for parts in imports(path) if parts[0] == room and len(parts) > 1}
        for path in FILES
        if path.parent == SOURCE / room and path.stem != "__init__"
    }
    if room in ("attacks", "aggregators", "models", "data"):
        assert graph["base"] == set()
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & graph.keys()}
        assert leaves, f"a circle: {graph}"
        graph = {name: needed for name, needed in graph.items() if name not in leaves}


def test_files_stay_short() -> None:
    lengths = {names(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def compiled_functions(path: Path) -> set[str]:
    """The functions of a file that numba compiles."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return {each.name for each in functions if "compiled" in map(ast.unparse, each.decorator_list)}


def test_a_compiled_function_calls_none_of_another_file() -> None:
    """Numba keeps compiled code until the file of the outer function changes: a change elsewhere would not be seen."""
    found = {names(path).removesuffix(".py").replace("/", "."): compiled_functions(path) for path in FILES}
    assert sum(map(bool, found.values())) > 1
    foreign = [parts for path in FILES for parts in imports(path) if parts[-1] in found.get(".".join(parts[:-1]), ())]
    assert not foreign


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


def test_no_order_statistic_that_cuda_refuses_where_algorithms_are_deterministic() -> None:
    """`median` with an axis and `kthvalue`: torch raises. On the CPU, where `largest` asks first, they are fine."""
    found = {
        (names(path), node.func.attr)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("median", "nanmedian", "kthvalue", "mode") and (node.args or node.keywords)
        if dotted(node.func.value) not in ("columns", "np", "statistics")
    }
    assert found == {("aggregators/largest.py", "kthvalue")}


def test_no_global_random_state() -> None:
    """Only `randomness.drawing` seeds torch's global generators, which it has forked."""
    found = {names(path): list(draws(ast.parse(path.read_text()))) for path in FILES}
    assert {name: drawn for name, drawn in found.items() if drawn} == {DRAWING: ["torch.cuda.manual_seed"]}
    assert [names(path) for path in FILES if "default_generator" in path.read_text()] == [DRAWING]
    tree = ast.parse((SOURCE / DRAWING).read_text())
    drawing = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "drawing")
    assert list(draws(drawing)) == ["torch.cuda.manual_seed"]
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
