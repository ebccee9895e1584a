"""Ask a Modality Worklist what is scheduled on a day for a station or a modality (PS3.4 annex K)."""

import argparse
from datetime import date

from gurney.pacs import DicomEngine, GurneyError, ModalityWorklistQuery, QueryRetrieveScu, RemoteAE

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("--station", default="", help="AE title of the modality")
parser.add_argument("--modality", default="")
parser.add_argument("--day", type=date.fromisoformat, required=True, help="such as 2024-01-31")
arguments = parser.parse_args()

worklist = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
query = ModalityWorklistQuery(station_ae_title=arguments.station, modality=arguments.modality, start_date=arguments.day)

try:
    with DicomEngine(), QueryRetrieveScu(arguments.station or "GURNEY").find(worklist, query) as search:
        for match in search:
            step = match.value
            print(step.start_time, step.modality, step.accession_number, step.patient_name)
        print(search.count, "steps")
except GurneyError as error:
    raise SystemExit(str(error)) from error
