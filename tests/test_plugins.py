"""Parts from packages that are installed beside recmtl: named in a file, trained, scored, refused."""

import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import load_file, save_file

from recmtl import pipeline
from recmtl.bundle import Bundle
from recmtl.data.encoder import Encoder
from recmtl.data.shards import Shards
from recmtl.describe import describe
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.learn.metrics import task_metrics
from recmtl.model.relation import Relation
from recmtl.run import load_scores
from recmtl.schema import Feature, Task
from recmtl.schema.metrics import Metric
from recmtl.suite import CHECKS
from recmtl.suite.checks import kinds
from recmtl.tracking.journal import _final_metrics
from recmtl.tracking.pyfunc import requirements
from tests import tiny_shop

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
OPTIONS = pipeline.Options(device="cpu", track=False)
Install = Callable[[str, Mapping[str, str], Mapping[str, Mapping[str, str]]], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """(NAME==VERSION, file → content, group → name → value) → the folder that is now on the path."""
    before = {*sys.modules}

    def installed(
        package: str, files: Mapping[str, str], points: Mapping[str, Mapping[str, str]]
    ) -> Path:
        folder = tmp_path / f"site {package}"
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
        name, _, version = package.partition("==")
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())
            for group, own in points.items()
        ))
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield installed
    for name in {*sys.modules} - before:
        if name.partition(".")[0].startswith("shop_"):
            del sys.modules[name]


