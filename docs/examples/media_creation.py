"""Have a disc made of instances that the peer holds, and follow it until it is done (PS3.4 annex S)."""

import argparse

from gurney.pacs import DicomEngine, GurneyError, MediaCreationManagementScu, MediaCreationRequest, RemoteAE

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("instances", nargs="+", metavar="CLASS=UID", help="SOP Class UID and SOP Instance UID")
parser.add_argument("--copies", type=int, default=1)
parser.add_argument("--every", type=float, default=5.0, help="seconds between two questions")
arguments = parser.parse_args()

robot = RemoteAE(arguments.ae_title, arguments.host, arguments.port)
instances = [(sop_class, uid) for sop_class, _, uid in (pair.partition("=") for pair in arguments.instances)]
request = MediaCreationRequest(instances, profile="STD-GEN-CD", label_from_instances=True)

try:
    with DicomEngine():
        creation = MediaCreationManagementScu("GURNEY").create(robot, request)
        creation.initiate(copies=arguments.copies)
        for state in creation.watch(arguments.every):
            print(state.status, state.info)
        print("complete" if state.is_complete else f"{len(state.failed)} instances are missing")
except GurneyError as error:
    raise SystemExit(str(error)) from error
