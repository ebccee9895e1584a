"""docker-compose.yml hangs together, and its configuration is one that Gurney accepts.

No Docker engine is needed: what can be wrong in such a file without anyone noticing is names that don't meet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from gurney.settings import load

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["migrate", "daemon", "worker"]
LONG_RUNNING = sorted(SERVICES.keys() - {"migrate"})


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_names_exists(service: str) -> None:
    entry = SERVICES[service]
    assert set(entry.get("depends_on", {})) <= SERVICES.keys()
    assert set(entry["networks"]) <= COMPOSE["networks"].keys()
    assert set(entry.get("secrets", [])) <= COMPOSE["secrets"].keys()
    sources = [volume.split(":")[0] for volume in entry.get("volumes", []) if volume[0] not in ".$"]
    assert set(sources) <= COMPOSE["volumes"].keys()


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_what_runs_for_long_is_watched_and_restarted(service: str) -> None:
    entry = SERVICES[service]
    assert entry["restart"] == "unless-stopped"
    assert "healthcheck" in entry or entry["image"] == "gurney", "ours is in the Dockerfile"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_health_only_where_there_is_a_check(service: str) -> None:
    for other, how in SERVICES[service].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]


def test_database_and_broker_are_not_published() -> None:
    for service in ("postgres", "valkey"):
        assert SERVICES[service]["networks"] == ["inside"]
        assert "ports" not in SERVICES[service]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_daemon_and_workers_see_the_same_spool() -> None:
    assert SERVICES["daemon"]["volumes"] == SERVICES["worker"]["volumes"]
    assert "data:/var/lib/gurney" in SERVICES["worker"]["volumes"]


def test_gurney_accepts_its_configuration(tmp_path: Path) -> None:
    secret = tmp_path / "ledger_url"
    secret.write_text("postgresql+psycopg://gurney:secret@postgres/gurney\n")
    environment = {key: value.replace("/run/secrets", str(tmp_path)) for key, value in environment_of("daemon").items()}
    settings = load(str(ROOT / "config/compose/gurney.toml"), environment)
    assert settings.ledger.url == secret.read_text().strip()
    assert settings.broker.url == "redis://valkey:6379/0"


def test_folders_of_its_configuration_are_mounted() -> None:
    settings = load(str(ROOT / "config/compose/gurney.toml"), {})
    targets = [volume.split(":")[-1] for volume in SERVICES["daemon"]["volumes"]]
    assert {watch.path for watch in settings.watch} <= set(targets)
    assert settings.node.data_dir in targets


def test_no_secret_stands_in_the_environment() -> None:
    for service in SERVICES:
        assert not [key for key in environment_of(service) if "PASSWORD" in key and not key.endswith("_FILE")]


@pytest.mark.parametrize("service", OURS)
def test_ours_run_without_privileges(service: str) -> None:
    entry = SERVICES[service]
    assert entry["cap_drop"] == ["ALL"]
    assert entry["read_only"] is True
    assert entry["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_an_ordinary_user_and_checks_itself() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last_stage = lines[[line.startswith("FROM ") for line in lines].index(True, 3) :]
    assert "USER gurney" in last_stage
    assert any(line.startswith("HEALTHCHECK ") for line in last_stage)
    assert 'ENTRYPOINT ["tini", "--", "gurney"]' in last_stage


def environment_of(service: str) -> dict[str, str]:
    environment: dict[str, str] = SERVICES[service].get("environment", {})
    return environment