def blocks(kind: str) -> list[str]:
    """The page's pieces of code, in their order."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def page_package(install: Install) -> Path:
    """The package of the page, as it stands there."""
    project = tomllib.loads(blocks("toml")[0])["project"]
    options, network, _ = blocks("python")
    files = {"shop_parts/__init__.py": options, "shop_parts/network.py": network}
    return install(f"{project['name']}=={project['version']}", files, project["entry-points"])


def page_config(finished: Path, folder: Path, monitor: str = "auc_valid/ctcvr") -> Path:
    """The tiny shop's file with the page's model and metrics in place of its own."""
    problem = (finished / "shop.toml").read_text().partition("[models.esmm]")[0]
    own = blocks("toml")[1].replace("auc_valid/ctcvr", monitor)
    file = folder / "shop.toml"
    file.write_text(f"{problem}{own}epochs = 2\nbatch_size = 256\n")
    return file


def shop(finished: Path, **changes: Any) -> dict[str, Any]:
    content = tomllib.loads((finished / "shop.toml").read_text())
    return {**content, **changes}


def sharing(**options: object) -> dict[str, Any]:
    return {"models": {"a": {"sharing": options, "loss": {"ctr": 1.0, "ctcvr": 1.0}}}}


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    for step in ("examples", "contract", "encoder", "shards"):
        (folder / step).symlink_to(finished / "out" / step)
    return folder


def test_the_page_s_package_trains_evaluates_and_scores(
    finished: Path, tmp_path: Path, out: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, config = page_package(install), page_config(finished, tmp_path, "brier_valid/ctcvr")
    (folder,) = pipeline.train(config, out, OPTIONS)
    report = pipeline.evaluate(config, out, OPTIONS)
    valid, scores = Shards.open(out / "shards" / "valid"), load_scores(folder, "valid")
    brier = {
        task: float(np.mean((np.asarray(valid.labels(label), dtype=np.float64) - scores[task]) ** 2))
        for task, label in (("ctr", "click"), ("ctcvr", "bought"))
    }
    epochs = read_manifest(folder)["epochs"]
    best = min(epochs, key=lambda epoch: epoch["metrics"]["brier_valid/ctcvr"])
    assert [e["best"] for e in epochs] == [e["number"] <= best["number"] for e in epochs]
    lines = {line["task"]: line for line in report["models"] if line["part"] == "valid"}
    for task, value in brier.items():
        assert best["metrics"][f"brier_valid/{task}"] == pytest.approx(value, abs=1e-6)
        assert lines[task]["brier"] == pytest.approx(value, abs=1e-6)
    assert "<th class=\"n\">brier</th>" in (out / "evaluation" / "report.html").read_text()
    assert ">residual networks<" in (folder / "model.svg").read_text()
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    before = Bundle.load(folder / "bundle").score(rows)
    # where the package is not, the bundle says which it wants; in another version it is tried
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(site)])
    with pytest.raises(RecmtlError, match=r"expected: shop-parts 1\.2\.0 \(its sharings 'residual'\)"):
        Bundle.load(folder / "bundle")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path, "another"])
    after = Bundle.load(folder / "bundle").score(rows)
    assert all(np.array_equal(before[task], after[task]) for task in ("ctr", "ctcvr"))


def test_a_bundle_names_what_its_file_needs_and_others_name_nothing(
    finished: Path, tmp_path: Path, out: Path, install: Install
) -> None:
    page_package(install)
    (folder,) = pipeline.train(page_config(finished, tmp_path), out, OPTIONS)
    found = json.loads((folder / "bundle" / "experiment.json").read_text())["packages"]
    assert sorted((p["group"], p["kind"], p["package"], p["version"]) for p in found) == [
        ("recmtl.losses", "hinge", "shop-parts", "1.2.0"),
        ("recmtl.metrics", "brier", "shop-parts", "1.2.0"),
        ("recmtl.sharings", "residual", "shop-parts", "1.2.0"),
    ]
    plain = json.loads((finished / "out/models/mmoe/seed-1/bundle/experiment.json").read_text())
    assert "packages" not in plain
    assert "shop-parts==1.2.0" in requirements(folder / "bundle")
    assert "package   shop-parts 1.2.0 (its sharings 'residual')" in describe(tmp_path / "shop.toml")
    # another version than the one at hand: said where the golden rows tell a difference
    bundle = folder / "bundle"
    text = (bundle / "experiment.json").read_text()
    (bundle / "experiment.json").write_text(text.replace('"1.2.0"', '"1.1.0"'))
    Bundle.load(bundle)
    weights = load_file(bundle / "weights.safetensors")
    name = next(name for name in weights if name.endswith("head.bias"))
    save_file({**weights, name: weights[name] + 1}, bundle / "weights.safetensors")
    with pytest.raises(RecmtlError, match=r"shop-parts 1\.1\.0 \(its sharings 'residual'\) is 1\.2\.0"):
        Bundle.load(bundle)


def test_the_page_s_tests_hold_its_parts_to_the_contract(tmp_path: Path, install: Install) -> None:
    page_package(install)
    file = tmp_path / "tests_of_the_page.py"
    file.write_text(blocks("python")[2])
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    walked = {mark.args[0]: mark.args[1] for mark in page.test_residual.pytestmark}
    relations = {config.relation.kind: config for config in walked["config"]}
    assert relations.keys() == set(kinds(Relation)) and walked["check"] == CHECKS
    assert {config.sharing.kind for config in walked["config"]} == {"residual"}
    for kind in ("independent", "escm2"):
        for check in walked["check"]:
            page.test_residual(check, relations[kind])
    (mark,) = page.test_hinge.pytestmark
    for check in mark.args[1]:
        page.test_hinge(check)


def test_a_file_that_names_a_part_reads_as_it_was_written(
    finished: Path, tmp_path: Path, install: Install
) -> None:
    page_package(install)
    first = Experiment.read(page_config(finished, tmp_path))
    content = json.loads(first.model_dump_json())
    assert content["models"]["residual"]["sharing"] == {
        "hidden": [32, 16], "dropout": 0.0, "kind": "residual", "own": 16,
    }
    second = Experiment.parse(content, finished)
    assert second.models == first.models and second.digest == first.digest
    assert "shop_parts.network" not in sys.modules  # reading a file needs the options alone


BASE = "from typing import Literal\nfrom recmtl.model.sharing.options import SharingConfig\n"
GOOD = BASE + """
class Sum(SharingConfig):
    kind: Literal["sum"] = "sum"
    of: int = 3
    def build(self, columns, tasks): ...
