"""Write the reference pages that follow from the code: the events, and every public name of the framework.

``make docs`` writes them; a test holds that they are what the code says. griffe reads the source without running it,
so that signatures and values are told as they are written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = "gurney.pacs"

# A page for each of these, and the modules whose public names stand there, those of other packages by their whole path.
PAGES = {
    "engine": (
        "Engine, remote AEs, associations",
        "association.engine remote association.scu association.association terms contexts wire.command wire.response "
        "progress throttle stream cancellation gurney.dicom.presentation wire.dimse",
    ),
    "store": (
        "Store",
        "store.scu store.association store.storing wire.instance gurney.transfer.outcomes store.sources "
        "gurney.dicom.policy gurney.dicom.errors store.compression gurney.dicom.transcoding",
    ),
    "query": (
        "Query",
        "query_retrieve.scu query_retrieve.association query.options query.queries query.raw_identifiers query.keys "
        "query.models query.matches query.entities",
    ),
    "retrieve": (
        "Retrieve",
        "retrieve.retrieval retrieve.result retrieve.reconciliation retrieve.inventory wire.inbound listener.listener",
    ),
    "commitment": ("Storage commitment", "commitment.commitment commitment.scu commitment.report"),
    "normalized": (
        "DIMSE-N services",
        "normalized.operations normalized.scu association.normalized_events gurney.dicom.status "
        "association.event_reports",
    ),
    "procedure-steps": (
        "Procedure steps",
        "normalized.performed_procedure_step normalized.performed_procedure_step_scu",
    ),
    "availability-and-media": (
        "Availability and media",
        "normalized.instance_availability_scu normalized.media_creation normalized.media_creation_scu",
    ),
    "print": ("Print", "printing.scu printing.session printing.layout"),
    "events": (
        "Hooks and event objects",
        "hooks association.events store.events query_retrieve.events commitment.events",
    ),
    "tls": ("TLS", "tls.options"),
    "wire-log": ("Wire log", "wire_log.log"),
    "errors": ("Errors", "errors gurney.errors"),
    "testing": ("A PACS for tests", "testing"),
}
# Named where an application meets them, though not exported by the package itself.
WHOLE = ("hooks", "association.events", "store.events", "query_retrieve.events", "commitment.events")
# What the framework hands out and no application makes: how it is made is nobody's business.
HANDED_OUT = frozenset(
    {
        "Association",
        "CancellableStream",
        "Film",
        "Moving",
        "PrintSession",
        "QueryAssociation",
        "Retrieving",
        "Search",
        "StoreAssociation",
        "Storing",
        "Stream",
    }
)
# Halves of a class that applications know as one.
HALVES = frozenset({"AssociatingScu", "RetrieveAssociation"})
# What one room of the framework calls of another, though a class that applications know has it.
INSIDE = frozenset(
    {
        "DicomEngine.adopt",
        "DicomEngine.forget",
        "Listener.expecting",
        "QueryAssociation.get_as",
        "Request.of",
        "WireLog.overhear",
        "WireLog.write",
    }
)

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_HEAD = "<!-- Written by docs/generate.py from the docstrings: change those, and run `make docs`. -->\n"


def load() -> griffe.Module:
    """Read the package's source."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)], allow_inspection=False)
    if not isinstance(package, griffe.Module):
        raise TypeError(f"{PACKAGE} is no package here")
    return package


def pages() -> dict[Path, str]:
    """Return every generated page with its text."""
    package = load()
    made = {REFERENCE / "events.md": events_page(package), REFERENCE / "api" / "index.md": index_page(package)}
    for room, (title, modules) in PAGES.items():
        made[REFERENCE / "api" / f"{room}.md"] = room_page(title, [*public(package, modules.split())])
    return made


# --- The events -------------------------------------------------------------------------------------------------------

_SCUS = (
    ("association.events.Events", "Every SCU", "`scu.events`"),
    ("commitment.events.CommitmentEvents", "Besides, of a `StorageCommitmentScu` and a `StoreScu`", "`scu.events`"),
    ("store.events.StoreEvents", "Besides, of a `StoreScu`", "`scu.events`"),
    ("query_retrieve.events.QueryEvents", "Besides, of a `QueryRetrieveScu`", "`scu.events`"),
    ("listener.listener.Listener", "Of a `Listener`", "the listener itself"),
    ("association.association.Association", "Of one `Association`", "the association itself"),
)


