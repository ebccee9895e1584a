from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pynetdicom import _config

import gurney.pacs
from gurney.pacs import (
    AssociationEnded,
    DicomEngine,
    EngineError,
    Listener,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    Scu,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import FakePacs
from tests.pacs.conftest import CT, CT_ONLY, study_of


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """No engine here but those of the tests."""
    yield
    assert not DicomEngine.is_running()


def every_scu() -> list[type[Scu]]:
    exported = (getattr(gurney.pacs, name) for name in gurney.pacs.__all__)
    return [kind for kind in exported if isinstance(kind, type) and issubclass(kind, Scu)]


@pytest.mark.parametrize("kind", every_scu(), ids=lambda kind: kind.__name__)
def test_an_scu_outside_the_engine_says_what_to_do(kind: type[Scu]) -> None:
    with FakePacs() as pacs:
        with pytest.raises(EngineError, match="with DicomEngine"):
            kind().verify(pacs.remote())
        with pytest.raises(EngineError, match="with DicomEngine"):
            kind().associate(pacs.remote(), CT_ONLY)
    assert pacs.associations == 0


WHAT = Retrieval(study_instance_uid="1.2.3")


@pytest.mark.parametrize(
    "ask",
    [
        lambda remote, folder: StoreScu().store(remote, study_of(1)),
        lambda remote, folder: list(StoreScu().store_many(remote, [folder / "image.dcm"])),
        lambda remote, folder: list(QueryRetrieveScu().find(remote, Query())),
        lambda remote, folder: list(QueryRetrieveScu().move(remote, WHAT, "SOMEBODY")),
        lambda remote, folder: list(QueryRetrieveScu().get(remote, WHAT, folder, [CT])),
        lambda remote, folder: QueryRetrieveScu().associate_for(remote),
        lambda remote, folder: QueryRetrieveScu().associate_to_get(remote, [CT]),
        lambda remote, folder: Listener("SELF", folder).start(),
    ],
    ids=["store", "store_many", "find", "move", "get", "associate_for", "associate_to_get", "listener"],
)
def test_so_does_every_method(ask: Callable[[RemoteAE, Path], object], tmp_path: Path) -> None:
    study_of(1).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    with FakePacs() as pacs, pytest.raises(EngineError, match="with DicomEngine"):
        ask(pacs.remote(), tmp_path)
    assert pacs.associations == 0


def test_what_was_begun_inside_the_engine_ends_with_it() -> None:
    with FakePacs(holdings=[study_of(1)]) as pacs:
        with DicomEngine():
            association = QueryRetrieveScu().associate_for(pacs.remote())
            search = association.find(Query())
        with pytest.raises(AssociationEnded):
            next(search)
        with pytest.raises(AssociationEnded):
            association.verify()


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
    before = logging.getLogger("pynetdicom").level

    def use() -> None:
        for _ in range(200):
            with DicomEngine():
                assert DicomEngine.is_running()
                assert not logging.getLogger("pynetdicom").isEnabledFor(logging.CRITICAL)

    with ThreadPoolExecutor(8) as workers:
        for job in [workers.submit(use) for _ in range(8)]:
            job.result()
    assert logging.getLogger("pynetdicom").level == before


def test_threads_that_start_and_stop_it_do_not_end_each_others_associations() -> None:
    def verify(pacs: FakePacs) -> None:
        for _ in range(10):
            with DicomEngine():
                assert Scu().verify(pacs.remote()).is_success

    with FakePacs() as pacs, ThreadPoolExecutor(6) as workers:
        for job in [workers.submit(verify, pacs) for _ in range(6)]:
            job.result()
        pacs.wait_until_quiet()
    assert pacs.endings == ["released"] * 60


def test_a_shutdown_too_many_takes_nothing_from_anybody() -> None:
    with ThreadPoolExecutor(8) as workers:
        for job in [workers.submit(DicomEngine.shutdown) for _ in range(50)]:
            job.result()
    with DicomEngine():
        assert DicomEngine.is_running()


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


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_can_start_one_though_another_thread_held_its_lock() -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with DicomEngine._lock:
            held.set()
            let_go.wait(30)

    with DicomEngine(), ThreadPoolExecutor(1) as worker:
        worker.submit(hold)
        held.wait(30)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)  # ends a child that would wait for ever
            with DicomEngine():
                os._exit(0)
        let_go.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_its_descriptors_stay_in_the_process(tmp_path: Path) -> None:
    before = {*os.listdir("/proc/self/fd")}
    with DicomEngine(), FakePacs() as pacs, Listener("SELF", tmp_path), Scu().associate(pacs.remote(), CT_ONLY):
        opened = {*os.listdir("/proc/self/fd")} - before
        inherited = []
        for number in opened:
            with suppress(OSError):  # the one that listed them
                inherited += [number] if os.get_inheritable(int(number)) else []
    assert len(opened) > 4
    assert inherited == []


PREFORK = """
import os, sys
from gurney.pacs import DicomEngine, EngineError, RemoteAE, Scu
from gurney.pacs.association.scu import VERIFICATION

remote = RemoteAE("FAKEPACS", "127.0.0.1", int(sys.argv[1]))
DicomEngine.startup()
association = Scu().associate(remote, [VERIFICATION])
assert association.verify().is_success
child = os.fork()
if child == 0:
    try:
        Scu().verify(remote)
    except EngineError as error:
        assert "after the fork" in str(error)
    else:
        sys.exit(7)
    with DicomEngine():
        assert Scu().verify(remote).is_success
    assert not DicomEngine.is_running()
    sys.exit(0)  # as an interpreter ends: finalizers and all
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert association.is_usable
assert association.verify().is_success
association.release()
DicomEngine.shutdown()
"""


def test_a_child_works_and_ends_without_a_trace_in_its_parent() -> None:
    with FakePacs() as pacs:
        command = [sys.executable, "-c", PREFORK, str(pacs.port)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        pacs.wait_until_quiet()
    assert pacs.endings == ["released", "released"]
    assert len(pacs.requests) == 3


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_leaves_the_log_of_its_own_as_it_was_before_any_engine() -> None:
    log = logging.getLogger("pynetdicom")
    before = log.level
    with DicomEngine():
        child = os.fork()
        if child == 0:
            with DicomEngine():
                pass
            os._exit(0 if log.level == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
