"""DuckDB and Spark give the same tables, row by row: on logs of everything, in every run of the tests.

`make test-spark` does so on the logs of all tests.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recmtl.data import encoder
from recmtl.data.contract import check
from recmtl.data.duck import connect
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.data.split import part_of
from recmtl.errors import RecmtlError
from recmtl.progress import SILENT
from recmtl.schema import FilesSplit, Problem
from tests.data import made_log, mixed_logs
from tests.data.events import made_events
from tests.engines.application import application, need
from tests.engines.beside import beside
from tests.engines.twins import Twins

pytestmark = pytest.mark.duckdb(reason="sets both engines side by side itself")


@pytest.fixture(scope="module", autouse=True)
def spark() -> Iterator[None]:
    need()
    with application():
        yield


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    twins = Twins()
    yield twins
    twins.close()


@pytest.fixture(
    scope="module", params=[mixed_logs.events, mixed_logs.columns], ids=["events", "columns"]
)
def log(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, twins: Twins
) -> tuple[Problem, Examples]:
    """A problem and its examples, made by Spark and equal to DuckDB's."""
    make: Callable[[Path], Problem] = request.param
    root = tmp_path_factory.mktemp("a b+c%20")  # signs that a URL would write otherwise
    problem = make(root)
    beside(ingest, twins)(problem, root / "examples")
    return problem, Examples.open(root / "examples")


def test_examples(log: tuple[Problem, Examples]) -> None:
    _, examples = log
    assert sum(day["rows"] for day in examples.manifest["days"].values()) > 100
    assert len(examples.days) > 2
    groups = [pq.read_metadata(file).row_group(0) for file in examples.files()]
    assert {group.column(0).compression for group in groups} == {"LZ4"}


def test_rates_and_vocabularies_and_scales(log: tuple[Problem, Examples], twins: Twins) -> None:
    problem, examples = log
    beside(write_rates, twins)(problem, examples, examples.folder.with_name("rates"))
    fitted = beside(encoder.fit, twins)(problem, examples, 4, SILENT)
    assert fitted.vocabularies and fitted.scales


def test_files_fall_in_the_same_parts() -> None:
    from recmtl.data.spark.connection import SparkConnection
    from recmtl.data.spark.session import open_session

    split = FilesSplit.model_validate({"files": {"train": "a", "test": "c", "valid_fraction": 0.5}})
    part = part_of(split, ["/a", "/b", "/c"])
    rows = "SELECT unnest([0, 0, 0, 0, 1, 2]) AS _file, unnest([0, 1, 2, 3, 4, 5]) AS _row"
    query = f"SELECT _file, _row, {part} AS part FROM ({rows}) AS examples ORDER BY _row"
    found = connect().execute(query).fetchall()
    assert {part for _, _, part in found} == {"train", "valid", "test", None}
    with closing(SparkConnection(open_session(), connect())) as spark:
        assert [tuple(row) for row in spark.execute(query).fetchall()] == found


def test_reports_on_the_contract(log: tuple[Problem, Examples], twins: Twins) -> None:
    problem, examples = log
    beside(write_rates, twins)(problem, examples, examples.folder.with_name("rates"))  # which it joins
    with suppress(RecmtlError):  # what it finds is compared, not heeded
        beside(check, twins)(problem, examples.folder, examples.folder.with_name("contract"))
    assert (examples.folder.with_name("contract") / "values.parquet").exists()


def test_another_engine_finds_the_examples_as_they_are(tmp_path: Path) -> None:
    made_log.write(tmp_path / "log.parquet", made_log.ROWS)
    first = ingest(made_log.problem(tmp_path), tmp_path / "out")
    state = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    assert ingest(made_log.problem(tmp_path, data={"engine": "spark"}), tmp_path / "out") == first
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == state


def test_bad_values_are_named_as_duckdb_names_them(tmp_path: Path, twins: Twins) -> None:
    rows = made_log.ROWS | {"click": [1, 2, 1, 3], "user": [1.0, 2.5, 1e300, float("inf")]}
    made_log.write(tmp_path / "log.parquet", rows)
    with pytest.raises(RecmtlError, match=r"click[^§]*'price' is no weight in 2 rows, null in row 1"):
        beside(ingest, twins)(made_log.problem(tmp_path, data={"weight": "price"}), tmp_path / "out")


@pytest.mark.parametrize(
    ("days", "says"),
    [([20220503.0, 20220501.0, 20220503.0, 20220502.0], ""),
     ([20220503.7, 20220501.0, float("nan"), 1e300], "'day' is no day in 3 rows[^§]*3.7 in row 0")],
)
def test_days_that_are_floats(tmp_path: Path, twins: Twins, days: list[float], says: str) -> None:
    made_log.write(tmp_path / "log.parquet", made_log.ROWS | {"day": days})
    with pytest.raises(RecmtlError, match=says) if says else nullcontext():
        made = beside(ingest, twins)(made_log.problem(tmp_path), tmp_path / "out")
        assert list(made["days"]) == ["2022-05-01", "2022-05-02", "2022-05-03"]


def test_times_of_another_unit_are_told_alike(tmp_path: Path, twins: Twins) -> None:
    made_events.write(tmp_path, click={"impression": [1], "t": [made_events.START * 1000]})
    made = made_events.problem(tmp_path, {"click": made_events.CLICK})
    found = beside(ingest, twins)(made, tmp_path / "out")
    assert any('unit = "ms" would make it' in warning for warning in found["warnings"])
    made_log.write(tmp_path / "log.parquet", {
        **made_events.IMPRESSIONS, "t": [made_events.START // 1000] * 3,
    })
    with pytest.raises(RecmtlError, match=r"impressions of 1970-01-21[^§]*t = 1767225 in row 0"):
        beside(ingest, twins)(made, tmp_path / "other")


def test_what_a_file_says_wins_over_its_folder(tmp_path: Path, twins: Twins) -> None:
    (tmp_path / "day=20200101").mkdir()
    made_log.write(tmp_path / "day=20200101" / "x.parquet", made_log.ROWS)
    problem = made_log.problem(tmp_path, data={"impressions": {"path": "day=*/*.parquet", "day": "day"}})
    assert "2022-05-03" in beside(ingest, twins)(problem, tmp_path / "out")["days"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    for name in ("log-1", "log-2"):
        many = {column: values * 500 for column, values in made_log.ROWS.items()}
        file = made_log.write(tmp_path / f"{name}.parquet", many)
    content = bytearray(file.read_bytes())
    content[4:40] = bytes(36)
    file.write_bytes(content)
    with pytest.raises(RecmtlError, match=r"log-2\.parquet"):
        ingest(made_log.problem(tmp_path, data={"engine": "spark"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
