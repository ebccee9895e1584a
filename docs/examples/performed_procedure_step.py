"""Tell a department what a modality does: a step begins, gets a series, and is completed (PS3.4 annex F)."""

import argparse

from pydicom.uid import generate_uid

from gurney.pacs import (
    DicomEngine,
    GurneyError,
    PerformedProcedureStep,
    PerformedProcedureStepScu,
    PerformedSeries,
    RemoteAE,
    ScheduledStep,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("--calling", default="CT1", help="our AE title")
arguments = parser.parse_args()

department = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
# With a worklist: ScheduledStep.of_worklist(match.dataset)
scheduled = ScheduledStep(generate_uid(), accession_number="A4711", step_id="SPS1")
step = PerformedProcedureStep("PPS1", arguments.calling, "CT", [scheduled], patient_name="Doe^Jane", patient_id="4711")
images = [("1.2.840.10008.5.1.4.1.1.2", generate_uid()) for _ in range(3)]

try:
    with DicomEngine():
        begun = PerformedProcedureStepScu(arguments.calling).begin(department, step)
        print("IN PROGRESS:", begun.sop_instance_uid)
        series = PerformedSeries(generate_uid(), "Head", images=images)
        begun.tell_series([series])
        print(begun.complete([series]).words)
        print(f"{begun.status}: {len(images)} images")
except GurneyError as error:
    raise SystemExit(str(error)) from error
