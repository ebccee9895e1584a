"""Find studies by patient, date and modality, and print what the archive says of them."""

import argparse
from datetime import date

from gurney.pacs import DicomEngine, GurneyError, Query, QueryRetrieveScu, Range, RemoteAE, Study

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("--patient-id", default="", help="may have * and ? in it")
parser.add_argument("--patient-name", default="", help="such as Doe*")
parser.add_argument("--modality", default="")
parser.add_argument("--since", type=date.fromisoformat, help="such as 2024-01-31")
parser.add_argument("--limit", type=int, default=100)
arguments = parser.parse_args()

archive = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
query = Query(
    patient_id=arguments.patient_id,
    patient_name=arguments.patient_name,
    modalities=arguments.modality,
    study_date=Range(arguments.since) if arguments.since else "",
)

try:
    with DicomEngine(), QueryRetrieveScu("GURNEY").find(archive, query, limit=arguments.limit) as search:
        for match in search:
            study = match.info
            if isinstance(study, Study):
                print(study.study_instance_uid, study.study_date, "+".join(study.modalities), study.patient.name)
        print(search.count, "studies" if search.is_complete else "studies, and there may be more")
except GurneyError as error:
    raise SystemExit(str(error)) from error
