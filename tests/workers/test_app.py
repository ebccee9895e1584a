"""The worker's shim."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gurney.errors import BrokerError
from gurney.jobs import EmbeddedBroker
from gurney.settings import Broker, Node, Settings
from gurney_workers.app import TASKS, worker_app


def settings(data_dir: Path, broker_url: str = "") -> Settings:
    return Settings(node=Node(data_dir=str(data_dir)), broker=Broker(url=broker_url))


def test_the_configured_broker_is_taken(tmp_path: Path) -> None:
    app = worker_app(settings(tmp_path, "redis://broker.example/0"))
    assert app.conf.broker_url == "redis://broker.example/0"
    assert app.conf.include == [TASKS]


def test_without_one_the_embedded_broker_is_found(tmp_path: Path) -> None:
    with EmbeddedBroker(str(tmp_path)) as broker:
        assert worker_app(settings(tmp_path)).conf.broker_url == broker.url


def test_without_any_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"gurney up.*\[broker\]"):
        worker_app(settings(tmp_path))


def test_the_module_reads_no_configuration_until_celery_asks_for_the_app(tmp_path: Path) -> None:
    program = "import gurney_workers.app as shim; print('imported'); print(shim.app.conf.broker_url)"
    config = tmp_path / "gurney.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n[broker]\nurl = "redis://broker.example/0"\n')

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            env={"GURNEY_CONFIG": str(path), "PYTHONPATH": "workers"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run(config).stdout.split() == ["imported", "redis://broker.example/0"]
    absent = run(tmp_path / "absent.toml")
    assert absent.stdout.split() == ["imported"]
    assert "absent.toml" in absent.stderr


def test_no_other_name_is_made_up() -> None:
    import gurney_workers.app as shim

    with pytest.raises(AttributeError, match="celery"):
        _ = shim.celery
