from __future__ import annotations

from pathlib import Path

import pytest

from gurney.settings import Node, Settings, Spool, Watch
from gurney.settings.folders import find_overlaps


def _settings(*watches: Watch, data: str = "/var/lib/gurney", spool: str = "") -> Settings:
    return Settings(node=Node(data_dir=data), spool=Spool(path=spool), watch=watches)


def _watch(name: str, path: str, *, recursive: bool = True, move_to: str = "") -> Watch:
    return Watch(name=name, path=path, recursive=recursive, after="move" if move_to else "keep", move_to=move_to)


def test_folders_apart_are_fine() -> None:
    settings = _settings(
        _watch("a", "/data/a", move_to="/sent/a"),
        _watch("ab", "/data/ab"),
        _watch("flat", "/flat", recursive=False),
        _watch("below", "/flat/below", recursive=False),
        spool="/spool",
    )
    assert list(find_overlaps(settings)) == []


@pytest.mark.parametrize(
    ("settings", "key", "word"),
    [
        (_settings(_watch("a", "/d"), _watch("b", "/d")), ("watch", 1, "path"), 'watch "a"'),
        (_settings(_watch("a", "/d"), _watch("b", "/d/sub")), ("watch", 1, "path"), 'watch "a"'),
        (_settings(_watch("a", "/d/sub"), _watch("b", "/d")), ("watch", 1, "path"), 'watch "a"'),
        (_settings(_watch("a", "/var/lib/gurney/in")), ("watch", 0, "path"), "the data folder"),
        (_settings(_watch("a", "/var")), ("watch", 0, "path"), "the spool"),
        (_settings(_watch("a", "/q"), spool="/q"), ("watch", 0, "path"), "the spool"),
        (_settings(_watch("a", "/q/x", recursive=False), spool="/q"), ("watch", 0, "path"), "the spool"),
        (_settings(_watch("a", "/d", move_to="/d/sent")), ("watch", 0, "move_to"), 'watch "a"'),
        (_settings(_watch("a", "/d", recursive=False, move_to="/d")), ("watch", 0, "move_to"), 'watch "a"'),
        (_settings(_watch("a", "/d", move_to="/var/lib/gurney/sent")), ("watch", 0, "move_to"), "the data folder"),
        (_settings(spool="/var/lib/gurney"), ("spool", "path"), "the data folder"),
    ],
)
def test_an_overlap_names_its_key(settings: Settings, key: tuple[str | int, ...], word: str) -> None:
    first = next(iter(find_overlaps(settings)))
    assert (first.key, word in first.message) == (key, True) or key in {each.key for each in find_overlaps(settings)}


def test_a_target_inside_a_flat_watch_is_not_seen() -> None:
    assert not list(find_overlaps(_settings(_watch("a", "/d", recursive=False, move_to="/d/sent"))))


def test_a_link_is_no_way_round(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    overlaps = list(find_overlaps(_settings(_watch("a", f"{tmp_path}/real"), _watch("b", f"{tmp_path}/link/sub"))))
    assert [each.key for each in overlaps] == [("watch", 1, "path")]
