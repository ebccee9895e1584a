"""Find a patient's studies in an archive, retrieve them, and forward those that came whole to somebody else."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from gurney.pacs import DicomEngine, Query, QueryRetrieveScu, RemoteAE, Retrieval, StoreScu


def remote(text: str) -> RemoteAE:
    ae_title, host, port = text.replace("@", ":").split(":")
    return RemoteAE(ae_title, host, int(port))


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("archive", type=remote, help="AE_TITLE@HOST:PORT")
parser.add_argument("to", type=remote, help="AE_TITLE@HOST:PORT")
parser.add_argument("patient_id")
arguments = parser.parse_args()
scu, store = QueryRetrieveScu("GURNEY"), StoreScu("GURNEY")

with DicomEngine(), scu.find(arguments.archive, Query(patient_id=arguments.patient_id)) as search:
    for study in [Retrieval.of(match) for match in search]:
        with TemporaryDirectory() as folder:
            got = scu.retrieve(arguments.archive, study, Path(folder))
            print(study.study_instance_uid, got.verdict, len(got.reconciliation.arrived), "instances")
            if got.is_complete:
                sent = [result.is_stored for result in store.store_folder(arguments.to, folder)]
                print("forwarded", sum(sent), "of", len(sent))
