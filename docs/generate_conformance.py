"""Write the tables of the conformance statement from the code that negotiates. ``make docs`` does; a test holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydicom.uid import UID, UID_dictionary

from gurney.dicom.status import Service, describe
from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS, VERIFICATION_SOP_CLASS
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.commitment.scu import STORAGE_COMMITMENT_CONTEXTS
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.listener.admission import is_storage_class, is_transfer_syntax
from gurney.pacs.query.models import MODALITY_WORKLIST, STUDY_ROOT
from gurney.pacs.query_retrieve.associating import QUERY_TRANSFER_SYNTAXES
from gurney.pacs.tls.contexts import cipher_suites
from gurney.pacs.tls.options import TlsProfile
from gurney.settings import Receiver, Remote, Retrieve
from gurney.settings.model import Timeouts
from gurney.transfer.statuses import Verdict, verdict

STATEMENT = Path(__file__).with_name("conformance.md")
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# What a receiver answers; the words are what it means to whom is answered.
RECEIVER_STATUSES = {
    0x0000: "the instance is on the disk and in the ledger; also one that was there already, with the same data set",
    0x0111: 'another data set has this SOP Instance UID, and `on_conflict = "reject"`',
    0x0122: "its SOP class is not that of the presentation context",
    0xA700: "no room, too long, or spool or ledger are away: send it again later",
    0xA900: "the UIDs of data set and command are not the same",
    0xC000: "the data set can't be read to its end",
}
_VERDICTS = {
    Verdict.STORED: "done",
    Verdict.WARNED: "done, with a warning",
    Verdict.DUPLICATE: "done with a warning, or failed, as `duplicate` says",
    Verdict.CROWDED: "sent again, later and later",
    Verdict.AMBIGUOUS: "sent again; the instance's fault or the peer's by what its neighbours meet",
    Verdict.PERMANENT: "failed",
    Verdict.SOP_CLASS_REFUSED: "failed, with all of its SOP class, until the peer is asked anew",
    Verdict.NOT_AUTHORISED: "the destination is held, or the instance sent again",
    Verdict.SAME_MESSAGE_ID: "sent again at once",
    Verdict.UNKNOWN: "sent again, as what may pass",
}
_STATUSES = (
    *(0x0000, 0x0107, 0x0110, 0x0111, 0x0112, 0x0117, 0x0122, 0x0124, 0x0210, 0x0211, 0x0213),
    *(0xA700, 0xA900, 0xB000, 0xB006, 0xB007, 0xC000),
)
_LIBRARY = {
    "Query/Retrieve, Patient Root and Patient/Study Only, C-FIND, C-MOVE, C-GET": "QueryRetrieveScu",
    "Unified Procedure Step Pull, C-FIND": "QueryRetrieveScu",
    "Modality Performed Procedure Step, N-CREATE, N-SET": "PerformedProcedureStepScu",
    "Instance Availability Notification, N-CREATE": "InstanceAvailabilityScu",
    "Media Creation Management, N-CREATE, N-ACTION, N-GET": "MediaCreationManagementScu",
    "Basic Grayscale and Color Print Management": "PrintManagementScu",
}


def storage_classes() -> list[str]:
    """Return the storage SOP classes that the dictionary names."""
    return sorted((uid for uid in _known("SOP Class") if is_storage_class(uid)), key=_order)


def transfer_syntaxes() -> list[str]:
    """Return the transfer syntaxes in which a receiver takes instances."""
    return sorted((uid for uid in _known("Transfer Syntax") if is_transfer_syntax(uid)), key=_order)


def retrieve_proposals() -> list[tuple[str, str]]:
    """Return what a retrieve proposes besides storage."""
    classes = (STUDY_ROOT.find, STUDY_ROOT.move)
    return [(uid, syntax) for uid in classes for syntax in QUERY_TRANSFER_SYNTAXES]


def text() -> str:
    """Return the statement with its tables as the code has them."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{_TABLES[found[2]]()}\n\n{found[3]}", STATEMENT.read_text())


def _known(kind: str) -> Iterator[str]:
    return (uid for uid, (_, its_kind, *_) in UID_dictionary.items() if its_kind == kind)


def _order(uid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in uid.split("."))


