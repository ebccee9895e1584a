"""A data set that names somebody in every way it can, and what gives that away wherever it turns up."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

__all__ = ["IDENTIFYING", "TELLTALE", "identifying"]

# Whatever may identify somebody, in every kind of value that can hold it.
IDENTIFYING: dict[str, object] = {
    "PatientName": "PLANTED^ANNA",
    "PatientID": "PLANTED-4711",
    "PatientBirthDate": "19610203",
    "PatientBirthTime": "050607",
    "PatientAge": "061Y",
    "PatientSize": "1.7654321",
    "PatientWeight": "76.54321",
    "PatientAddress": "PLANTED ROAD 7",
    "PatientComments": "PLANTED comment",
    "AdditionalPatientHistory": "PLANTED history",
    "AccessionNumber": "PLANTEDACC",
    "StudyID": "PLANTEDSTUDY",
    "StudyDate": "20240317",
    "StudyTime": "111213",
    "StudyDescription": "PLANTED description",
    "ReferringPhysicianName": "PLANTED^DOCTOR",
    "InstitutionName": "PLANTED HOSPITAL",
    "AcquisitionDateTime": "20240317111213.5",
    "IssuerOfPatientID": "PLANTED ISSUER",
    "RetrieveURL": "http://planted.example/anna",
    "PatientSex": "PLANTEDF",
    "RequestedProcedureID": "PLANTEDPROC",
    "SmokingStatus": "PLANTEDSMOKES",
}
TELLTALE = re.compile(r"planted|\banna\b|19610203|050607|061Y|1\.76543|76\.543|20240317|111213", re.IGNORECASE)


def identifying() -> Dataset:
    """Make a data set that holds all of it, on the surface, in sequences, in private elements and where it may not."""
    dataset = Dataset()
    for keyword, value in IDENTIFYING.items():
        setattr(dataset, keyword, value)
    inner = Dataset()
    inner.PatientID = "PLANTED-INNER"
    inner.PatientName = "PLANTED^INNER"
    dataset.OtherPatientIDsSequence = [inner]
    dataset.private_block(0x0009, "PLANTED CREATOR", create=True).add_new(0x01, "LO", "PLANTED PRIVATE")
    dataset.add_new(0x00420011, "OB", b"PLANTED DOCUMENT")
    dataset.add_new(0x00091001, "UN", b"PLANTED UNKNOWN")
    dataset.add_new(0x00281201, "OW", b"PLANTED LUT DATA")
    return dataset
