"""Tell who waits for it that a series can be retrieved, and where (PS3.4 annex R)."""

import argparse

from pydicom.uid import generate_uid

from gurney.pacs import (
    AvailableInstance,
    DicomEngine,
    GurneyError,
    InstanceAvailability,
    InstanceAvailabilityScu,
    RemoteAE,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("--archive", default="ARCHIVE", help="the AE title from which to retrieve")
arguments = parser.parse_args()

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

instances = [AvailableInstance(CT_IMAGE_STORAGE, generate_uid(), arguments.archive) for _ in range(3)]
notification = InstanceAvailability(generate_uid(), {generate_uid(): instances})

try:
    with DicomEngine():
        waiting = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
        print(InstanceAvailabilityScu("GURNEY").notify(waiting, notification).words)
except GurneyError as error:
    raise SystemExit(str(error)) from error