def _table(heading: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(heading)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _name(uid: str) -> str:
    return str(UID(uid).name) or "not named"


def _proposals(rows: Iterable[tuple[str, str, str]]) -> str:
    heading = ("SOP class", "UID", "Transfer syntax", "Role")
    return _table(heading, ((_name(uid), uid, f"{_name(syntax)}, {syntax}", role) for uid, syntax, role in rows))


def _overview() -> str:
    yes, no = "yes", "no"
    return _table(
        ("Service", "SCU", "SCP"),
        (
            ("Verification", yes, yes),
            ("Storage, every SOP class", yes, yes),
            ("Query/Retrieve, Study Root, C-FIND", yes, no),
            ("Query/Retrieve, Study Root, C-MOVE", yes, no),
            ("Query/Retrieve, Study Root, C-GET", yes, no),
            ("Modality Worklist, C-FIND", yes, no),
            ("Storage Commitment Push Model", yes, no),
        ),
    )


def _general() -> str:
    waits = Timeouts()
    return _table(
        ("", ""),
        (
            ("Application context", "1.2.840.10008.3.1.1.1"),
            ("Implementation class UID", IMPLEMENTATION_CLASS_UID),
            ("Implementation version name", IMPLEMENTATION_VERSION_NAME),
            ("Maximum PDU that is received", f"{Remote.model_fields['max_pdu'].default} bytes, `max_pdu` of a remote"),
            ("Maximum PDU that is sent", "what the peer takes"),
            ("Asynchronous operations", "not negotiated: one at a time"),
            ("Connecting", f"{waits.connect:g} s"),
            ("An answer to an association or release request", f"{waits.acse:g} s"),
            ("A response to C-STORE", f"{waits.store:g} s"),
            ("The next response to C-FIND", f"{waits.find:g} s"),
            ("The next response to C-MOVE or C-GET", f"{waits.move_idle:g} s"),
        ),
    )


def _storage_proposals() -> str:
    test = (VERIFICATION.sop_class_uid, VERIFICATION.transfer_syntax_uid)
    rows = [
        ("that of each instance", "", "that of each instance", "SCU"),
        (_name(test[0]), test[0], _name(test[1]), "SCU"),
    ]
    return _table(("SOP class", "UID", "Transfer syntax", "Role"), rows)


def _store_statuses() -> str:
    rows = ((describe(code, Service.C_STORE), _VERDICTS[verdict(code)]) for code in _STATUSES)
    return _table(("Status", "The instance is"), rows)


def _receiver_contexts() -> str:
    plain = ", ".join(_name(uid) for uid in QUERY_TRANSFER_SYNTAXES)
    return _table(
        ("SOP class", "UID", "Transfer syntaxes", "Role"),
        (
            (_name(VERIFICATION_SOP_CLASS), VERIFICATION_SOP_CLASS, plain, "SCP"),
            (
                "every storage SOP class ([annex](#storage-sop-classes))",
                "",
                "all of the [annex](#transfer-syntaxes)",
                "SCP",
            ),
            (_name(STORAGE_COMMITMENT_SOP_CLASS), STORAGE_COMMITMENT_SOP_CLASS, plain, "SCU, for reports"),
        ),
    )


def _receiver_statuses() -> str:
    return _table(("Status", "When"), ((f"{code:04X}", words) for code, words in RECEIVER_STATUSES.items()))


def _retrieve_proposals() -> str:
    get = [(STUDY_ROOT.get, syntax) for syntax in QUERY_TRANSFER_SYNTAXES]
    return _proposals((uid, syntax, "SCU") for uid, syntax in [*retrieve_proposals(), *get])


def _proving_proposals() -> str:
    asked = [(one.sop_class_uid, one.transfer_syntax_uid) for one in STORAGE_COMMITMENT_CONTEXTS]
    queries = [(STUDY_ROOT.find, syntax) for syntax in QUERY_TRANSFER_SYNTAXES]
    return _proposals((uid, syntax, "SCU") for uid, syntax in [*asked, *queries])


def _prefetch_proposals() -> str:
    classes = (STUDY_ROOT.find, MODALITY_WORKLIST.find)
    return _proposals((uid, syntax, "SCU") for uid in classes for syntax in QUERY_TRANSFER_SYNTAXES)


def _configuration() -> str:
    receiver, retrieve = Receiver.model_fields, Retrieve.model_fields
    return _table(
        ("Parameter", "Key", "Default"),
        (
            ("Our AE title", "`[node] ae_title`", "GURNEY"),
            ("AE titles of a receiver", "`ae_titles`", "`[node] ae_title`"),
            ("Port of a receiver", "`port`", receiver["port"].default),
            ("AE title of the retrieve receiver", "`[retrieve] ae_title`", retrieve["ae_title"].default),
            ("Port of the retrieve receiver", "`[retrieve] port`", retrieve["port"].default),
            ("Associations of a receiver at once", "`max_associations`", receiver["max_associations"].default),
            ("Associations to a remote at once", "`max_associations`", Remote.model_fields["max_associations"].default),
            ("Remote AEs", "`[[remote]]` name, ae_title, host, port", "none"),
        ),
    )


def _tls() -> str:
    names = {TlsProfile.BCP_195: "BCP 195 (B.12)", TlsProfile.MODIFIED_BCP_195: "Modified BCP 195 (B.13)"}
    return _table(
        ("Profile", "Key", "Versions", "Cipher suites of TLS 1.2"),
        ((names[one], f'`profile = "{one.value}"`', "1.2, 1.3", ", ".join(cipher_suites(one))) for one in TlsProfile),
    )


def _library() -> str:
    return _table(("Service", "By"), ((service, f"`{by}`") for service, by in _LIBRARY.items()))


_TABLES: dict[str, Callable[[], str]] = {
    "overview": _overview,
    "general": _general,
    "storage-proposals": _storage_proposals,
    "store-statuses": _store_statuses,
    "receiver-contexts": _receiver_contexts,
    "receiver-statuses": _receiver_statuses,
    "retrieve-proposals": _retrieve_proposals,
    "proving-proposals": _proving_proposals,
    "prefetch-proposals": _prefetch_proposals,
    "configuration": _configuration,
    "tls": _tls,
    "storage-classes": lambda: _table(("SOP class", "UID"), ((_name(uid), uid) for uid in storage_classes())),
    "transfer-syntaxes": lambda: _table(("Transfer syntax", "UID"), ((_name(uid), uid) for uid in transfer_syntaxes())),
    "library": _library,
}

if __name__ == "__main__":
    STATEMENT.write_text(text())
