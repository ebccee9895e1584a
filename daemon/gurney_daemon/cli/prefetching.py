"""``prefetch``: which priors are wanted and why, fetch them, and which descriptions nobody understands."""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gurney.ledger import schedules
from gurney.ledger.aliases import known_ids
from gurney.pacs import DicomEngine
from gurney.prefetch import Current, Plan, Planner, carry_out
from gurney.prefetch.appointments import see_to
from gurney.prefetch.archive import Archive
from gurney.prefetch.orders import see_to_orders
from gurney.settings import Prefetch, Settings
from gurney.settings.regions import read_regions
from gurney.transfer.prefetch import Selected
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, configured_remote, known_name
from gurney_daemon.cli.edge import Edge, failing_in_json, print_json
from gurney_daemon.cli.tables import console, legible, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    prefetch = typer.Typer(help="Say which priors are wanted, and fetch them.", no_args_is_help=True)
    prefetch.command("plan")(show_plan)
    prefetch.command("run")(run)
    prefetch.command("learn")(learn)
    app.add_typer(prefetch, name="prefetch")
    app.command("schedules")(list_schedules)


_RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The name of a [[prefetch]].")]
_Study = Annotated[str, typer.Option("--study", metavar="UID", help="The study that is coming.")]
_Accession = Annotated[str, typer.Option("--accession", metavar="NUMBER", help="Its AccessionNumber.")]
_Description = Annotated[str, typer.Option("--description", metavar="TEXT", help="Its description.")]
_Modality = Annotated[str, typer.Option("--modality", metavar="MODALITY", help="Its modality, such as CT.")]
_Code = Annotated[str, typer.Option("--code", metavar="CODE", help="Its procedure code.")]


def show_plan(
    ctx: typer.Context,
    name: _RuleName,
    patient: Annotated[
        str, typer.Option("--patient", metavar="ID", help="The PatientID; all of one patient's with commas between.")
    ],
    study: _Study = "",
    accession: _Accession = "",
    description: _Description = "",
    modality: _Modality = "",
    code: _Code = "",
    as_json: AsJson = False,
) -> None:
    """Say which priors a rule would fetch, and why each is chosen or not. Nothing is fetched."""
    edge: Edge = ctx.obj
    with failing_in_json(wanted=as_json):
        rule = _rule(edge.settings, name)
        current = _current(study, accession, description, modality, code)
        with edge.ledger() as ledger, ledger.read() as conn:
            ids = known_ids(conn, _ids(patient))
        with DicomEngine():
            plan = Planner(edge.settings).plan(rule, ids, current)
    if as_json:
        print_json(_document(plan) | {"patient_ids": len(ids)})
    else:
        if len(ids) > 1:
            typer.echo(f"asked for under {len(ids)} patient IDs", err=True)
        _show(plan)
    if not plan.is_whole:
        raise typer.Exit(1)


def run(
    ctx: typer.Context,
    name: _RuleName,
    patient: Annotated[
        list[str] | None,
        typer.Option("--patient", metavar="ID", help="As for plan; may be repeated. Else whoever the rule says comes."),
    ] = None,
    study: _Study = "",
    accession: _Accession = "",
    description: _Description = "",
    modality: _Modality = "",
    code: _Code = "",
    as_json: AsJson = False,
) -> None:
    """Fetch what a rule wants of these patients, or of all who come: a retrieval for each prior that is missing."""
    edge: Edge = ctx.obj
    if not patient:
        _run_for_all(edge, name, as_json=as_json)
        return
    done = []
    with failing_in_json(wanted=as_json):
        rule = _rule(edge.settings, name)
        current = _current(study, accession, description, modality, code)
        with edge.ledger() as ledger, DicomEngine():
            for ids in map(_ids, patient):
                done.append(carry_out(edge.settings, ledger, rule, ids, current, actor=edge.actor))
                edge.ring(ledger, done[-1].bells)
    if as_json:
        print_json(
            {
                "ok": all(one.plan.is_whole for one in done),
                "plans": [
                    {**_document(one.plan), "retrievals": [asked.retrieval_id for asked in one.asked]} for one in done
                ],
            }
        )
    else:
        asked = [each for one in done for each in one.asked]
        known = sum(not each.is_new for each in asked)
        typer.echo(
            f"{several(len(asked), 'retrieval')} for {several(len(done), 'patient')}"
            + (f", {known} of them asked for already" if known else "")
        )
        for one in done:
            _tell_unanswered(one.plan)
    if not all(one.plan.is_whole for one in done):
        raise typer.Exit(1)


