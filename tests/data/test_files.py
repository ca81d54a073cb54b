"""Where a log's files lie: globs, folders of partitions, and an object store behind a local server."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data.candidates import Candidates, Source
from recmtl.data.duck import connect
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.increments.known import Listing
from recmtl.data.ingest import ingest
from recmtl.data.logs.files import content_digest, find, look
from recmtl.data.logs.table import naming_damage, open_table
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data import daily_logs
from tests.data.made_log import ROWS, problem, rows, write

PLAIN = {name: column for name, column in ROWS.items() if name != "day"}
SECRET = "no-log-may-show-this"


def parted(root: Path, **impressions: Any) -> Problem:
    return problem(root, data={"impressions": {"path": "log", "day": "dt", **impressions}})


def put(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, columns)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for day in ("2022-05-01", "2022-05-03", "2022-05-02"):
        put(tmp_path / "log" / f"dt={day}" / "country=de" / "part.parquet", PLAIN)
    put(tmp_path / "log" / "dt=2022-05-03" / "_temporary" / "part.parquet", {"junk": [1]})
    put(tmp_path / "log" / "dt=2022-05-03" / ".part.parquet", {"junk": [1]})
    (tmp_path / "log" / "_SUCCESS").touch()
    return tmp_path


@pytest.mark.parametrize(
    "path", ["log", "log/dt=*/*/*.parquet", "log/**/*.parquet", "**/part.parquet"]
)
def test_the_folders_of_a_day_give_the_day(folders: Path, path: str) -> None:
    manifest = ingest(parted(folders, path=path), folders / "out")
    assert {day: found["rows"] for day, found in manifest["days"].items()} == dict.fromkeys(
        ("2022-05-01", "2022-05-02", "2022-05-03"), 4
    )


def test_folders_give_columns_like_files_do(tmp_path: Path) -> None:
    for country in ("de", "A%26B c", "__HIVE_DEFAULT_PARTITION__"):
        put(tmp_path / "log" / "dt=20220503" / f"country={country}" / "x.parquet", PLAIN)
    features = {"country": {"kind": "categorical"}}
    one = problem(tmp_path, features=features, data={
        "impressions": {"path": "log", "day": "dt", "where": "country = 'de' or country is null"},
    })
    ingest(one, tmp_path / "out")
    assert set(rows(tmp_path / "out", "country")) == {("de",), (None,)}
    one = problem(tmp_path, features=features, data={"impressions": {"path": "log", "day": "dt"}})
    ingest(one, tmp_path / "out")
    assert set(rows(tmp_path / "out", "country")) == {("A&B c",), ("de",), (None,)}


def test_what_a_file_says_wins_over_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "log" / "day=20200101" / "x.parquet", ROWS)
    manifest = ingest(problem(tmp_path, data={"impressions": {"path": "log", "day": "day"}}),
                      tmp_path / "out")
    assert list(manifest["days"]) == ["2022-05-01", "2022-05-02", "2022-05-03"]


def test_files_outside_the_folders_lack_their_column(tmp_path: Path) -> None:
    put(tmp_path / "log" / "dt=20200101" / "x.parquet", PLAIN)
    put(tmp_path / "log" / "y.parquet", PLAIN)
    with pytest.raises(RecmtlError, match=r"y.parquet: no column 'dt', which other files"):
        ingest(parted(tmp_path, path="log/**/*.parquet"), tmp_path / "out")


def test_hidden_files_that_are_named_are_meant(tmp_path: Path) -> None:
    put(tmp_path / "_log" / ".a.parquet", ROWS)
    put(tmp_path / "_log" / "_b.parquet", ROWS)
    one = problem(tmp_path)
    assert len(find(one, ["_log/.a.parquet", "_log/_*.parquet"], "data")) == 2
    with pytest.raises(RecmtlError, match="no file matches"):
        find(one, ["_log/*.parquet"], "data")


# An object store

of_duckdb = pytest.mark.duckdb(reason="Spark reads stores through packages of Hadoop, e.g. hadoop-aws")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    with warnings.catch_warnings():
        running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """An empty bucket of this test's own, called `log`."""
    from s3fs import S3FileSystem

    for name, value in {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "recmtl", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    made = S3FileSystem(use_listings_cache=False)
    if made.exists("log"):
        made.rm("log", recursive=True)
    made.mkdir("log")
    return made


def upload(store: Any, path: str, columns: dict[str, Any]) -> None:
    with store.open(path, "wb") as file:
        pq.write_table(pa.table(columns), file)


def remote(root: Path, **data: Any) -> Problem:
    return problem(root, data={"impressions": {"path": "s3://log/days/dt=*/*.parquet", "day": "dt"},
                               **data})


@of_duckdb
def test_a_log_and_its_side_table_in_a_store(
    store: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same examples as of the same files on the disk; scoring reads the side table there, too."""
    joins = [{"path": "s3://log/users.parquet", "on": "user"}]
    features = {"age": {"kind": "numeric"}, "user": {"kind": "categorical"}}
    users = {"user": [1, 2], "age": [30.0, None]}
    for day in ("2022-05-01", "2022-05-02", "2022-05-03"):
        upload(store, f"log/days/dt={day}/a.parquet", PLAIN)
        put(tmp_path / "days" / f"dt={day}" / "a.parquet", PLAIN)
    upload(store, "log/users.parquet", users)
    put(tmp_path / "users.parquet", users)
    made = problem(tmp_path, features=features, data={
        "impressions": {"path": "s3://log/days", "day": "dt"}, "joins": joins,
    })
    local = problem(tmp_path, features=features, data={
        "impressions": {"path": "days", "day": "dt"}, "joins": [{"path": "users.parquet", "on": "user"}],
    })
    with caplog.at_level("INFO"):
        manifest = ingest(made, tmp_path / "out")
    ingest(local, tmp_path / "local")
    assert rows(tmp_path / "out") == rows(tmp_path / "local")
    assert manifest["sources"][0]["path"] == "s3://log/days/dt=2022-05-01/a.parquet"
    text = (tmp_path / "out" / "manifest.json").read_text() + caplog.text
    assert SECRET not in text and os.environ["AWS_ENDPOINT_URL"] not in text
    encoder = Encoder.fit(made, Examples.open(tmp_path / "out"), 4)
    table = pa.table({"user": [1, 5]})
    ((_, scored),) = Candidates(made, encoder, rooted=False).read([Source("rows", table.schema, [table])])
    assert scored["age"].to_pylist() == [30.0, None]


@of_duckdb
def test_what_lies_there_as_before_is_not_read_again(store: Any, tmp_path: Path) -> None:
    for day in ("2022-05-02", "2022-05-03"):
        upload(store, f"log/days/dt={day}/a.parquet", PLAIN)
    first = ingest(remote(tmp_path), tmp_path / "out")
    stamp = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    assert ingest(remote(tmp_path), tmp_path / "out") == first
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == stamp
    upload(store, "log/days/dt=2022-05-03/a.parquet", {**PLAIN, "click": [0, 0, 1, 1]})
    upload(store, "log/days/dt=2022-05-04/a.parquet", PLAIN)
    later = ingest(remote(tmp_path), tmp_path / "out")
    assert [d["labels"]["clicked"]["positives"] for d in later["days"].values()] == [3, 2, 3]


@of_duckdb
def test_the_events_of_a_store(store: Any, tmp_path: Path) -> None:
    noon = datetime(2022, 5, 3, 12)
    upload(store, "log/views.parquet", {"id": [1, 2], "t": [noon, noon], "user": [1, 2]})
    upload(store, "log/clicks.parquet", {"id": [2], "t": [noon]})
    made = problem(
        tmp_path, labels={"clicked": "click"}, features={"user": {"kind": "categorical"}},
        data={
            "impressions": {"path": "s3://log/views.parquet", "id": "id", "time": "t", "zone": "UTC"},
            "events": {"click": {
                "path": "s3://log/clicks.parquet", "time": "t", "on": "id", "window": "1 hour",
            }},
        },
    )
    ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "id", "clicked") == [(1, 0), (2, 1)]


def test_states_and_digests_follow_the_content(store: Any, tmp_path: Path) -> None:
    path = "s3://log/a.bin"
    store.pipe("log/a.bin", b"one")
    before, digest = look([path]), content_digest(path)
    assert look([path]) == before and content_digest(path) == digest and before[path][0] == 3
    store.pipe("log/a.bin", b"two")
    assert look([path]) != before and content_digest(path) != digest
    store.rm("log/a.bin")
    with pytest.raises(RecmtlError, match=r"a\.bin: cannot be read"):
        look([path])
    with pytest.raises(RecmtlError, match=r"a\.bin: cannot be read"):
        content_digest(path)


def test_a_file_that_goes_while_it_is_read(store: Any, tmp_path: Path) -> None:
    """Each step that meets it first ends in an error about it."""
    path = "s3://log/a.parquet"
    upload(store, "log/a.parquet", ROWS)
    with closing(connect()) as db:
        open_table(db, "log", "data", (path,))
        store.rm("log/a.parquet")
        with pytest.raises(RecmtlError, match=r"a\.parquet: is damaged"), naming_damage(db, [path]):
            db.execute("SELECT count(user) FROM log").fetchall()
        with pytest.raises(RecmtlError, match=r"a\.parquet: cannot be read"):
            open_table(db, "log", "data", (path,))


@pytest.mark.parametrize("path", ["s3://log/no.parquet", "s3://nowhere/*.parquet", "s3://log/x/**"])
def test_nothing_in_the_store(store: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(RecmtlError, match="no file"):
        ingest(problem(tmp_path, data={"impressions": {"path": path, "day": "day"}}), tmp_path / "out")


def test_a_broken_file_in_the_store(store: Any, tmp_path: Path) -> None:
    store.pipe("log/log.parquet", b"PAR1 not a table PAR1")
    made = problem(tmp_path, data={"impressions": {"path": "s3://log/log.parquet", "day": "day"}})
    with pytest.raises(RecmtlError, match=r"s3://log/log.parquet: cannot be read as Parquet"):
        ingest(made, tmp_path / "out")


def test_no_one_answers(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RecmtlError) as error:
        find(problem(tmp_path), ["s3://log/x.parquet"], "data")
    assert "s3://log/x.parquet: cannot be reached" in str(error.value)
    assert "environment variables" in str(error.value) and SECRET not in str(error.value)


def test_a_store_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # not importable, installed or not
    with pytest.raises(RecmtlError) as error:
        find(problem(tmp_path), ["gs://log/x.parquet"], "data")
    assert "pip install 'recmtl[gs]'" in str(error.value)


@of_duckdb
def test_any_store_that_fsspec_knows(tmp_path: Path) -> None:
    """Its memory, as one without digests."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    with memory.open("/logs/dt=2022-05-03/a.parquet", "wb") as file:
        pq.write_table(pa.table(PLAIN), file)
    try:
        made = parted(tmp_path, path="memory://logs/**/*.parquet")
        assert ingest(made, tmp_path / "out")["days"]["2022-05-03"]["rows"] == 4
    finally:
        memory.rm("/logs", recursive=True)


@pytest.mark.duckdb(reason="a file comes in the middle of one run, and would lie there in the next")
def test_a_file_that_comes_while_files_are_opened_is_left_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is what was listed, and stands in the manifest."""
    out, made = daily_logs.three_days(tmp_path), daily_logs.problem(tmp_path)
    listed = Listing.make

    def make(of: Problem) -> Listing:
        found = listed(of)
        daily_logs.clicks(tmp_path, "late.parquet", [2])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Listing, "make", make)
        manifest = ingest(made, out)
    assert manifest["events"]["click"]["rows"] == 3
    assert ingest(made, out)["events"]["click"]["rows"] == 4