def events_page(package: griffe.Module) -> str:
    """Make a table of all hooks, and what each event carries."""
    lines = [
        _HEAD,
        "# Events",
        "",
        "A hook is subscribed for good as a decorator, or for the length of a block:",
        "",
        "```python",
        "from gurney.pacs import Scu",
        "from gurney.pacs.events import AfterCEcho, BeforeCEcho",
        "",
        'scu = Scu("GURNEY")',
        "",
        "",
        "@scu.events.after_c_echo",
        "def note(event: AfterCEcho) -> None:",
        "    print(event.remote.ae_title, event.seconds)",
        "",
        "",
        "def veto(event: BeforeCEcho) -> None:",
        '    raise PermissionError("not at night")',
        "",
        "",
        "with scu.events.before_c_echo.listening(veto):",
        "    ...  # nothing is asked here",
        "```",
        "",
        "- **Before**: listeners are asked in the order of their subscription; each sees the changes so far.",
        "  What one raises prevents what was about to happen, and comes to the caller; or fails its instance.",
        "- **After**: listeners only look. What one raises is logged by its type, and keeps nothing from anybody.",
        "- **Every event is frozen.** A change is what a listener returns; None changes nothing.",
        "- A listener runs in the thread that makes the event happen: what it takes long for, the peer waits for.",
    ]
    carried: dict[str, griffe.Class] = {}
    for path, title, where in _SCUS:
        lines += ["", f"## {title}", "", f"Hooks of {where}.", ""]
        lines += [
            "| Hook | | Event | What it tells, and who may change what | A listener may return |",
            "|---|---|---|---|---|",
        ]
        for hook in hooks(package[path]):
            kind, event, change = _hook_types(hook)
            told = _class_named(package, event)
            carried[event] = told
            words = _first_paragraph(hook) or _first_paragraph(told)
            before = "before" if kind == "BeforeHook" else "after"
            if words.find("Nothing") >= 0:
                change = ""
            changed = " or ".join(f"`{one}`" for one in change.split(" | ")) if change not in ("", "None") else "–"
            lines.append(f"| `{hook.name}` | {before} | [`{event}`](#{event.lower()}) | {words} | {changed} |")
    lines += ["", "# What they carry"]
    for name in sorted(carried):
        lines += ["", f"## {name}", "", *_prose(carried[name]), *_fields(carried[name])]
    return "\n".join(lines) + "\n"


def hooks(owner: griffe.Object) -> Iterator[griffe.Attribute]:
    """Give the hooks of a class in the order in which they stand there."""
    for member in owner.members.values():
        if isinstance(member, griffe.Attribute) and re.match(r"(Before|After)Hook\b", str(member.annotation or "")):
            yield member


def _hook_types(hook: griffe.Attribute) -> tuple[str, str, str]:
    kind, _, inside = str(hook.annotation).rstrip("]").partition("[")
    event, _, change = inside.partition(", ")
    return kind, event, change


def _class_named(package: griffe.Module, name: str) -> griffe.Class:
    for module in _modules(package):
        if isinstance(found := module.members.get(name), griffe.Class):
            return found
    raise LookupError(name)


def _modules(package: griffe.Module) -> Iterator[griffe.Module]:
    """Give every module of a package, whatever room it stands in."""
    for module in package.modules.values():
        yield module
        yield from _modules(module)


# --- The reference ----------------------------------------------------------------------------------------------------


def public(package: griffe.Module, modules: Iterable[str]) -> Iterator[griffe.Object]:
    """Give the public names of some modules, in the order in which they stand in the source.

    Public are those that the package exports, and the types that are named by what is public.
    """
    for name in modules:
        path = name if name.startswith("gurney.") else f"{PACKAGE}.{name}"
        yield from (one for one in _everything(package) if f"{one.module.path}.".startswith(f"{path}."))


@cache
def _everything(package: griffe.Module) -> list[griffe.Object]:
    exported = [package[one].final_target for one in package.exports]
    exported += [package["testing"][one].final_target for one in package["testing"].exports]
    for name in WHOLE:
        exported += [package[name][one] for one in package[name].exports if not package[name][one].is_alias]
    found = {one.path: one for one in exported}
    to_read = [*found.values()]
    while to_read:
        for one in _types_of(to_read.pop()):
            if one.path not in found:
                found[one.path] = one
                to_read.append(one)
    return sorted(found.values(), key=lambda one: (one.module.path, one.lineno or 0))