def _run_for_all(edge: Edge, name: str, *, as_json: bool) -> None:
    """Do a rule as its schedule would, at once."""
    now = time.time()
    with failing_in_json(wanted=as_json):
        rule = _rule(edge.settings, name)
        with edge.ledger() as ledger, DicomEngine():
            ring = partial(edge.ring, ledger)
            if rule.hl7:
                seen = see_to_orders(edge.settings, ledger, rule, now, ring, actor=edge.actor, anew=True)
            else:
                seen = see_to(edge.settings, ledger, rule, now, now, ring, actor=edge.actor)
    if as_json:
        print_json(
            {
                "ok": not seen.words,
                "patients": seen.comers,
                "retrievals": seen.retrievals,
                "trouble": seen.trouble,
                "mistakes": [{"line": one.line, "words": one.words} for one in seen.mistakes],
            }
        )
    else:
        typer.echo(f"{several(seen.retrievals, 'retrieval')} for {several(seen.comers, 'patient')}")
        for mistake in seen.mistakes:
            typer.echo(f"line {mistake.line}: {mistake.words}", err=True)
        if seen.trouble:
            typer.echo(legible(seen.trouble), err=True)
    if seen.words:
        raise typer.Exit(1)


def list_schedules(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List when each rule of prefetch is next done, and what came of it last."""
    edge: Edge = ctx.obj
    zone = ZoneInfo(edge.settings.node.timezone)
    with edge.ledger() as ledger, ledger.read() as conn:
        known = schedules.schedules(conn)
    told = []
    for rule in edge.settings.prefetch:
        row = known.get(rule.name, {})
        told.append(
            {
                "rule": rule.name,
                "schedule": rule.schedule,
                "every_seconds": rule.every,
                "hl7": rule.hl7,
                "next": _iso(row.get("look_at"), zone),
                "tries": row.get("tries", 0),
                "last": _iso(row.get("done_at"), zone),
                "patients": row.get("patients", 0),
                "retrievals": row.get("retrievals", 0),
                "words": row.get("words", ""),
            }
        )
    if as_json:
        print_json({"schedules": told})
        return
    rows = (
        (
            one["rule"],
            one["next"] or ("as messages come" if one["hl7"] else "never by itself"),
            one["last"] or "",
            one["patients"],
            one["retrievals"],
            one["words"],
        )
        for one in told
    )
    console().print(table(("RULE", "NEXT", "LAST", "PATIENTS", "RETRIEVALS", "WHY"), rows))


def _iso(moment: float | None, zone: ZoneInfo) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, zone).isoformat(timespec="minutes")


def learn(
    ctx: typer.Context,
    name: Annotated[str, typer.Option("--from", metavar="NAME", help="The [[remote]] to ask.")],
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, help="Studies of the last N days.")] = 90,
    regions: Annotated[str, typer.Option("--regions", metavar="FILE", help="A regions.toml of your own.")] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many descriptions at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the descriptions that map to no body region, the most frequent first: what your regions.toml lacks."""
    edge: Edge = ctx.obj
    studies = 0
    unknown: Counter[str] = Counter()
    modalities: dict[str, set[str]] = {}
    with failing_in_json(wanted=as_json):
        configured_remote(edge.settings, name)
        known = read_regions(os.path.abspath(regions) if regions else "")
        first = _today() - timedelta(days=days)
        with DicomEngine(), Archive(edge.settings, name).asked() as archive:
            for study in archive.studies_since(first):
                studies += 1
                if not known.locate(codes=study.procedure_codes, description=study.description).regions:
                    unknown[study.description] += 1
                    modalities.setdefault(study.description, set()).update(study.modalities)
    listed = sorted(unknown.items(), key=lambda one: (-one[1], one[0]))[:limit]
    rows = [(count, ", ".join(sorted(modalities[text])), text) for text, count in listed]
    if as_json:
        descriptions = [
            {"description": text, "studies": count, "modalities": sorted(modalities[text])} for text, count in listed
        ]
        document = {"remote": name, "studies": studies, "unknown": unknown.total(), "descriptions": descriptions}
        print_json(document)
        return
    if rows:
        console().print(table(["STUDIES", "MODALITIES", "DESCRIPTION"], rows))
    typer.echo(f"no region is known for {unknown.total()} of the {studies} studies since {first}", err=True)


def _rule(settings: Settings, name: str) -> Prefetch:
    known_name(name, (rule.name for rule in settings.prefetch), "[[prefetch]]")
    return next(rule for rule in settings.prefetch if rule.name == name)


def _ids(text: str) -> list[str]:
    ids = [one.strip() for one in text.split(",") if one.strip()]
    if not ids:
        raise typer.BadParameter("there is no ID in it", param_hint="--patient")
    return ids


def _today() -> date:
    return date.today()  # noqa: DTZ011 - the day on the wall: studies are dated so


def _current(study: str, accession: str, description: str, modality: str, code: str) -> Current:
    return Current(
        _today(),
        study,
        accession,
        description,
        (code,) if code else (),
        tuple(one for one in modality.split(",") if one),
    )


def _show(plan: Plan) -> None:
    for one in plan.selected:
        candidate = one.judged.candidate
        what = [str(candidate.study_date or "no date"), "/".join(candidate.modalities) or "?", candidate.description]
        to = f" to {', '.join(one.targets)}" if one.targets else ""
        size = "?" if candidate.instances is None else several(candidate.instances, "instance")
        typer.echo(f"{one.verdict.upper()}{to} from {candidate.source}, score {one.judged.score}")
        typer.echo(f"    {legible(' '.join(what))}, {size}, {candidate.study_instance_uid}")
        for reason in one.judged.reasons:
            typer.echo(f"    {legible(str(reason))}")
        if one.words:
            typer.echo(f"    {one.verdict}: {legible(one.words)}")
    typer.echo(f"studies seen: {len(plan.selected)}, to fetch: {len(plan.to_fetch)}", err=True)
    _tell_unanswered(plan)


def _tell_unanswered(plan: Plan) -> None:
    for one in plan.unanswered:
        effect = "there may be more priors" if one.is_source else "what it has already is not known"
        typer.echo(f"{one.remote} could not be asked, {effect}: {legible(one.words)}", err=True)


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "rule": plan.rule,
        "ok": plan.is_whole,
        "studies": [_entry(one) for one in plan.selected],
        "unanswered": [
            {"remote": one.remote, "error": one.words, "is_source": one.is_source} for one in plan.unanswered
        ],
    }


def _entry(one: Selected) -> dict[str, Any]:
    candidate = one.judged.candidate
    return {
        "study_instance_uid": candidate.study_instance_uid,
        "source": candidate.source,
        "study_date": candidate.study_date.isoformat() if candidate.study_date else None,
        "description": candidate.description,
        "modalities": list(candidate.modalities),
        "instances": candidate.instances,
        "verdict": str(one.verdict),
        "why": one.words,
        "to": list(one.targets),
        "score": one.judged.score,
        "reasons": [
            {"aspect": reason.aspect, "points": reason.points, "why": reason.words} for reason in one.judged.reasons
        ],
    }
