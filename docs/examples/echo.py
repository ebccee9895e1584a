"""Verify that a remote AE answers, over TLS where a CA is given, and show how the connection is secured."""

import argparse

from gurney.pacs import DicomEngine, GurneyError, RemoteAE, Scu, Tls, TlsIdentity
from gurney.pacs.events import AfterSecureLinkReady

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("ae_title")
parser.add_argument("--ca", help="PEM file of those who vouch for the peer")
parser.add_argument("--certificate", help="our own, where the peer asks for one")
parser.add_argument("--key", help="its private key")
arguments = parser.parse_args()

identity = TlsIdentity(arguments.certificate, arguments.key) if arguments.certificate else None
tls = Tls(ca=arguments.ca, identity=identity) if arguments.ca else None
scu = Scu("GURNEY")


@scu.events.after_secure_link_ready
def show(event: AfterSecureLinkReady) -> None:
    if event.link is not None and event.link.certificate is not None:
        print(event.link.protocol, event.link.cipher, event.link.certificate.subject)


try:
    with DicomEngine():
        result = scu.verify(RemoteAE(arguments.ae_title, arguments.host, arguments.port, tls=tls))
        print(f"status {result.status:04X}")
except GurneyError as error:
    raise SystemExit(str(error)) from error