def _types_of(one: griffe.Object) -> Iterator[griffe.Object]:
    """Give the types of ours that what is told of an object names."""
    for expression in _annotations(one):
        for part in expression.iterate(flat=True) if isinstance(expression, griffe.Expr) else ():
            path = part.canonical_path if isinstance(part, griffe.ExprName) else ""
            if path.startswith("gurney.") and not path.rpartition(".")[2].startswith("_"):
                named = one.modules_collection[path]
                named = named.final_target if named.is_alias else named
                if not str(getattr(named, "value", "")).startswith("TypeVar("):
                    yield named


def _annotations(one: griffe.Object) -> Iterator[griffe.Expr | str | None]:
    if isinstance(one, griffe.Function):
        yield from (parameter.annotation for parameter in one.parameters)
        yield one.returns
    elif isinstance(one, griffe.Attribute):
        yield one.annotation
        yield one.value if str(one.annotation).endswith("TypeAlias") or one.name.istitle() else None
    elif isinstance(one, griffe.Class):
        yield from _bases(one)
        for member in told(one):
            yield from _annotations(member)
        made = _members(one).get("__init__")
        if made is not None and one.name not in HANDED_OUT:
            yield from _annotations(made)


def told(one: griffe.Class) -> Iterator[griffe.Object]:
    """Give what is public of a class."""
    for member in _members(one).values():
        if not member.name.startswith("_") and not member.is_alias and f"{one.name}.{member.name}" not in INSIDE:
            yield member


def _members(one: griffe.Class) -> dict[str, griffe.Object | griffe.Alias]:
    """Give a class's own members, and what it has of a base that nobody knows."""
    own = dict(one.members)
    for base in one.resolved_bases:
        if isinstance(base, griffe.Class) and base.name in HALVES:
            own = _members(base) | own
        elif isinstance(base, griffe.Class) and base.name.startswith("_"):
            own = {name: member for name, member in base.members.items() if not name.startswith("__")} | own
    return own


def _bases(one: griffe.Class) -> Iterator[griffe.Expr | str]:
    """Give a class's bases; for one that nobody knows, those that it has."""
    halves = {base.name: base for base in one.resolved_bases if base.name in HALVES}
    for named in one.bases:
        half = halves.get(str(named))
        if isinstance(half, griffe.Class):
            yield from _bases(half)
        else:
            yield named


def index_page(package: griffe.Module) -> str:
    """Make a page that says for each name where it stands."""
    lines = [
        _HEAD,
        "# API of `gurney.pacs`",
        "",
        "What is public is what a module lists in `__all__`. Times are seconds, lengths are bytes, UIDs and AE titles "
        "are `str` without padding. Every error of ours is a refinement of `gurney.errors.GurneyError`, "
        "[drawn here](errors.md); `ValueError` and `TypeError` are for arguments that no peer is asked about.",
    ]
    for room, (title, modules) in PAGES.items():
        lines += ["", f"## [{title}]({room}.md)", ""]
        for one in public(package, modules.split()):
            words = f": {_first_line(one)}" if one.docstring is not None else ""
            lines.append(f"- [`{one.name}`]({room}.md#{one.name.lower()}){words}")
    return "\n".join(lines) + "\n"


