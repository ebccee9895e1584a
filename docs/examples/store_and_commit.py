"""Store files, and say of each whether the archive has committed itself to keep it (PS3.4 annexes B and J).

The archive must know our AE title with this host and port, to answer on an association of its own.
"""

import argparse
from pathlib import Path

from gurney.pacs import DicomEngine, GurneyError, Listener, RemoteAE, SopReference, StoreScu

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("files", nargs="+", type=Path)
parser.add_argument("--as", dest="calling_ae_title", default="GURNEY", help="our AE title")
parser.add_argument("--listen", type=int, default=11112, metavar="PORT", help="where the archive finds us")
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
scu = StoreScu(arguments.calling_ae_title)

try:
    with DicomEngine(), Listener(arguments.calling_ae_title, host="", port=arguments.listen) as listener:
        results = list(scu.store_many(archive, arguments.files))
        for result in results:
            if not result.is_stored:
                print(f"{result.request.path}: {result.event.detail or result.event.kind}")
        stored = [result for result in results if result.is_stored]
        print(f"{len(stored)} of {len(results)} stored")
        if not stored:
            raise SystemExit("nothing to commit to")
        references = [SopReference(result.request.sop_class_uid, result.sop_instance_uid) for result in stored]
        commitment = scu.commit(archive, references, listener=listener)
        for one in commitment.uncommitted:
            print(one.reference.sop_instance_uid, one.words)
        print(f"{len(commitment.committed)} committed, {len(commitment.unanswered)} unknown")
except GurneyError as error:
    raise SystemExit(str(error)) from error
