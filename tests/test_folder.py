"""Folders are whole or not there: whatever stops the writer, whoever else is writing."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recmtl.errors import RecmtlError
from recmtl.folder import (
    digest,
    file_digest,
    is_current,
    locked,
    read_manifest,
    write_file,
    write_folder,
)

ROOT = Path(__file__).parent.parent
WRITER = """
import os, signal, sys, time
from pathlib import Path
from recmtl.folder import write_folder
target, go = map(Path, sys.argv[1:])
with write_folder(target, {"key": "child"}) as folder:
    (folder / "half").write_text("half")
    print("inside", flush=True)
    while not go.exists():
        time.sleep(0.01)
"""


def start_writer(target: Path, go: Path, **environment: str) -> subprocess.Popen[str]:
    """Another process that is inside the folder until `go` appears."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target), str(go)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "inside\n"
    return child


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def fill(target: Path, text: str) -> None:
    with write_folder(target, {"key": text}) as folder:
        (folder / "data").write_text(text)


def test_a_whole_folder_has_its_manifest_with_every_file(tmp_path: Path) -> None:
    manifest: dict[str, object] = {"key": "k"}
    with write_folder(tmp_path / "deep" / "out", manifest) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("12345")
        manifest["rows"] = 3
    content = read_manifest(tmp_path / "deep" / "out")
    assert content == {"key": "k", "rows": 3, "files": {"sub/a": 5}}
    assert is_current(tmp_path / "deep" / "out", "k")
    assert not is_current(tmp_path / "deep" / "out", "other")
    assert visible(tmp_path / "deep") == ["out"]


def test_an_older_folder_is_replaced_whole(tmp_path: Path) -> None:
    with write_folder(tmp_path / "out", {}) as folder:
        (folder / "old").touch()
    fill(tmp_path / "out", "new")
    assert visible(tmp_path / "out") == ["data", "manifest.json"]


def test_a_failing_body_leaves_the_older_folder(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    with pytest.raises(ZeroDivisionError), write_folder(tmp_path / "out", {}) as folder:
        (folder / "data").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "out" / "data").read_text() == "old"
    assert visible(tmp_path) == ["out"]


def test_a_killed_writer_leaves_nothing_whole_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    child = start_writer(tmp_path / "out", tmp_path / "never")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(RecmtlError, match="no finished folder"):
        read_manifest(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    fill(tmp_path / "out", "next")
    assert visible(tmp_path) == ["out"]
    assert visible(tmp_path / "out") == ["data", "manifest.json"]


def test_a_folder_moved_aside_by_a_killed_writer_comes_back(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(ZeroDivisionError), write_folder(tmp_path / "out", {}):
        raise ZeroDivisionError
    assert (tmp_path / "out" / "data").read_text() == "old"


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    child = start_writer(tmp_path / "out", tmp_path / "go")
    second = threading.Thread(target=fill, args=(tmp_path / "out", "second"))
    second.start()
    time.sleep(0.3)
    assert second.is_alive()
    assert not (tmp_path / "out").exists()
    (tmp_path / "go").touch()
    second.join(timeout=20)
    assert child.wait(timeout=20) == 0
    assert read_manifest(tmp_path / "out")["files"] == {"data": 6}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    full = pytest.raises(RecmtlError, match="No space left")
    with full as caught, write_folder(tmp_path / "out", {}) as folder:
        (folder / "first").write_text("fits")
        (folder / "second").symlink_to("/dev/full")
        (folder / "second").write_text("does not")
    assert str(tmp_path / "out") in str(caught.value)
    assert "free space" in str(caught.value)
    assert visible(tmp_path) == []


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecmtlError, match="could not be written"):
        fill(tmp_path / "file" / "out", "x")
    with pytest.raises(RecmtlError, match="could not be written"):
        write_file(tmp_path / "file" / "report.html", "x")


@pytest.mark.parametrize("content", ["{", "[1]", "\x00"])
def test_a_broken_manifest_is_a_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RecmtlError, match="unreadable manifest"):
        read_manifest(tmp_path)


def test_a_file_is_written_whole_as_text_or_bytes(tmp_path: Path) -> None:
    write_file(tmp_path / "new" / "a", "é")
    write_file(tmp_path / "new" / "a", b"\x00\xff")
    assert (tmp_path / "new" / "a").read_bytes() == b"\x00\xff"
    assert visible(tmp_path / "new") == ["a"]


