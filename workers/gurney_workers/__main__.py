"""``python -m gurney_workers``: one Celery worker. ``gurney worker`` starts and watches over the ones of a host."""

from __future__ import annotations

import argparse
import os
import sys

from gurney.errors import ConfigError, GurneyError
from gurney.jobs import Lane
from gurney.jobs.tether import SUPERVISOR, tie_to_parent
from gurney.observability import configure_logging
from gurney.settings import Settings, load
from gurney_workers.worker import run_worker


def main() -> int:
    """Run until told to stop; 0 drained, 1 failed, 2 wrong usage or configuration."""
    parser = argparse.ArgumentParser(prog="gurney_workers", description=__doc__)
    parser.add_argument("--config", help="the configuration file")
    parser.add_argument("--lanes", required=True, help="stat, stat,work or retrieve")
    arguments = parser.parse_args()
    try:
        lanes = tuple(Lane(lane) for lane in arguments.lanes.split(","))
        settings = load(arguments.config)
        configure_logging(settings.log.format, settings.log.level, service=f"worker.{lanes[-1].value}")
        supervisor = os.environ.get(SUPERVISOR)
        if supervisor:
            tie_to_parent(int(supervisor))
        run_worker(settings, lanes, _concurrency(settings, lanes))
    except (ConfigError, ValueError) as error:
        print(f"gurney worker: {error}", file=sys.stderr)  # noqa: T201 - the last words of a process
        return 2
    except GurneyError as error:
        print(f"gurney worker: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _concurrency(settings: Settings, lanes: tuple[Lane, ...]) -> int:
    if lanes == (Lane.STAT,):
        return 1
    return settings.workers.retrievers if lanes == (Lane.RETRIEVE,) else settings.workers.processes


if __name__ == "__main__":
    sys.exit(main())
