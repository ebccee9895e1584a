from __future__ import annotations

from pathlib import Path

import pytest

from gurney.settings import InvalidSettingsError, load

REMOTE = '[[remote]]\nname = "{}"\nae_title = "{}"\nhost = "h"\nport = 104\n'


@pytest.fixture
def folder(config_file: Path) -> Path:
    config_file.write_text("[node]\nae_title = 'ME'\n" + REMOTE.format("one", "ONE"))
    extra = config_file.parent / "config.d"
    extra.mkdir()
    return extra


def test_arrays_of_tables_append_and_tables_merge(folder: Path, config_file: Path) -> None:
    (folder / "20-more.toml").write_text(REMOTE.format("three", "THREE"))
    (folder / "10-more.toml").write_text("[node]\ntimezone = 'Europe/Berlin'\n" + REMOTE.format("two", "TWO"))
    (folder / "ignored.txt").write_text("not toml")
    settings = load(str(config_file), {})
    assert [remote.name for remote in settings.remote] == ["one", "two", "three"]
    assert (settings.node.ae_title, settings.node.timezone) == ("ME", "Europe/Berlin")


def test_two_files_may_not_set_one_key(folder: Path, config_file: Path) -> None:
    (folder / "more.toml").write_text("\n[node]\nae_title = 'YOU'\n")
    with pytest.raises(InvalidSettingsError) as caught:
        load(str(config_file), {})
    problem = caught.value.problems[0]
    assert (problem.origin.source, problem.origin.line) == (str(folder / "more.toml"), 3)
    assert (problem.key, problem.message) == ("node.ae_title", f"is set already at {config_file}:2:1")


def test_a_mistake_in_an_appended_table_keeps_its_line(folder: Path, config_file: Path) -> None:
    (folder / "more.toml").write_text("# first\n" + REMOTE.format("two", "TWO").replace("104", "70000"))
    with pytest.raises(InvalidSettingsError) as caught:
        load(str(config_file), {})
    problem = caught.value.problems[0]
    assert (problem.origin.source, problem.origin.line) == (str(folder / "more.toml"), 6)
    assert problem.key == "remote[two].port"


def test_a_file_that_is_no_toml_does_not_hide_the_others_mistakes(folder: Path, config_file: Path) -> None:
    (folder / "a.toml").write_text("[node\n")
    (folder / "b.toml").write_text("[node]\ntimezone = 'nowhere'\n")
    with pytest.raises(InvalidSettingsError) as caught:
        load(str(config_file), {})
    found = [(Path(each.origin.source).name, each.origin.line) for each in caught.value.problems if each.is_error]
    assert found == [("a.toml", 1), ("b.toml", 2)]
