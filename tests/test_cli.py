"""The command line as a shell sees it: what it prints, and how it ends on bad input."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recmtl.describe import describe
from recmtl.errors import RecmtlError
from tests import tiny_shop

ROOT = Path(__file__).parent.parent
BUNDLE = Path("out/models/mmoe/seed-1/bundle")


def recmtl(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recmtl.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def refused(*arguments: str | Path) -> str:
    """The error of a call that must end with 2, without a traceback and without output."""
    done = recmtl(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    return done.stderr


def test_help_lists_every_command() -> None:
    text = recmtl("--help").stdout
    commands = ("check", "ingest", "encode", "train", "evaluate", "promote", "score", "replay", "demo")
    assert [name for name in commands if f" {name} " not in text] == []


def test_check_says_what_was_understood(finished: Path) -> None:
    done = recmtl("check", finished / "shop.toml")
    assert done.returncode == 0
    for part in ("shop", "users.parquet on user", "click = clicked", "mmoe", "ctcvr", "history"):
        assert part in done.stdout


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "gone.toml: cannot be read" in refused("check", tmp_path / "gone.toml")


def test_a_wrong_key_is_named_with_the_nearest_right_one(finished: Path, tmp_path: Path) -> None:
    text = (finished / "shop.toml").read_text().replace("batch_size", "batchsize")
    (tmp_path / "wrong.toml").write_text(text)
    message = refused("ingest", tmp_path / "wrong.toml", "--out", tmp_path / "out")
    assert "wrong.toml" in message and "train.batchsize" in message and "'batch_size'" in message
    assert not (tmp_path / "out").exists()


def test_as_of_needs_times(finished: Path, tmp_path: Path) -> None:
    asked = ("--as-of", "2024-01-03", "--out", tmp_path / "out")
    message = refused("ingest", finished / "shop.toml", *asked)
    assert "as_of needs impressions.time" in message


def test_a_backfill_says_what_it_wrote_and_what_is_left(finished: Path, tmp_path: Path) -> None:
    asked = ("ingest", finished / "shop.toml", "--out", tmp_path / "out", "--to")
    done = recmtl(*asked, "2024-01-03")
    assert done.returncode == 0, done.stderr
    assert "2024-01-03  " in done.stderr and "rows written: new" in done.stderr
    assert "examples: 3 days written, 0 as they were, 1 stale" in done.stderr
    assert "warning: 1 days are not as the logs" in done.stderr
    assert "--from, --to: is no day" in refused(*asked, "tomorrow")


def test_a_missing_log_is_named(finished: Path, tmp_path: Path) -> None:
    text = (finished / "shop.toml").read_text().replace("/log/*.parquet", "/lag/*.parquet")
    (tmp_path / "wrong.toml").write_text(text)
    message = refused("ingest", tmp_path / "wrong.toml", "--out", tmp_path / "out")
    assert "data.impressions" in message and "lag" in message


def test_training_before_encoding_says_what_is_missing(finished: Path, tmp_path: Path) -> None:
    message = refused("train", finished / "shop.toml", "--out", tmp_path, "--no-track")
    assert "no finished folder here" in message and "shards" in message


def test_an_unknown_model_is_named_with_the_nearest(finished: Path) -> None:
    message = refused(
        "train", finished / "shop.toml", "--out", finished / "out", "--model", "mmeo", "--no-track"
    )
    assert "'mmeo'" in message and "did you mean 'mmoe'?" in message


def test_scoring_with_a_missing_model_is_refused(finished: Path, tmp_path: Path) -> None:
    message = refused("score", tmp_path / "nobody", finished / "log", tmp_path / "out")
    assert "nobody" in message and "no finished folder here" in message


@pytest.mark.parametrize("content", [b"", b"user,item\n1,2\n", b"PAR1" + bytes(500) + b"PAR1"])
def test_scoring_what_is_no_parquet_is_refused(
    finished: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.parquet").write_bytes(content)
    message = refused("score", finished / BUNDLE, tmp_path / "bad.parquet", tmp_path / "out")
    assert "bad.parquet: cannot be read as Parquet" in message
    assert not (tmp_path / "out").exists()


def test_scoring_nothing_is_refused(finished: Path, tmp_path: Path) -> None:
    message = refused("score", finished / BUNDLE, tmp_path / "*.parquet", tmp_path / "out")
    assert "no Parquet file here" in message


def test_scoring_prints_the_folder(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    done = recmtl("score", finished / BUNDLE, finished / "log", out)
    assert (done.returncode, done.stdout.strip()) == (0, str(out))
    assert len(list(out.glob("*.parquet"))) == 4


def test_a_runs_folder_is_scored_with_and_one_above_says_what_to_give(
    finished: Path, tmp_path: Path
) -> None:
    run, out = finished / BUNDLE.parent, tmp_path / "scores"
    done = recmtl("score", run, finished / "log", out)
    assert (done.returncode, done.stdout.strip()) == (0, str(out)), done.stderr
    for above in (run.parent, finished / "out"):
        message = refused("score", above, finished / "log", tmp_path / "other")
        assert "give its bundle folder" in message and "seed-1/bundle" in message


def test_side_tables_are_found_below_the_root_that_is_given(finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "bundle"
    shutil.copytree(finished / BUNDLE, moved)
    text = (moved / "experiment.json").read_text()
    (moved / "experiment.json").write_text(text.replace(f"{finished}/users.parquet", "users.parquet"))
    asked = ("score", moved, finished / "log", tmp_path / "scores")
    assert "--root FOLDER" in refused(*asked)
    assert "is no folder" in refused(*asked, "--root", tmp_path / "gone")
    done = recmtl(*asked, "--root", finished)
    assert done.returncode == 0, done.stderr


def test_an_empty_feature_is_a_warning_that_is_seen(tmp_path: Path) -> None:
    frame = tiny_shop.log(400).assign(price=None, tags=None, recent=None, image=None)
    config = tiny_shop.write(tmp_path, frame)
    ingested = recmtl("ingest", config, "--out", tmp_path / "out")
    assert ingested.returncode == 0, ingested.stderr
    encoded = recmtl("encode", config, "--out", tmp_path / "out")
    assert encoded.returncode == 0, encoded.stderr
    for name in ("price", "tags", "recent", "image"):
        assert f"warning: the column {name!r} has no value in any row" in ingested.stderr
        assert f"warning: features.{name}: no row of train has a value" in encoded.stderr


@pytest.mark.parametrize("feature", ["click", "clicked", "bought", "seconds"])
def test_check_refuses_a_leak_that_the_file_gives_away(
    finished: Path, tmp_path: Path, feature: str
) -> None:
    text, leaking = (finished / "shop.toml").read_text(), tmp_path / "leak.toml"
    line = f'{feature} = {{ kind = "categorical" }}'
    leaking.write_text(text.replace("[features]\n", f"[features]\n{line}\n"))
    with pytest.raises(RecmtlError, match="the model would read the answer"):
        describe(leaking)
