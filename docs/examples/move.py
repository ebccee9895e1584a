"""Have an archive send a study to an AE title that it knows, or here."""

import argparse
from pathlib import Path

from gurney.pacs import DicomEngine, GurneyError, Listener, QueryRetrieveScu, RemoteAE, Retrieval

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("study", help="Study Instance UID")
parser.add_argument("--to", default="WORKSTATION", help="move destination")
parser.add_argument("--here", type=Path, help="a folder of ours; then --to is our own AE title")
parser.add_argument("--own-host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all")
parser.add_argument("--own-port", type=int, default=11112, help="where the archive looks for us")
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
what = Retrieval(study_instance_uid=arguments.study)
scu = QueryRetrieveScu("GURNEY")

try:
    with DicomEngine():
        if arguments.here is None:
            for report in scu.move(archive, what, arguments.to):
                print(report.completed, "sent,", report.remaining or 0, "to go")
        else:
            with Listener(arguments.to, arguments.here, host=arguments.own_host, port=arguments.own_port) as listener:
                result = scu.retrieve(archive, what, listener)
            arrived, missing = result.reconciliation.arrived, result.reconciliation.missing
            print(result.verdict, len(arrived), "here,", len(missing), "missing")
            if result.error is not None:
                print(result.error)
except GurneyError as error:
    raise SystemExit(str(error)) from error
