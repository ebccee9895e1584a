"""Get a study into a folder over one's own association, ask again for what is missing, and say what is proved."""

import argparse
from pathlib import Path

from gurney.pacs import DicomEngine, GurneyError, QueryRetrieveScu, RemoteAE, Retrieval
from gurney.pacs.events import InstanceReceived

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("study", help="Study Instance UID")
parser.add_argument("folder", type=Path)
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
scu = QueryRetrieveScu("GURNEY")


@scu.events.received
def show(event: InstanceReceived) -> None:
    print(event.received.sop_instance_uid)


try:
    with DicomEngine():
        arguments.folder.mkdir(exist_ok=True)
        result = scu.retrieve(archive, Retrieval(study_instance_uid=arguments.study), arguments.folder)
        arrived, missing = result.reconciliation.arrived, result.reconciliation.missing
        for part in result.again:
            missing -= scu.retrieve(archive, part, arguments.folder).reconciliation.arrived
        print(f"{result.verdict}: {len(arrived)} arrived at once, {len(missing)} are missing")
except GurneyError as error:
    raise SystemExit(str(error)) from error