"""
SUM = {"recmtl.sharings": {"sum": "shop_sum:Sum"}}
POINT = r"the package shop-sum 0\.3 \(recmtl\.sharings: sum = shop_sum:Sum\)"
WRONG = {
    "import": ("import nothing_of_this_name\n", "cannot be imported: ModuleNotFoundError: No module"),
    "no class": (BASE + "Sum = 3\n", "is no class derived from recmtl.model.sharing.options."),
    "base": ("class Sum:\n    kind = 'sum'\n", "is no class derived from recmtl.model.sharing"),
    "missing": (BASE, "cannot be imported: AttributeError: module 'shop_sum' has no attribute 'Sum'"),
    "abstract": (BASE + "class Sum(SharingConfig):\n    kind: Literal['sum'] = 'sum'\n", "lacks build"),
    "kind": (GOOD.replace('"sum"', '"total"'), 'has another kind; write kind: Literal["sum"] = "sum"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_package_that_does_not_keep_the_contract_is_named(
    finished: Path, install: Install, name: str
) -> None:
    code, said = WRONG[name]
    install("shop-sum==0.3", {"shop_sum.py": code}, SUM)
    with pytest.raises(RecmtlError, match=rf"models\.a\.sharing: {POINT}: {re.escape(said)}"):
        Experiment.parse(shop(finished, **sharing(kind="sum")), finished)
    Experiment.parse(shop(finished), finished)  # a file that does not name it is not hurt


def test_names_that_are_taken_are_refused(finished: Path, install: Install) -> None:
    install("shop-sum==0.3", {"shop_sum.py": GOOD}, SUM)
    Experiment.parse(shop(finished, **sharing(kind="sum")), finished)
    install("shop-twin==1", {}, {"recmtl.sharings": {"sum": "shop_sum:Sum", "mmoe": "shop_sum:Sum"},
                                 "recmtl.metrics": {"auc": "shop_sum:Sum"}})
    with pytest.raises(RecmtlError, match=rf"shop-twin 1 .* and {POINT} have one name; uninstall one"):
        Experiment.parse(shop(finished, **sharing(kind="sum")), finished)
    with pytest.raises(RecmtlError, match=r"shop-twin 1 \(.*mmoe = .*the name 'mmoe' is recmtl's own"):
        Experiment.parse(shop(finished), finished)
    train = {**shop(finished)["train"], "metrics": [{"kind": "auc"}]}
    content = shop(finished, **sharing(kind="separate"), train=train)
    with pytest.raises(RecmtlError, match=r"train\.metrics\.0: .* the name 'auc' is recmtl's own"):
        Experiment.parse(content, finished)


@pytest.mark.parametrize(("options", "said"), [
    ({"kind": "sum", "off": 1}, r"models\.a\.sharing: off: unknown key; did you mean 'of'\?"),
    ({"kind": "sum", "of": "x"}, r"models\.a\.sharing\.of: Input should be a valid integer"),
    ({"kind": "summ"}, r"models\.a\.sharing: no kind 'summ'; did you mean 'sum'\?"),
    ({"kind": "mmo"}, r"models\.a\.sharing: no kind 'mmo'; did you mean 'mmoe'\?"),
])
def test_wrong_options_are_refused_with_the_key(
    finished: Path, install: Install, options: Mapping[str, object], said: str
) -> None:
    install("shop-sum==0.3", {"shop_sum.py": GOOD}, SUM)
    with pytest.raises(RecmtlError, match=said):
        Experiment.parse(shop(finished, **sharing(**options)), finished)


REST = """
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from recmtl.batch import Related
from recmtl.model.relation import RelationConfig
from recmtl.schema import Computed
from recmtl.schema.metrics import MetricConfig


class Shift(RelationConfig):
    kind: Literal["shift"] = "shift"

    def build(self, inputs, tasks):
        from recmtl.model.relation.module import RelationModule

        class Shifted(RelationModule):
            def relate(self, raw, views, batch):
                return Related({task: z + 0.5 for task, z in raw.items()})

        return Shifted(inputs)


class Cycle(Computed):
    kind: Literal["cycle"] = "cycle"
    period: float = Field(gt=0.0)
    size: ClassVar[int] = 2

    def compute(self, columns):
        (x,) = columns.values()
        angle = 2 * np.pi * np.nan_to_num(x) / self.period
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)


class Wild(Computed):
    kind: Literal["wild"] = "wild"
    size: ClassVar[int] = 1

    def compute(self, columns):
        return np.nan * next(iter(columns.values()))[:, None]


class Broken(MetricConfig):
    kind: Literal["broken"] = "broken"
    fails: bool = False

    def measure(self, label, score):
        return 1 / 0 if self.fails else float("nan")
