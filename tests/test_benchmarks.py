"""Benchmarks are seldom run: each is imported here, and its calls, unmade, are held to signatures."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
import torch

from benchmarks.family import counting
from recmtl.kernels import products
from recmtl.learn.step import parameters
from recmtl.model.mlp import MLP
from recmtl.run import Run

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks" / "studies").glob("*.py")])
OURS = {"recmtl", "flows", "benchmarks"}
EXTRA = {"kuairand_lightgbm": "lightgbm"}  # what only `bench` installs

Called = Callable[..., object]
Names = Mapping[str, object]


def imported(tree: ast.AST) -> dict[str, object]:
    """What functions import of ours, by name."""
    return {
        alias.asname or alias.name: getattr(import_module(node.module), alias.name)
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
        if node.module.split(".")[0] in OURS for alias in node.names
    }


def calls(node: ast.AST, names: Names) -> Iterator[tuple[ast.Call, Called]]:
    """Calls of what is ours by names of the module: a function's own names stand for something else."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        own = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)} | {
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        names = {name: value for name, value in names.items() if name not in own}
    if isinstance(node, ast.Call):
        called = value_of(node.func, names)
        if callable(called) and str(getattr(called, "__module__", "")).split(".")[0] in OURS:
            yield node, called
    for child in ast.iter_child_nodes(node):
        yield from calls(child, names)


def value_of(node: ast.expr, names: Names) -> object:
    """What `name` or `name.more` stands for; None where only a run would tell."""
    if isinstance(node, ast.Attribute):
        owner = value_of(node.value, names)
        return getattr(owner, node.attr) if inspect.ismodule(owner) or inspect.isclass(owner) else None
    return names.get(node.id) if isinstance(node, ast.Name) else None


def refusal(call: ast.Call, called: Called) -> str | None:
    """What Python would say of the call's arguments; `*more` and `**more` may be anything."""
    plain = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    named = {keyword.arg: keyword for keyword in call.keywords if keyword.arg}
    signature = inspect.signature(called)
    whole = len(plain) == len(call.args) and len(named) == len(call.keywords)
    try:
        (signature.bind if whole else signature.bind_partial)(*plain, **named)
    except TypeError as error:
        return f"line {call.lineno}: {ast.unparse(call)}: {error}"
    return None


def refusals(source: str, names: Names) -> list[str]:
    tree = ast.parse(source)
    found = [refusal(*pair) for pair in calls(tree, {**names, **imported(tree)})]
    return [said for said in found if said]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_benchmark_calls_what_there_is(file: Path) -> None:
    if file.stem in EXTRA:
        pytest.importorskip(EXTRA[file.stem])
    module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    assert refusals(file.read_text(), vars(module)) == []


@pytest.mark.parametrize("source, said", [
    ("Run(1, 2, 3)", "missing a required argument: 'folder'"),
    ("def f(x): return [parameters(x, 1) for _ in x]", "too many positional arguments"),
    ("def f():\n    from recmtl.seed import stream\n    stream(1, purpose=2)", "unexpected keyword"),
    ("Run(*more, seed=1, salt=2)", "unexpected keyword argument 'salt'"),
])
def test_a_call_that_does_not_fit_is_found(source: str, said: str) -> None:
    (found,) = refusals(source, {"Run": Run, "parameters": parameters})
    assert said in found


@pytest.mark.parametrize("source", [
    "Run(1, 2, seed=3, folder=4)", "Run(*four)", "Run(1, **more)", "def f(Run): return Run()",
    "def f():\n    Run = print\n    Run()", "other(1, 2)", "parameters(1).more(2)",
])
def test_a_call_that_fits_or_is_of_something_else_is_let_be(source: str) -> None:
    assert refusals(source, {"Run": Run, "parameters": parameters}) == []


@pytest.mark.parametrize("slow", [True, False])
def test_products_are_counted_whoever_makes_them(slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 rows of 7 numbers through a layer of 5: forward, the weight's gradient, the input's."""
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: slow)
    network, x = MLP(7, [5]), torch.ones(40, 7, requires_grad=True)
    counted = counting(lambda: network(x).sum().backward())
    assert counted.seen == {(40, 7, 5): 1, (5, 40, 7): 1, (40, 5, 7): 1}
