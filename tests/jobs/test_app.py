"""The Celery app's settings: what each broker needs, and what none may change."""

from __future__ import annotations

import logging
import sys

import pytest

from gurney.errors import ConfigError
from gurney.jobs import is_in_process, make_app
from gurney.jobs.embedded import IN_PROCESS_URL

URLS = ["redis://h/0", "rediss://h/0", "redis+socket:///run/b.sock", "amqp://h//", "amqps://h//", "memory://"]


@pytest.mark.parametrize("url", URLS)
def test_a_message_is_rather_lost_than_repeated_or_trusted(url: str) -> None:
    conf = make_app(url).conf
    assert list(conf.accept_content) == ["json"]
    assert conf.task_acks_late is False
    assert conf.task_ignore_result is True
    assert conf.result_backend is None
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_cancel_long_running_tasks_on_connection_loss is False
    assert conf.broker_connection_max_retries is None


@pytest.mark.parametrize("url", URLS)
def test_only_redis_can_do_without_prefetching(url: str) -> None:
    assert bool(make_app(url).conf.worker_disable_prefetch) is url.startswith("redis")


@pytest.mark.parametrize("url", ["", "sqs://", "http://h", "/run/b.sock", "filesystem://"])
def test_a_broker_that_we_never_tried_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="scheme"):
        make_app(url)


def test_a_refusal_repeats_no_password() -> None:
    with pytest.raises(ConfigError) as refusal:
        make_app("http://user:secret@host/")
    assert "secret" not in str(refusal.value)


def test_only_memory_is_in_process() -> None:
    assert is_in_process(IN_PROCESS_URL)
    assert not any(is_in_process(url) for url in URLS[:-1])


def test_logging_stays_as_the_process_has_it() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), sys.stdout, sys.stderr)
    make_app("memory://").log.setup(loglevel="DEBUG", redirect_stdouts=True)
    assert (root.level, list(root.handlers), sys.stdout, sys.stderr) == before


def test_two_apps_share_nothing() -> None:
    first, second = make_app("redis://one/0"), make_app("amqp://two//")
    assert first.conf.broker_url != second.conf.broker_url
    first.conf.broker_transport_options["socket_timeout"] = 99
    assert make_app("redis://one/0").conf.broker_transport_options["socket_timeout"] != 99
