"""The flows on a tiny problem: the real pipeline, a real Prefect server, a real MLflow store."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from prefect.client.orchestration import get_client

from flows import steps
from flows.ingest import ingest
from flows.nightly import nightly
from flows.score import score
from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.tracking import fetch
from tests.tracking.tiny import write_problem


def test_a_step_is_the_pipelines_own(tmp_path: Path) -> None:
    config = str(write_problem(tmp_path))
    examples = steps.ingest.fn(config, tmp_path / "out")
    assert (examples / "manifest.json").exists()
    assert (steps.encode.fn(config, tmp_path / "out") / "manifest.json").exists()


def test_a_step_passes_on_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match=r"absent\.toml"):
        steps.ingest.fn(str(tmp_path / "absent.toml"), tmp_path / "out")


@pytest.mark.usefixtures("prefect_server", "workplace")
def test_the_night_ends_with_scores_of_the_champion_and_shows_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    state = nightly(str(write_problem(tmp_path)), str(out), "cpu", return_state=True)
    assert state.is_completed(), state.message
    scores = pl.read_parquet(out / "scores" / "**" / "*.parquet")
    assert len(scores) == 400
    assert {"user", "ctr", "cvr", "ctcvr", "model_version"} <= set(scores.columns)
    folder, version = fetch("models:/tiny@champion")
    assert set(scores["model_version"]) == {version}
    assert (folder / "weights.safetensors").exists()
    with get_client(sync_client=True) as client:
        found = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert {"per-task", "summary", "mlflow-run", "champion"} <= set(found)
    assert "/runs/" in str(found["mlflow-run"].data)
    for model in ("esmm", "mmoe"):
        assert model in str(found["per-task"].data)


EVENTS = """
[data.events.order]
path = "log.parquet"
time = "user"
unit = "s"
on = "user"
window = "1 day"
"""


def with_events(folder: Path, **said: str) -> str:
    """The tiny file with a log of events, and more keys of [data]; only read, never ingested."""
    file = write_problem(folder)
    keys = "".join(f'{key} = "{value}"\n' for key, value in said.items())
    text = file.read_text().replace('day = "day"', 'day = "day", time = "user", unit = "s", zone = "UTC"')
    file.write_text(text.replace("[labels]", f"{keys}{EVENTS}\n[labels]"))
    return str(file)


def test_steps_hand_on_what_the_command_line_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[pipeline.Options] = []
    for name in ("ingest", "score"):
        monkeypatch.setattr(steps, name, getattr(steps, name).fn)  # no server for a task of its own
        monkeypatch.setattr(pipeline, name, lambda *given: heard.append(given[-1]) or Path("made"))
    config, out = str(write_problem(tmp_path)), str(tmp_path / "out")
    assert ingest.fn(config, out, "2026-03-11T00:00:00Z", "2026-03-01", "2026-03-02") == "made"
    rates = "out/rates/dt=2026-03-02"
    assert score.fn("model", "rows", out, "cpu", rates, precision="bf16") == "made"
    assert heard[0].as_of == "2026-03-11T00:00:00Z" and str(heard[0].days) == "2026-03-01 to 2026-03-02"
    assert heard[1].rates == rates and heard[1].device == "cpu" and heard[1].precision == "bf16"


@pytest.mark.usefixtures("prefect_server")
def test_a_night_with_events_is_as_of_the_time_that_it_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str | None] = []
    monkeypatch.setattr(steps, "ingest", lambda *given: heard.append(given[2]))
    for name in ("encode", "train", "evaluate", "promote", "score"):
        monkeypatch.setattr(steps, name, lambda *given: "x")
    for place in ("plain", "said", "unsaid"):
        (tmp_path / place).mkdir()
    plain = str(write_problem(tmp_path / "plain"))
    said = with_events(tmp_path / "said", as_of="2026-03-01T00:00:00Z")
    unsaid = with_events(tmp_path / "unsaid")
    nightly(plain)
    nightly(said)
    nightly(unsaid, as_of="2026-03-02T00:00:00Z")
    assert heard == [None, None, "2026-03-02T00:00:00Z"]
    state = nightly(unsaid, return_state=True)
    with get_client(sync_client=True) as client:
        due = client.read_flow_run(state.state_details.flow_run_id).expected_start_time
    assert heard[-1] is not None and datetime.fromisoformat(heard[-1]) == due
