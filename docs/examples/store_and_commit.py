"""Store files, and say of each whether the archive has committed itself to keep it (PS3.4 annexes B and J).

The archive must know our AE title with this host and port, to answer on an association of its own.
"""

import argparse
from pathlib import Path

from gurney.pacs import CommitmentWait, DicomEngine, Listener, RemoteAE, SopReference, StoreScu
from gurney.pacs.commitment_events import BeforeStorageCommitment

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("files", nargs="+", type=Path)
parser.add_argument("--as", dest="calling_ae_title", default="GURNEY", help="our AE title")
parser.add_argument("--listen", type=int, default=11112, metavar="PORT", help="where the archive finds us")
parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for an answer on a new association")
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
scu = StoreScu(arguments.calling_ae_title)


@scu.events.before_storage_commitment
def keep(event: BeforeStorageCommitment) -> None:
    # By its UID the answer is known, should it come when this program has ended.
    print("transaction", event.request.transaction_uid)


with DicomEngine(), Listener(arguments.calling_ae_title, host="", port=arguments.listen) as listener:
    stored = []
    for result in scu.store_many(archive, arguments.files):
        if result.is_stored:
            stored.append(SopReference(result.request.sop_class_uid, result.sop_instance_uid))
        else:
            print("not stored", result.sop_instance_uid, result.event.kind.value)
    wait = CommitmentWait(at_listener=arguments.wait)
    commitment = scu.commit(archive, stored, wait=wait, listener=listener)
    for reference in commitment.committed:
        print("safe", reference.sop_instance_uid)
    for one in commitment.uncommitted:
        print("not safe", one.reference.sop_instance_uid, one.words)
    for reference in commitment.unanswered:
        print("unknown", reference.sop_instance_uid)
