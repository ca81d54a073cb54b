"""The rules of the house, read from the source itself: floors, sizes, names, what may not be used."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "recmtl").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
FLOORS = {
    "errors": 1, "seed": 1, "folder": 1, "page": 1, "plugins": 1, "progress": 1,
    "schema": 1, "batch": 1, "memory": 1,
    "compiled": 1, "kernels": 1, "heads": 1,
    "data": 2, "model": 2, "learn": 2,
    "experiment": 3, "suite": 3,
    "bundle": 4, "evaluate": 4,
    "run": 5, "current": 5, "launch": 5, "gather": 5, "tracking": 5, "scoring": 5,
    "pipeline": 6, "library": 6, "describe": 6, "demo": 6, "cli": 6, "": 6,
    "flows": 7,
}
SIBLINGS = {"data", "model", "learn"}
each_file = pytest.mark.parametrize("file", SOURCES, ids=lambda f: str(f.relative_to(ROOT)))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(file): file for file in SOURCES}


def room(name: str) -> str:
    """The room of a module of ours: its folder or file under recmtl, "" for recmtl itself."""
    first, _, rest = name.partition(".")
    return first if first == "flows" else rest.split(".")[0]


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, with the line."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(file.relative_to(ROOT).parts[:-node.level]) if node.level else None
            source = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield (whole if whole in MODULES else source), node.lineno


def ours(file: Path) -> Iterator[tuple[str, int]]:
    return ((n, line) for n, line in imports(file) if n.split(".")[0] in ("recmtl", "flows"))


def test_every_file_has_a_floor() -> None:
    assert {room(name) for name in MODULES} <= FLOORS.keys()


@each_file
def test_imports_go_down(file: Path) -> None:
    here = room(module(file))
    wrong = []
    for name, line in ours(file):
        there = room(name)
        strangers = here != there and {here, there} <= SIBLINGS
        if name != "recmtl" and (FLOORS[there] > FLOORS[here] or strangers):
            wrong.append(f"line {line}: {here or 'recmtl'} imports {name}")
    assert not wrong


def test_imports_make_no_circle() -> None:
    graph = {
        name: {n for n, _ in ours(file) if n in MODULES and n not in (name, "recmtl")}
        for name, file in MODULES.items() if name != "recmtl"
    }
    while graph:
        free = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert free, f"circle among {sorted(graph)}"
        for name in free:
            del graph[name]


@each_file
def test_engines_live_in_one_place(file: Path) -> None:
    homes = {"mlflow": "tracking", "prefect": "flows"}
    found = [
        f"line {line}: {name}" for name, line in imports(file)
        if homes.get(name.split(".")[0], room(module(file))) != room(module(file))
    ]
    assert not found


@each_file
def test_spark_lives_in_one_folder(file: Path) -> None:
    spark = [line for name, line in imports(file) if name.split(".")[0] in ("pyspark", "py4j")]
    assert not spark or module(file).startswith("recmtl.data.spark.")


@each_file
def test_torchrec_lives_in_one_file(file: Path) -> None:
    found = [line for name, line in imports(file) if name.split(".")[0] in ("torchrec", "fbgemm_gpu")]
    assert not found or module(file) == "recmtl.learn.sharded.collection"


@each_file
def test_files_hold_one_idea(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= 300
    assert not {"utils", "common", "base", "helpers", "misc"} & {*file.parts, file.stem}
    assert not tree(file).body or ast.get_docstring(tree(file)), "a module says what it is for"


@each_file
def test_functions_are_short(file: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > 40
    ]
    assert not long


@each_file
def test_constructors_take_five_arguments_or_fewer(file: Path) -> None:
    wrong = []
    for owner in ast.walk(tree(file)):
        for node in owner.body if isinstance(owner, ast.ClassDef) else []:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                a = node.args
                names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)][1:]
                if len(names) > 5 or a.kwarg or a.vararg:
                    wrong.append(f"{owner.name}({', '.join(names)})")
    assert not wrong


@each_file
def test_nothing_is_evaluated_or_unpickled(file: Path) -> None:
    for name, line in imports(file):
        assert name.split(".")[0] not in {"pickle", "cloudpickle", "dill", "joblib"}, f"line {line}"
    for node in ast.walk(tree(file)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {"eval", "exec", "os.chdir", "torch.load"}, f"line {node.lineno}"
        assert all(k.arg != "allow_pickle" for k in node.keywords), f"line {node.lineno}"


def test_no_path_of_a_machine_is_written_down() -> None:
    machine = re.compile(r"(?<![\w.:/}])/(home|root|Users|work|mnt)/\w")
    texts = [
        f for pattern in ("*", ".ci/*", "configs/*", "docs/*.md", "benchmarks/*.*", "benchmarks/peers/*",
                        "benchmarks/studies/*")
        for f in ROOT.glob(pattern) if f.is_file() and f.name != ".git"
        if f.suffix in {".py", ".toml", ".md", ".yaml", ".txt", ".sql", ""}
    ]
    texts += [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    assert not [str(f) for f in texts if machine.search(f.read_text())]
