"""The reference pages are what the code says, and the code says enough for them."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import griffe
import pytest

from gurney.pacs.events import QueryEvents, StoreEvents
from gurney.pacs.hooks import AfterHook, BeforeHook

ROOT = Path(__file__).parents[1]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generator()
PACKAGE: griffe.Module = generate.load()
PUBLIC = [one for _, modules in generate.PAGES.values() for one in generate.public(PACKAGE, modules.split())]
ALL = vars(QueryEvents()) | vars(StoreEvents())
HOOKS = sorted(ALL)


def _told(one: griffe.Object) -> Iterator[griffe.Object]:
    """Give an object and what is public of it."""
    yield one
    for member in generate.told(one) if isinstance(one, griffe.Class) else ():
        if isinstance(member, griffe.Function) or "property" in member.labels:
            yield member


def test_the_pages_are_those_of_the_code() -> None:
    made = generate.pages()
    stale = [str(path.relative_to(ROOT)) for path, text in made.items() if path.read_text() != text]
    assert stale == [], "run `make docs`"
    assert {*(ROOT / "docs/reference/api").iterdir()} <= {*made}


def test_every_public_name_stands_on_one_page() -> None:
    paths = [one.path for one in PUBLIC]
    assert sorted(set(paths)) == sorted(paths)
    assert {*PACKAGE.exports} | {*PACKAGE["testing"].exports} <= {one.name for one in PUBLIC}


@pytest.mark.parametrize("room", generate.PAGES)
def test_every_type_that_a_page_names_has_a_heading(room: str) -> None:
    """Read from the pages, not by the generator: what a reader sees and can't look up is a hole."""
    pages = {path.stem: path.read_text() for path in (ROOT / "docs/reference/api").glob("*.md")}
    headings = {name for page in pages.values() for name in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    signatures = "\n".join(re.findall(r"```python\n(.*?)```", pages[room], re.DOTALL))
    fields = "\n".join(re.findall(r"^\| `\w+` \| `(.*?)` \|", pages[room], re.MULTILINE))
    fields += "\n".join(re.findall(r"^Property, `(.*)`\.$", pages[room], re.MULTILINE))
    ours = {
        name
        for module in _ours_everywhere()
        for name, one in module.members.items()
        if not one.is_alias and (one.is_class or "TypeAlias" in str(getattr(one, "annotation", "")))
    }
    named = {*re.findall(r"\b[A-Z]\w+", signatures + fields)} & ours
    assert sorted(named - headings) == []


@pytest.mark.parametrize("one", [one for one in PUBLIC if isinstance(one, griffe.Class)], ids=lambda one: one.name)
def test_every_field_that_must_be_given_has_a_row(one: griffe.Class) -> None:
    rows = [line.split("`")[1] for line in generate._fields(one) if line.startswith("| `")]
    if "dataclass" in one.labels or "NamedTuple" in map(str, one.bases):
        needed = [name for name, held in one.attributes.items() if _is_needed(held)]
        assert [name for name in needed if name not in rows] == []


def _ours_everywhere() -> Iterator[griffe.Module]:
    rooms = [PACKAGE.package]
    while rooms:
        module = rooms.pop()
        yield module
        rooms += module.modules.values()


def _is_needed(held: griffe.Attribute) -> bool:
    is_field = held.annotation is not None and "property" not in held.labels
    return is_field and held.value is None and not held.name.startswith("_")


def test_what_a_listener_is_subscribed_with_stands_with_its_hook() -> None:
    page = (ROOT / "docs/reference/api/events.md").read_text()
    assert "### BeforeHook.listening" in page
    assert "### AfterHook.once" in page


def test_only_a_list_of_arguments_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "wrapped.py").write_text(
        '''
def ask(first, second):
    """Ask.

    Lets somebody else receive the
    messages: slower. What is
    first: it stays in its line.

    first, second: what is asked,
        and how.
    second: whom.

    nobody: is no argument.
    """
'''
    )
    module = griffe.load("wrapped", search_paths=[str(tmp_path)], allow_inspection=False)
    lines = [line for line in generate._prose(module["ask"]) if ":" in line]
    assert lines == [
        "messages: slower. What is",
        "first: it stays in its line.",
        "- `first, second`: what is asked,",
        "- `second`: whom.",
        "nobody: is no argument.",
    ]


@pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.name)
def test_every_public_name_says_what_it_is_in_one_line(one: griffe.Object) -> None:
    for told in _told(one):
        if isinstance(told, griffe.Attribute) and told.parent is not one and told.docstring is None:
            continue  # a constant whose name and value say it all
        assert told.docstring is not None, told.path
        first = told.docstring.value.split("\n")[0]
        assert first.endswith((".", ":", "?")), f"{told.path}: {first}"


@pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.name)
def test_what_is_raised_is_said(one: griffe.Object) -> None:
    for told in _told(one):
        if isinstance(told, griffe.Function):
            raised = [node for node in ast.walk(ast.parse(_source(told))) if isinstance(node, ast.Raise) and node.exc]
            own = told.docstring.value if told.docstring is not None else ""
            around = one.docstring.value if one.docstring is not None else ""
            assert not raised or "rais" in (own + around).lower(), f"{told.path} raises and does not say so"


def _source(function: griffe.Function) -> str:
    lines = function.lines
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


@pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.name)
def test_what_is_measured_has_its_unit_said(one: griffe.Object) -> None:
    """A float is a number of seconds unless something else is said of it."""
    for told in _told(one):
        if isinstance(told, griffe.Function):
            floats = [each.name for each in told.parameters if "float" in str(each.annotation or "")]
            words = " ".join(each.docstring.value for each in (told, one) if each.docstring is not None)
            for name in floats:
                if name == "seconds" or name.endswith("_mm"):
                    continue
                assert re.search(r"second|ratio|bytes", words), f"{told.path}: in what is {name}?"


# --- The events -------------------------------------------------------------------------------------------------------

# FRAMEWORK's table: what any framework of this kind has, by our names.
TABLE = {
    "before_connect",
    "after_connect",
    "private_key_password",
    "after_secure_link_ready",
    "before_associate_request",
    "after_associate_request",
    "before_c_echo",
    "after_c_echo",
    "before_c_store",
    "after_c_store",
    "before_c_find",
    "match_found",
    "match_patient",
    "match_study",
    "match_series",
    "match_instance",
    "after_c_find",
    "before_c_move",
    "after_c_move",
    "moved",
    "before_c_get",
    "after_c_get",
    "received",
    "before_n_action",
    "after_n_action",
    "storage_commitment_wait",
    "storage_commitment_result",
    "before_release_request",
    "after_release_request",
    "before_close",
    "after_close",
    "aborted",
}


def test_every_event_of_the_model_is_there_and_each_hook_knows_its_name() -> None:
    assert {*HOOKS} >= TABLE
    assert {name: hook.name for name, hook in ALL.items()} == {name: name for name in HOOKS}


def test_every_hook_stands_in_the_table() -> None:
    page = (ROOT / "docs/reference/events.md").read_text()
    assert [name for name in HOOKS if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_a_decorator_and_a_subscription_for_a_while(name: str) -> None:
    hook, seen = ALL[name], []

    @hook
    def bad(event: object) -> None:
        seen.append(event)
        raise LookupError(name)

    with hook.listening(seen.append):
        if isinstance(hook, BeforeHook):
            with pytest.raises(LookupError, match=name):
                hook.ask("asked", lambda event, change: change)
            hook.remove(bad)
            assert hook.ask("again", lambda event, change: change) == "again"
            assert seen == ["asked", "again"]
        else:
            assert isinstance(hook, AfterHook)
            hook.tell("told")
            hook.remove(bad)
            assert seen == ["told", "told"]
    assert not hook


@pytest.mark.parametrize(
    "path",
    [
        "association.events.Events",
        "commitment.events.CommitmentEvents",
        "store.events.StoreEvents",
        "query_retrieve.events.QueryEvents",
    ],
)
def test_every_before_event_says_who_may_change_what(path: str) -> None:
    for hook in generate.hooks(PACKAGE[path]):
        kind, event, _ = generate._hook_types(hook)
        told = hook.docstring or generate._class_named(PACKAGE, event).docstring
        words = told.value.split("\n\n")[0]
        if kind == "BeforeHook" and not hook.name.startswith("match_"):
            assert re.search(r"A listener (may|that)|[Nn]othing (of it )?can be changed", words), hook.name
        elif kind == "AfterHook":
            assert "may return" not in words, hook.name


def test_the_example_on_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/events.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    events = names["scu"].events  # type: ignore[attr-defined]
    assert events.after_c_echo
    assert not events.before_c_echo


# --- Coming from elsewhere --------------------------------------------------------------------------------------------


def _ours(page: Path) -> list[str]:
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| ") and "---" not in line]
    return sorted({name for row in rows if len(row) > 3 for name in re.findall(r"`([A-Za-z_][\w.]*)", row[2])})


@pytest.mark.parametrize("name", _ours(ROOT / "docs/reference/coming-from-leadtools.md"))
def test_what_the_page_for_newcomers_names_is_there(name: str) -> None:
    first, *rest = name.split(".")
    if first == "events":
        assert rest[0] in HOOKS
        return
    assert first in {*PACKAGE.exports}, name
    found = PACKAGE[first].final_target
    for part in rest:
        assert part in _names_in(found), name


def _names_in(found: griffe.Object) -> set[str]:
    """What a class has, and what it is made of."""
    made = found.all_members.get("__init__")
    made = made.final_target if isinstance(made, griffe.Alias) else made
    return {*found.all_members, *([each.name for each in made.parameters] if isinstance(made, griffe.Function) else [])}
