"""What of a wrong configuration still leads to the ledger, and when nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gurney.settings import Broker, Configuration, InvalidSettingsError, Ledger, Settings, read

Read = Callable[..., Configuration]
LEDGER = "postgresql+psycopg://db/gurney"
WAY = {"GURNEY_LEDGER__URL": LEDGER, "GURNEY_BROKER__URL": "redis://broker"}


@pytest.fixture
def read_text(config_file: Path) -> Read:
    def read_it(text: str, environ: Mapping[str, str] | None = None) -> Configuration:
        config_file.write_text(text)
        return read(str(config_file), environ or {})

    return read_it


def test_a_right_one_is_reached_whole(read_text: Read) -> None:
    configuration = read_text("[workers]\nprocesses = 3\n")
    assert configuration.mistakes == ()
    assert configuration.reach() is configuration.whole()


@pytest.mark.parametrize(
    "wrong",
    [
        "[workers]\nprocesses = 0\n",
        "[wrokers]\n",
        "[worker]\n",
        "[[remotes]]\n",
        "[[receiver]]\n",
        "[[remote]]\n",
        "remote = 5\n",
        "[[route]]\nname = 'r'\nwhen = '('\n",
        "[[watch]]\nname = 'ct1'\npath = '/var'\n",
    ],
)
def test_a_mistake_elsewhere_costs_only_what_is_elsewhere(read_text: Read, wrong: str) -> None:
    configuration = read_text(f"{wrong}[node]\ndata_dir = '/var/gurney'\n[broker]\nurl = 'redis://broker'\n")
    assert configuration.mistakes
    with pytest.raises(InvalidSettingsError):
        configuration.whole()
    reach = configuration.reach()
    assert (reach.node.data_dir, reach.broker.url) == ("/var/gurney", "redis://broker")
    assert (reach.workers, reach.remote, reach.watch) == (Settings().workers, (), ())


@pytest.mark.parametrize(
    "wrong",
    [
        "[ledger]\nurl = 'mysql://'\n",
        "[ledger]\nurll = ''\n",
        "[ledgr]\n",
        "[nodes]\n",
        "node = 5\n",
        "[spool]\nname = '/'\n",
        "[broker]\nurl_file = 'nowhere'\n",
    ],
)
def test_a_mistake_on_the_way_is_refused(read_text: Read, wrong: str) -> None:
    with pytest.raises(InvalidSettingsError):
        read_text(f"{wrong}[workers]\nprocesses = 0\n").reach()


@pytest.mark.parametrize("variable", ["GURNEY_LEDGR__URL", "GURNEY_LEDGER", "GURNEY_SPOOL__KEEP_FREE"])
def test_so_is_one_in_the_environment(read_text: Read, variable: str) -> None:
    with pytest.raises(InvalidSettingsError):
        read_text("", {variable: "{nonsense"}).reach()


@pytest.mark.parametrize("variable", ["GURNEY_REMOTE__ARCHIVE", "GURNEY_WRKERS__PROCESSES", "GURNEY_WORKERS"])
def test_the_environment_may_be_wrong_elsewhere(read_text: Read, variable: str) -> None:
    configuration = read_text("", {variable: "{nonsense"})
    assert configuration.mistakes
    assert configuration.reach() == Settings()


def test_a_file_that_is_no_toml_is_gone_without_where_the_way_is_known(read_text: Read, config_file: Path) -> None:
    expected = Settings(ledger=Ledger(url=LEDGER), broker=Broker(url="redis://broker"))
    assert read_text("= nonsense", WAY).reach() == expected
    for missing in WAY:
        with pytest.raises(InvalidSettingsError, match=r"gurney\.toml:1:1: error: is not TOML"):
            read_text("= nonsense", {key: value for key, value in WAY.items() if key != missing}).reach()

    (config_file.parent / "config.d").mkdir()
    (config_file.parent / "config.d" / "ct1.toml").write_text("= nonsense")
    way = f"[ledger]\nurl = '{LEDGER}'\n[broker]\nurl = 'redis://broker'\n"
    assert read_text(way).reach() == expected
