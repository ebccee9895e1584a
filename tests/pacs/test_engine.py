from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest
from pynetdicom import _config

from gurney.pacs import DicomEngine, EngineError, StoreScu, Timeouts
from gurney.pacs.testing import FakePacs
from tests.pacs.conftest import CT_ONLY


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """No engine here but those of the tests."""
    yield
    assert not DicomEngine.is_running()


def test_an_scu_outside_the_engine_says_what_to_do() -> None:
    with FakePacs() as pacs, pytest.raises(EngineError, match="with DicomEngine"):
        StoreScu().associate(pacs.remote(), CT_ONLY)
    assert pacs.associations == 0


def test_starts_are_counted() -> None:
    with DicomEngine():
        with DicomEngine():
            pass
        DicomEngine.startup()
        DicomEngine.shutdown()
        assert DicomEngine.is_running()
    assert not DicomEngine.is_running()
    DicomEngine.shutdown()
    assert not DicomEngine.is_running()


def test_it_counts_over_threads() -> None:
    def use() -> None:
        for _ in range(200):
            with DicomEngine():
                assert DicomEngine.is_running()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_shutdown_aborts_what_is_open() -> None:
    with FakePacs() as pacs:
        with DicomEngine():
            association = StoreScu().associate(pacs.remote(Timeouts(acse=2)), CT_ONLY)
            assert association.is_usable
        assert not association.is_usable
        pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]


def test_pynetdicom_is_silent_while_it_runs_and_as_before_afterwards() -> None:
    log = logging.getLogger("pynetdicom")
    before = log.level, _config.LOG_HANDLER_LEVEL
    with DicomEngine():
        assert not log.isEnabledFor(logging.CRITICAL)
        assert _config.LOG_HANDLER_LEVEL == "none"
    assert (log.level, _config.LOG_HANDLER_LEVEL) == before


def in_child(action: str) -> int:
    """Fork, act in the child and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            if action == "require":
                DicomEngine.require()
                code = 1
            elif action == "startup":
                with DicomEngine():
                    DicomEngine.require()
                code = 2 if DicomEngine.is_running() else 0
            elif action == "shutdown":
                DicomEngine.shutdown()
                code = 0
        except EngineError as error:
            code = 0 if "fork" in str(error) else 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("action", ["require", "startup", "shutdown"])
def test_an_engine_stays_in_the_process_that_started_it(action: str) -> None:
    with DicomEngine():
        assert in_child(action) == 0
        assert DicomEngine.is_running()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_does_not_touch_the_associations_of_its_parent() -> None:
    with DicomEngine(), FakePacs() as pacs:
        with StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            assert in_child("startup") == 0
            assert in_child("shutdown") == 0
            assert association.is_usable
        pacs.wait_until_quiet()
        assert pacs.endings == ["released"]
