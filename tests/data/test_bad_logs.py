"""Logs that cannot be used: each ends in an error that names its cause, and nothing is written."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.made_log import ROWS, problem, write

ROOT = Path(__file__).parent.parent.parent
USERS = {"path": "users.parquet", "on": "user"}
CATEGORICAL = {"kind": "categorical"}


def refusal(root: Path, **changes: Any) -> str:
    """The message of a refused ingest, which must leave no output."""
    if not (root / "log.parquet").exists():
        write(root / "log.parquet", ROWS)
    with pytest.raises(RecmtlError) as error:
        ingest(problem(root, **changes), root / "out")
    assert not list(root.glob("out")) + list(root.glob(".out.tmp"))
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"impressions": {"path": "no.parquet", "day": "day"}}}, ["no file", "no.parquet"]),
        ({"data": {"impressions": {"path": "no*.parquet", "day": "day"}}}, ["no file matches"]),
        ({"data": {"impressions": {"path": ".", "day": "day"}}}, ["is a folder", "*.parquet"]),
        ({"data": {"joins": [USERS]}}, ["no file", "users.parquet", "data.joins[0]"]),
        ({"labels": {"clicked": "clik = 1"}}, ["[labels] clicked", "did you mean 'click'"]),
        ({"features": {"pryce": {"kind": "numeric"}}}, ["features] pryce", "did you mean 'price'"]),
        ({"data": {"keys": ["usr"]}}, ["data.keys", "did you mean 'user'"]),
        ({"features": {"click": CATEGORICAL}}, ["input of the label 'clicked'", "read the answer"]),
        ({"data": {"outcomes": ["pri*"]}}, ["'price'", "an outcome"]),
        ({"features": {"z*": CATEGORICAL}}, ["matches no column"]),
        ({"labels": {"clicked": "click = 1", "price": "click"}}, ["[labels] price", "column"]),
        ({"labels": {"clicked": "click = 1", "User": "click = 1"}}, ["[labels] User", "column"]),
        ({"labels": {"clicked": "click = 1", "dt": "click = 1"}}, ["[labels] dt", "reserve"]),
        ({"labels": {"clicked": "item and click"}}, ["item", "VARCHAR", "compare it"]),
        ({"labels": {"clicked": "item = 1"}}, ["item", "VARCHAR", "with the number '1'"]),
        ({"labels": {"clicked": "click = 'yes'"}}, ["click", "with the string 'yes'", "a number"]),
        ({"labels": {"clicked": "item"}}, ["item", "VARCHAR", "a number"]),
        ({"features": {"item": {"kind": "numeric"}}}, ["item", "VARCHAR", "a number"]),
        ({"features": {"item": {"kind": "bag"}}}, ["item", "separator"]),
        ({"features": {"price": CATEGORICAL}}, ["'price'", "not a whole number", "e.g. 1.5"]),
        ({"data": {"weight": "price"}}, ["is no weight in 2 rows", "null in row 1"]),
        ({"data": {"memory_limit": "lots"}}, ["memory_limit"]),
        ({"data": {"impressions": {"path": "log.parquet", "time": "price", "zone": "UTC"}}}, ["unit"]),
        ({"data": {"impressions": {"path": "log.parquet", "time": "item", "zone": "UTC"}}},
         ["item", "a timestamp"]),
        ({"data": {"impressions": {"path": "log.parquet", "day": "user"}}}, ["is no day", "user"]),
        ({"data": {"impressions": {"path": "log.parquet", "day": "item"}}}, ["has no day in 1 rows"]),
        ({"data": {"impressions": {"path": "log.parquet", "day": "day", "where": "click = 7"}}},
         ["no rows to keep", "where"]),
        ({"data": {"impressions": {"path": "log.parquet", "day": "day", "where": "user"}}},
         ["neither 0 nor 1", "where"]),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    message = refusal(tmp_path, **changes)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("label", ["click and bought", "click"])
def test_labels_other_than_zero_and_one(tmp_path: Path, label: str) -> None:
    write(tmp_path / "log.parquet", ROWS)
    write(tmp_path / "log2.parquet", {**ROWS, "click": [1, 2, 3, 2]})
    message = refusal(tmp_path, labels={"clicked": label})
    for word in ("log2.parquet", "'click'", "in 3 rows", "e.g. 2", "[labels] clicked"):
        assert word in message


@pytest.mark.parametrize("literal", ["'x'", "20220501", "'20220501'"])
def test_times_compared_with_what_is_none(tmp_path: Path, literal: str) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "seen": [datetime(2022, 5, 1)] * 4})
    message = refusal(tmp_path, labels={"clicked": f"seen > {literal}"})
    assert "[labels] clicked" in message and "'seen' has type TIMESTAMP" in message
    assert literal.strip("'") in message and "a string such as '2022-05-01'" in message


def test_another_type_in_one_file(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    write(tmp_path / "log2.parquet", {**ROWS, "price": ["1", "2", "3", "4"]})
    message = refusal(tmp_path)
    for word in ("log2.parquet", "log.parquet", "VARCHAR", "DOUBLE", "'price'"):
        assert word in message


def test_wider_integers_in_one_file_are_the_same_type(tmp_path: Path) -> None:
    write(tmp_path / "log1.parquet", {**ROWS, "click": pa.array([1, 0, 1, 1], pa.int8())})
    write(tmp_path / "log2.parquet", ROWS)
    assert ingest(problem(tmp_path), tmp_path / "out")["days"]["2022-05-03"]["rows"] == 4


def test_column_missing_in_one_file(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    write(tmp_path / "log2.parquet", {n: c for n, c in ROWS.items() if n != "price"})
    message = refusal(tmp_path)
    assert "log2.parquet: no column 'price'" in message


@pytest.mark.parametrize("content", [b"", b"PAR1 not a table PAR1", None])
def test_unreadable_and_truncated_files(tmp_path: Path, content: bytes | None) -> None:
    log = write(tmp_path / "log.parquet", ROWS)
    (tmp_path / "log2.parquet").write_bytes(log.read_bytes()[:-40] if content is None else content)
    assert "log2.parquet" in refusal(tmp_path)


def test_damage_inside_a_file(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    log = write(tmp_path / "log2.parquet", ROWS)
    content = log.read_bytes()
    log.write_bytes(content[:4] + b"\xff" * 200 + content[204:])
    assert "log2.parquet: is damaged" in refusal(tmp_path)


def test_a_key_twice_in_a_side_table(tmp_path: Path) -> None:
    write(tmp_path / "users.parquet", {"user": [1, 2, 2], "age": [1, 2, 3]})
    message = refusal(tmp_path, data={"joins": [USERS]})
    for word in ("users.parquet", "user = 2, 2 rows", "one row a user"):
        assert word in message


def test_a_key_of_another_type(tmp_path: Path) -> None:
    write(tmp_path / "users.parquet", {"user": ["1"], "age": [1]})
    message = refusal(tmp_path, data={"joins": [USERS]})
    assert "BIGINT in the log and VARCHAR in the side table" in message


def test_a_column_in_two_tables(tmp_path: Path) -> None:
    write(tmp_path / "users.parquet", {"user": [1], "price": [1]})
    assert "'price' is in" in refusal(tmp_path, data={"joins": [USERS]})


def test_ids_beyond_64_signed_bits(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "user": pa.array([1, 2, 3, 2**63], pa.uint64())})
    message = refusal(tmp_path)
    assert "'user' does not fit 64 signed bits in 1 rows" in message
    assert "9223372036854775808" in message


def test_null_and_absurd_times(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "t": [datetime(2022, 5, 3), None, None, None]})
    timed = {"path": "log.parquet", "time": "t", "zone": "UTC"}
    assert "'t' has no time in 3 rows" in refusal(tmp_path, data={"impressions": timed})
    write(tmp_path / "log.parquet", {**ROWS, "t": [1651507200] * 4})
    timed["unit"] = "ms"
    message = refusal(tmp_path, data={"impressions": timed})
    assert "1970" in message and "t = 1651507200 in row 0" in message
    assert 'unit = "s" would make it a time of 2022-05-02' in message
    write(tmp_path / "log.parquet", {**ROWS, "t": [1651507200000] * 4})
    message = refusal(tmp_path, data={"impressions": {**timed, "unit": "s"}})  # in the year 54305
    assert "'t' is no time in 4 rows" in message and "in the unit given" in message
    assert 'unit = "ms" would make it a time of 2022-05-02' in message
    write(tmp_path / "log.parquet", {**ROWS, "t": [1651507200] * 4})
    message = refusal(tmp_path, data={"impressions": {**timed, "unit": "ms"}})
    assert "days from 1990 to 2100" in message and "4 of them in" in message


def test_one_error_names_all_that_is_corrupt(tmp_path: Path) -> None:
    """A tenth of the rows of one of two files; `where` is the way to go on without them."""
    noon = 1651579200000
    sound = {"user": [1.0, 2.0] * 50, "t": [noon] * 100, "click": [0, 1] * 50, "price": [1.0] * 100}
    write(tmp_path / "log.parquet", sound)
    write(tmp_path / "log2.parquet", {
        "user": [1.0, 0.5, *[2.0] * 97, 1e300],
        "t": [noon, noon, None, *[noon] * 93, 10**18, 0, -(2**63), 1],
        "click": [2, *[0] * 89, *[7] * 10], "price": [float("inf"), *[1.0] * 99],
    })
    changes: dict[str, Any] = {
        "labels": {"clicked": "click"}, "features": {"user": CATEGORICAL, "price": {"kind": "numeric"}},
        "data": {"impressions": {
            "path": "log*.parquet", "time": "t", "unit": "ms", "zone": "UTC",
        }},
    }
    message = refusal(tmp_path, **changes)
    for words in (
        "5 checks find values that cannot be used", "log2.parquet", "where = ",
        "'click' is neither 0 nor 1 in 11 rows, e.g. 2 in row 0; not 0, 1 or null (read by [labels]",
        "'t' has no time in 1 rows, null in row 2",
        "'t' is no time in 2 rows, e.g. 1000000000000000000 in row 96",
        "'user' is not a whole number that a float holds (2^53) in 2 rows, e.g. 0.5 in row 1",
        "'price' is infinite in 1 rows, e.g. inf in row 0",
    ):
        assert words in message
    assert "log.parquet" not in message
    changes["data"]["impressions"]["where"] = (
        "click in (0, 1) and t > 1600000000000 and t < 1700000000000 and price < 1000 "
        "and user in (1, 2)"
    )
    made = ingest(problem(tmp_path, **changes), tmp_path / "out")
    assert sum(day["rows"] for day in made["days"].values()) == 100 + 87


def test_vectors_of_another_size(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "v": [[1.0], [1.0, 2.0], None, [1.0]]})
    message = refusal(tmp_path, features={"v": {"kind": "vector", "size": 1}})
    assert "'v' has not 1 numbers in 1 rows" in message


FULL = """
import resource, sys
from pathlib import Path
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.made_log import problem

root = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    ingest(problem(root), root / "out")
except RecmtlError as error:
    sys.exit(str(error))
"""


def test_a_full_disk(tmp_path: Path) -> None:
    many = {name: column * 3000 for name, column in ROWS.items()}
    write(tmp_path / "log.parquet", {**many, "price": [float(n) for n in range(12000)]})
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 1
    assert str(tmp_path / "out") in done.stderr
    assert "free space on the disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out")) + list(tmp_path.glob(".out.tmp"))


def test_an_infinite_number_to_predict(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "spent": [1.0, float("inf"), 2.0, 3.0]})
    message = refusal(
        tmp_path, labels={"clicked": "click = 1", "spent": "spent"},
        tasks={"value": {"label": "spent", "type": "regression", "given": "clicked"}},
    )
    assert "'spent' is infinite in 1 rows" in message and "[labels] spent" in message


@pytest.mark.parametrize("day", [20220503.7, float("inf"), float("nan"), 1e300, 202205031.0])
def test_a_float_that_is_no_day(tmp_path: Path, day: float) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "day": [20220503.0, 20220501.0, 20220503.0, day]})
    message = refusal(tmp_path)
    assert "'day' is no day in 1 rows" in message and "in row 3" in message


def test_whole_floats_are_days(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "day": [float(day) for day in ROWS["day"]]})
    assert ingest(problem(tmp_path), tmp_path / "out")["days"]["2022-05-03"]["rows"] == 2


def test_a_missing_column_is_told_from_those_most_like_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, labels={"clicked": "clik = 1"})
    assert "expected: a column 'clik'" in message and "found:    columns click, " in message
    message = refusal(tmp_path, data={"keys": ["usr"]})
    assert "expected: a column 'usr'" in message and "found:    columns user, " in message


def test_the_setting_that_reads_a_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "users.parquet", {"user": [1.0, 2.5], "age": [1, 2]})
    write(tmp_path / "log.parquet", {**ROWS, "user": [1.0, 2.0, 3.0, 1.0]})
    message = refusal(tmp_path, data={"joins": [USERS]})
    assert "(read by data.joins[0])" in message and 'where = "…" in data.joins[0]' in message
    write(tmp_path / "users.parquet", {"user": [1.0], "age": [1]})
    write(tmp_path / "log.parquet", {**ROWS, "user": [1.0, 2.5, 3.0, 1.0]})
    assert "(read by data.impressions)" in refusal(tmp_path, data={"joins": [USERS]})


def test_times_of_another_unit_beside_a_day_are_told(tmp_path: Path) -> None:
    """The day column is right, so that nothing stops; what compares times goes wrong."""
    write(tmp_path / "log.parquet", {**ROWS, "t": [1651507200] * 4})
    timed = {"path": "log.parquet", "time": "t", "unit": "ms", "day": "day"}
    warnings = ingest(problem(tmp_path, data={"impressions": timed}), tmp_path / "out")["warnings"]
    (said,) = [warning for warning in warnings if "would make it" in warning]
    assert said.startswith("data.impressions: the column 't' is no time from 1990 to 2100")
    assert said.endswith('unit = "s" would make it a time of 2022-05-02')
