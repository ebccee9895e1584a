"""Drop a study into a folder as a modality does: in bursts, each file under a temporary name first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from gurney_daemon.demo.study import Made

__all__ = ["Dropped", "drop"]

_BURST: Final = 40
_BREATH: Final = 0.2


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was put into the folder; ``digest`` is the SHA-256 of the data set before any disk saw it."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    digest: str


def drop(study: Iterable[Made], folder: Path) -> Iterator[list[Dropped]]:
    """Write the instances below ``folder``; give what was dropped after each burst."""
    instances = iter(study)
    while burst := [_write(made, folder) for made in islice(instances, _BURST)]:
        yield burst
        time.sleep(_BREATH)


def _write(made: Made, folder: Path) -> Dropped:
    path = folder / made.folder / made.name
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(made.content)
    unfinished.rename(path)
    return Dropped(made.sop_instance_uid, made.transfer_syntax_uid, made.digest)