def test_digests_follow_values_not_their_order(tmp_path: Path) -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    expected = hashlib.blake2b(b"abc" * 100_000, digest_size=16).hexdigest()
    assert file_digest(tmp_path / "x") == expected


def test_what_somebody_else_wrote_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("more")
    for name in ("mine", "file"):
        with pytest.raises(RecmtlError, match="no folder that recmtl wrote"):
            fill(tmp_path / name, "new")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "more"
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", "new")
    assert visible(tmp_path) == ["empty", "file", "mine"]


def test_a_failure_at_the_very_end_leaves_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "out", "old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == ".out.tmp":
            raise OSError("the disk is gone")
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(RecmtlError, match="the disk is gone"):
        patch.setattr(Path, "rename", fail)
        fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "data").read_text() == "old"
    assert visible(tmp_path) == ["out"]


def test_who_waits_is_told_also_where_temporary_folders_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of users, of services and of containers do."""
    (tmp_path / "elsewhere").mkdir()
    child = start_writer(tmp_path / "out", tmp_path / "go", TMPDIR=str(tmp_path / "elsewhere"))
    second = threading.Thread(target=fill, args=(tmp_path / "out", "second"))
    second.start()
    while not caplog.messages and second.is_alive():
        time.sleep(0.01)
    assert caplog.messages == [f"waits for another run that writes {tmp_path / 'out'}"]
    assert (tmp_path / ".out.tmp" / "half").read_text() == "half"
    (tmp_path / "go").touch()
    second.join(timeout=20)
    assert child.wait(timeout=20) == 0
    assert (tmp_path / "out" / "data").read_text() == "second"


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, flag: int, error: int) -> None:
    """Opening with `flag` fails; permissions would not keep the superuser out."""
    real = os.open

    def fail(file: Path, flags: int, *more: int) -> int:
        if flags & flag == flag:
            raise OSError(error, os.strerror(error), str(file))
        return real(file, flags, *more)

    monkeypatch.setattr("recmtl.folder.os.open", fail)


def test_where_nobody_can_write_a_whole_folder_is_read_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "out", "old")
    (tmp_path / ".out.lock").unlink()
    (tmp_path / ".out.tmp").mkdir()  # a living writer's, for all that we know
    refuse_to_open(monkeypatch, os.O_CREAT, errno.EROFS)
    with locked(tmp_path / "out"):
        assert is_current(tmp_path / "out", "old")
    assert visible(tmp_path) == [".out.tmp", "out"]
    with pytest.raises(RecmtlError, match="could not be written"):
        fill(tmp_path / "out", "new")
    assert visible(tmp_path) == [".out.tmp", "out"]


def test_a_lock_that_may_only_be_read_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    child = start_writer(tmp_path / "out", tmp_path / "go")
    refuse_to_open(monkeypatch, os.O_RDWR, errno.EACCES)
    second = threading.Thread(target=fill, args=(tmp_path / "out", "second"))
    second.start()
    while not caplog.messages and second.is_alive():
        time.sleep(0.01)
    assert caplog.messages
    (tmp_path / "go").touch()
    second.join(timeout=20)
    assert child.wait(timeout=20) == 0
    assert (tmp_path / "out" / "data").read_text() == "second"


def test_a_folder_inside_one_that_is_written_needs_no_lock(tmp_path: Path) -> None:
    with write_folder(tmp_path / "out", {}) as folder:
        fill(folder / "inner", "x")
    assert set(read_manifest(tmp_path / "out")["files"]) == {"inner/data", "inner/manifest.json"}


def test_a_lock_is_entered_again_by_who_holds_it(tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        fill(tmp_path / "out", "inside")
        with locked(tmp_path / "out"):
            assert is_current(tmp_path / "out", "inside")


def test_the_lock_puts_right_what_a_killed_writer_left(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    for suffix in ("tmp", "old"):
        (tmp_path / f".out.{suffix}").mkdir()
    with locked(tmp_path / "out"):
        assert visible(tmp_path) == ["out"]
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with locked(tmp_path / "out"):
        assert (tmp_path / "out" / "data").read_text() == "old"
