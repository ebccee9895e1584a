"""``find``: ask a remote what it has, as it comes, for people or for scripts."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Annotated

import typer

from gurney.dicom.status import Service, describe
from gurney.errors import GurneyError
from gurney.pacs import DicomEngine, InvalidQuery, QueryRetrieveScu
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson
from gurney_daemon.cli.bars import bar
from gurney_daemon.cli.edge import Edge, failing_in_json
from gurney_daemon.cli.peer import is_address, peer_named
from gurney_daemon.cli.question import MODELS, Depth, Filters, Question, question
from gurney_daemon.cli.tables import console, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("find")(find)


def _depth(word: str | Depth) -> Depth:
    # Typer has an option's default parsed as well.
    named = {**{depth.value: depth for depth in Depth}, "instance": Depth.IMAGE}
    if word not in named:
        raise typer.BadParameter(f"{word!r} is no level: use {', '.join(Depth)}")
    return named[word]


def _model(word: str) -> str:
    if word and word not in MODELS:
        raise typer.BadParameter(f"{word!r} is no model: use {', '.join(MODELS)}")
    return word


def find(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys by keyword; KEY= only asks what it is."),
    ] = None,
    name: Annotated[
        str,
        typer.Option("--from", metavar="NAME", help="The [[remote]], or AE_TITLE@HOST:PORT; or as the first word."),
    ] = "",
    level: Annotated[
        Depth,
        typer.Option("--level", metavar="LEVEL", parser=_depth, help="patient, study, series, image or worklist."),
    ] = Depth.STUDY,
    patient_id: Annotated[str, typer.Option("--patient-id", metavar="ID", help="PatientID.")] = "",
    patient_name: Annotated[
        str, typer.Option("--patient-name", metavar="NAME", help="PatientName; * and ? may be in it.")
    ] = "",
    accession: Annotated[str, typer.Option("--accession", metavar="NUMBER", help="AccessionNumber.")] = "",
    date: Annotated[
        str, typer.Option("--date", metavar="DATE", help="YYYYMMDD, or a range: 20240101-20240131, 20240101-.")
    ] = "",
    modality: Annotated[str, typer.Option("--modality", metavar="MODALITY", help="Such as CT.")] = "",
    study: Annotated[
        str, typer.Option("--study", metavar="UID", help="StudyInstanceUID; several with commas between.")
    ] = "",
    series: Annotated[str, typer.Option("--series", metavar="UID", help="SeriesInstanceUID.")] = "",
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY=VALUE", help="As KEY=VALUE; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="MODEL", parser=_model, help=f"{', '.join(MODELS)}.")] = "",
    relational: Annotated[
        bool, typer.Option("--relational", help="Keys of any level at any level, if the peer agrees.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Enough after so many matches.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a remote what it has (C-FIND). Ctrl-C cancels, and what came until then is shown."""
    edge: Edge = ctx.obj
    filters = Filters(
        patient_id=patient_id,
        patient_name=patient_name,
        accession=accession,
        date=date,
        modality=modality,
        study=study,
        series=series,
    )
    with ExitStack() as stack:
        with failing_in_json(wanted=as_json):
            name, named = _sorted_out(name, [*(words or ()), *(keys or ())])
            try:
                asked = question(level, filters, named, model=model, relational=relational)
            except InvalidQuery as error:
                raise typer.BadParameter(str(error)) from error
            peer = peer_named(edge.settings, name)
            scu = QueryRetrieveScu(peer.calling_ae_title, relational=relational)
            stack.enter_context(DicomEngine())
            association = stack.enter_context(scu.associate_for(peer.remote, asked.query.model))
            asking = _Asking(association, asked, limit)
        if as_json:
            _write(asking, name)
        else:
            _show(asking, name)
    asking.end()


def _sorted_out(name: str, words: list[str]) -> tuple[str, list[str]]:
    """Tell the remote's name, or its address, from the keys among the words."""
    names = [word for word in words if "=" not in word]
    if name:
        names.insert(0, name)
    if not names:
        raise typer.BadParameter("whom to ask is missing", param_hint="--from")
    if len(names) > 1:
        if is_address(names[0]) and "@" not in names[0]:
            raise typer.BadParameter(f"whom to call stands before its address: {names[1]}@{names[0]}")
        raise typer.BadParameter(f"{names[1]!r} is no KEY=VALUE")
    return names[0], [word for word in words if "=" in word]


class _Asking:
    """One search, and how it ended: what has come is shown whatever became of the rest."""

    def __init__(self, association: QueryAssociation, asked: Question, limit: int | None) -> None:
        self.asked = asked
        self.search = association.find(asked.query, limit=limit)
        self._association, self._limit = association, limit
        self._is_interrupted = False
        self.error: GurneyError | None = None

    def answers(self) -> Iterator[Mapping[str, str]]:
        """Give what each match says."""
        with self._interruptible(), self.search:
            try:
                for match in self.search:
                    yield self.asked.answer(match.value)
            except GurneyError as error:
                self.error = error

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C cancel what is asked; the next one ends the command."""

        def cancel(_number: int, _frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, former)
            self._is_interrupted = True
            self._association.cancel()

        former = signal.signal(signal.SIGINT, cancel)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, former)

    @property
    def is_ok(self) -> bool:
        """Whether neither the peer nor a Ctrl-C ended it."""
        return self.error is None and not self._is_interrupted

    def summary(self) -> str:
        """Say how much came, and why it may not be all."""
        search = self.search
        words = ["1 match" if search.count == 1 else f"{search.count} matches"]
        if search.filtered:
            words.append(f"left out {several(search.filtered, 'answer')} that did not match what was asked")
        if search.ignores_optional_keys:
            words.append("the peer ignores some optional keys of what was asked")
        if self._is_interrupted:
            words.append("cancelled, there may be more")
        elif self._limit is not None and search.count >= self._limit and search.status is None:
            words.append("there may be more than --limit")
        elif search.status:
            words.append(describe(search.status, Service.C_FIND))
        return "; ".join(words)

    def end(self) -> None:
        """End the command as the search has ended."""
        if self.error is not None:
            raise self.error
        if self._is_interrupted:
            raise typer.Exit(1)


def _show(asking: _Asking, name: str) -> None:
    rows: list[list[str]] = []
    with bar(f"Asking {name}") as progress:
        for answer in asking.answers():
            # A backslash divides values (PS3.5 6.4); for people a comma does.
            rows.append([value.replace("\\", ", ") for value in answer.values()])
            progress.show(len(rows), "matches")
    if rows:
        console().print(table(asking.asked.heads, rows))
    if asking.error is None or rows or asking.search.filtered:  # else that nothing came is the error's to say
        typer.echo(asking.summary(), err=True)


def _write(asking: _Asking, name: str) -> None:
    """Write one document while its matches come: there may be more of them than fit into memory."""
    query, search = asking.asked.query, asking.search
    head = {"remote": name, "model": query.model.name, "level": query.level}
    sys.stdout.write(json.dumps(head, indent=2).removesuffix("\n}") + ',\n  "matches": [')
    for number, answer in enumerate(asking.answers()):
        sys.stdout.write(("," if number else "") + "\n    " + json.dumps(answer))
    tail = {
        "ok": asking.is_ok,
        "error": "" if asking.error is None else str(asking.error),
        "count": search.count,
        "filtered": search.filtered,
        "complete": search.is_complete,
        "status": search.status,
    }
    sys.stdout.write(("\n  ]" if search.count else "]") + "," + json.dumps(tail, indent=2).removeprefix("{") + "\n")
