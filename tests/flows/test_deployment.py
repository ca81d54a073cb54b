"""prefect.yaml: what it names exists, and its parameters fit the flow."""

from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).parent.parent.parent
NIGHTLY = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"][0]


def test_the_entrypoint_loads_by_its_path_and_takes_the_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(NIGHTLY["entrypoint"])
    assert flow.name == "recmtl-nightly"
    assert flow.validate_parameters(NIGHTLY["parameters"])["config"] == "configs/kuairand.toml"
    assert (ROOT / NIGHTLY["parameters"]["config"]).exists()


def test_the_form_offers_the_devices() -> None:
    flow = load_flow_from_entrypoint(f"{ROOT / 'flows' / 'train.py'}:train")
    fields = flow.parameters.properties
    assert fields["device"]["enum"] == ["auto", "cpu", "cuda"]
    assert fields["config"]["description"] == "the problem's TOML file"


def test_one_training_at_a_time_by_a_valid_schedule() -> None:
    assert NIGHTLY["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    schedule = NIGHTLY["schedules"][0]
    assert CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"]).cron == "30 3 * * *"


def test_no_path_of_a_machine_is_written_down() -> None:
    assert "/home/" not in (ROOT / "prefect.yaml").read_text()
    assert "{{ $PWD }}" in (ROOT / "prefect.yaml").read_text()