"""
RESTS = {
    "recmtl.relations": {"shift": "shop_rest:Shift"},
    "recmtl.features": {"cycle": "shop_rest:Cycle", "wild": "shop_rest:Wild"},
    "recmtl.metrics": {"broken": "shop_rest:Broken"},
}


def test_a_relation_and_a_kind_of_feature_go_from_log_to_scores(
    tmp_path: Path, install: Install
) -> None:
    install("shop-rest==1.0", {"shop_rest.py": REST}, RESTS)
    config = tiny_shop.write(tmp_path / "shop")
    text = config.read_text().replace('kind = "product"', 'kind = "shift"')
    season = 'season = { kind = "cycle", of = ["price"], period = 50.0 }'
    text = text.replace("[tasks]", f"{season}\n\n[tasks]")
    config.write_text(text.replace('monitor    =', 'metrics = [{ kind = "broken" }]\nmonitor    ='))
    out = tmp_path / "out"
    options = pipeline.Options(device="cpu", track=False, models=["esmm"])
    for step in (pipeline.ingest, pipeline.encode):
        step(config, out, options)
    rows = pq.read_table(out / "examples/dt=2024-01-04")
    encoder = Encoder.load(out / "encoder")
    place = [name for name, size in encoder.layout.dense.items() for _ in range(size)].index("season")
    angle = 2 * np.pi * rows["price"].to_numpy() / 50.0
    found = encoder.encode(rows).dense[:, place : place + 2]
    np.testing.assert_allclose(found, np.stack([np.sin(angle), np.cos(angle)], 1), atol=1e-6)
    (folder,) = pipeline.train(config, out, options)
    metrics = read_manifest(folder)["epochs"][0]["metrics"]
    assert not [name for name in metrics if name.startswith("broken")]  # undefined is absent
    raw = pd.read_parquet(tmp_path / "shop" / "log" / "2024-01-03.parquet")
    raw.to_parquet(tmp_path / "new.parquet")
    pipeline.score(str(folder), str(tmp_path / "new.parquet"), tmp_path / "scores", options)
    (file,) = (tmp_path / "scores").rglob("*.parquet")
    assert len(pq.read_table(file)) == len(raw)
    assert ">shifted<" in (folder / "model.svg").read_text()


@pytest.mark.parametrize(("kind", "said"), [
    ("auc", "'auc' is recmtl's own, and there without being named"),
    ("brier", r"no kind 'brier'; did you mean 'broken'\?"),
])
def test_a_metric_of_no_package_is_refused(
    finished: Path, install: Install, kind: str, said: str
) -> None:
    install("shop-rest==1.0", {"shop_rest.py": REST}, RESTS)
    train = {**shop(finished)["train"], "metrics": [{"kind": kind}]}
    with pytest.raises(RecmtlError, match=rf"train\.metrics\.0: {said}"):
        Experiment.parse(shop(finished, train=train), finished)
    twice = [{"kind": "broken"}] * 2
    for metrics, wrong in (([{}], r"train\.metrics\.0"), (twice, "stands there twice")):
        train = {**shop(finished)["train"], "metrics": metrics}
        with pytest.raises(RecmtlError, match=wrong):
            Experiment.parse(shop(finished, train=train), finished)


def test_what_a_plug_in_computes_is_checked(finished: Path, install: Install) -> None:
    install("shop-rest==1.0", {"shop_rest.py": REST}, RESTS)
    wild = TypeAdapter(Feature).validate_python({"kind": "wild", "of": ["price"]})
    encoder = Encoder.load(finished / "out" / "encoder")
    layout = replace(encoder.layout, dense={"price": 1})
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    fitted = replace(encoder.fitted, features={**encoder.fitted.features, "price": wild}, layout=layout)
    with pytest.raises(RecmtlError, match=r"\[features\] price, a plug-in's 'wild': .*\n.*\(400, 1\)\n"
                       r".*\(400, 1\), 400 of them not finite"):
        Encoder(fitted).encode(rows)


def test_an_undefined_metric_is_absent_and_one_that_fails_is_named(install: Install) -> None:
    install("shop-rest==1.0", {"shop_rest.py": REST}, RESTS)
    adapter: TypeAdapter[Any] = TypeAdapter(Metric)
    label, score = np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.25])
    tasks, metric = {"ctr": Task(label="click")}, adapter.validate_python({"kind": "broken"})
    found = task_metrics(tasks, {"click": label}, {"ctr": score}, "valid", [metric])
    assert "auc_valid/ctr" in found and "broken_valid/ctr" not in found
    failing = adapter.validate_python({"kind": "broken", "fails": True})
    with pytest.raises(RecmtlError, match=r"plug-in's metric 'broken': ZeroDivisionError"):
        task_metrics(tasks, {"click": label}, {"ctr": score}, "valid", [failing])
    assert _final_metrics([{"part": "test", "task": "ctr", "broken": 0.25}], ["broken"]) == {
        "broken_test/ctr": 0.25
    }