def room_page(title: str, names: list[griffe.Object]) -> str:
    """Make the page of one room."""
    lines = [_HEAD, f"# {title}"]
    for one in names:
        lines += ["", f"## {one.name}", "", f"In `{one.module.path}`.", ""]
        if isinstance(one, griffe.Class):
            lines += _class(one)
        elif isinstance(one, griffe.Function):
            lines += ["```python", _signature(one), "```", "", *_prose(one)]
        else:
            value = str(getattr(one, "value", "") or "")
            lines += [*(["```python", f"{one.name} = {value}", "```", ""] if value else []), *_prose(one)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _class(one: griffe.Class) -> list[str]:
    bases = ", ".join(str(base) for base in _bases(one))
    made = _members(one).get("__init__") if one.name not in HANDED_OUT else None
    head = f"class {one.name}({bases})" if bases else f"class {one.name}"
    lines = ["```python", head]
    if isinstance(made, griffe.Function):
        lines.append(_signature(made, name=one.name))
    lines += ["```", "", *_prose(one)]
    if isinstance(made, griffe.Function):
        lines += _prose(made)
    lines += _fields(one)
    for member in told(one):
        if isinstance(member, griffe.Function):
            kinds = "".join(f"@{label}\n" for label in ("classmethod", "staticmethod") if label in member.labels)
            lines += [
                "",
                f"### {one.name}.{member.name}",
                "",
                "```python",
                kinds + _signature(member),
                "```",
                "",
                *_prose(member),
            ]
        elif isinstance(member, griffe.Attribute) and "property" in member.labels:
            lines += ["", f"### {one.name}.{member.name}", "", f"Property, `{member.annotation}`.", "", *_prose(member)]
    return lines


def _fields(one: griffe.Class) -> list[str]:
    """List what an object holds: fields, members of an enumeration, attributes that have a docstring."""
    rows = []
    is_record = "dataclass" in one.labels or any(str(base) in ("NamedTuple", "TypedDict") for base in one.bases)
    for member in told(one):
        if not isinstance(member, griffe.Attribute) or "property" in member.labels:
            continue
        is_of_instances = "instance-attribute" in member.labels and "class-attribute" not in member.labels
        if is_of_instances and not (member.docstring or is_record):
            continue
        type_ = f"`{member.annotation}`" if member.annotation is not None else ""
        value = str(member.value) if member.value is not None and not str(member.value).startswith("field(") else ""
        if len(value) > 60 or re.match(r"(Before|After)Hook\(", value):
            value = ""
        value = f"`{value}`" if value else ""
        rows.append(f"| `{member.name}` | {_cell(type_)} | {_cell(value)} | {_words(member)} |")
    return ["", "| Field | Type | Value | |", "|---|---|---|---|", *rows, ""] if rows else []


def _words(member: griffe.Attribute) -> str:
    """Say what a field is: by its docstring, or the comment behind it."""
    behind = "".join(member.lines).partition("  # ")[2]
    return _first_paragraph(member) or _cell(behind.replace("``", "`"))


def _signature(function: griffe.Function, *, name: str = "") -> str:
    parts, seen_star = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not seen_star:
            parts.append("*")
            seen_star = True
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(
            parameter.kind, ""
        )
        seen_star = seen_star or stars == "*"
        text = stars + parameter.name + (f": {parameter.annotation}" if parameter.annotation is not None else "")
        if parameter.default is not None and not stars:
            text += f" = {_value_of(parameter.default, function)}"
        parts.append(text)
    returns = f" -> {function.returns}" if function.returns is not None and not name else ""
    head = name or function.name
    line = f"{head}({', '.join(parts)}){returns}"
    return line if len(line) <= 100 else f"{head}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _value_of(default: griffe.Expr | str, function: griffe.Function) -> griffe.Expr | str:
    """Show a default's value, where its name is nobody's business."""
    held = function.module.members.get(str(default)) if str(default).startswith("_") else None
    return held.value if isinstance(held, griffe.Attribute) and held.value is not None else default


# --- Docstrings -------------------------------------------------------------------------------------------------------


def _text(one: griffe.Object) -> str:
    return _ROLE.sub(_named, one.docstring.value) if one.docstring is not None else ""


def _named(found: re.Match[str]) -> str:
    name = found.group(1).removeprefix(f"{PACKAGE}.")
    return f"``{name}``"


def _prose(one: griffe.Object) -> list[str]:
    """Turn a docstring into Markdown: literals, literal blocks; a drawing stays one."""
    lines: list[str] = []
    arguments = _arguments(one)
    is_code = is_list = False
    for line in _text(one).splitlines():
        if is_code and line and not line.startswith(" "):
            lines += ["```", ""]
            is_code = False
        if line.endswith("::"):
            lines += [line[:-1] if line != "::" else "", "", "```python"]
            is_code = True
        elif is_code:
            if line or lines[-1] != "```python":
                lines.append(line.removeprefix("    "))
        else:
            # A paragraph that begins with an argument lists them, and does so in Markdown as well.
            names, colon, _ = line.partition(": ")
            is_item = bool(colon) and {*names.split(", ")} <= arguments
            is_list = bool(line) and (is_list or not lines or not lines[-1]) and (is_list or is_item)
            text = line.replace("``", "`")
            lines.append(text.replace(f"{names}: ", f"- `{names}`: ", 1) if is_list and is_item else text)
    return [*lines, *(["```"] if is_code else []), ""] if lines else []


def _arguments(one: griffe.Object) -> set[str]:
    """Name what a docstring may list: parameters, fields, members."""
    made = one.all_members.get("__init__") if isinstance(one, griffe.Class) else one
    parameters = {each.name for each in made.parameters} if isinstance(made, griffe.Function) else set()
    return parameters | {*one.members}


def _first_paragraph(one: griffe.Object) -> str:
    return _cell(" ".join(_text(one).split("\n\n")[0].split()).replace("``", "`"))


def _first_line(one: griffe.Object) -> str:
    return _text(one).split("\n")[0].replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
