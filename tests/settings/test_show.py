from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gurney.settings import Settings, load, show

TEXT = """
[spool]
keep_free = "20GB"
[complete]
quiet = "90s"
[[remote]]
name = "archive"
ae_title = "OR\\"THANC"
host = "h"
port = 104
timeouts = { store = 5 }
[[watch]]
name = "ct1"
path = "/data/ct1 \\u007f\\u0001 é"
settle_seconds = 4
send_to = ["archive"]
"""


def test_what_is_shown_loads_to_the_same(load_text: Callable[..., Settings], config_file: Path) -> None:
    settings = load_text(TEXT)
    again = config_file.with_name("again.toml")
    again.write_text(show(settings))
    assert load(str(again), {}) == settings


def test_json_holds_the_same(load_text: Callable[..., Settings]) -> None:
    shown = json.loads(show(load_text(TEXT), "json"))
    assert shown["spool"]["keep_free"] == "20000000000B"
    waits = {"connect": 10.0, "acse": 30.0, "store": 5.0, "find": 120.0, "move_idle": 600.0}
    assert shown["remote"][0]["timeouts"] == waits
