"""Orthanc, the archive that most people meet first."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services.ports import LOOPBACK, accepts_connections, free_port
from tests.services.presence import program
from tests.services.process import Service

__all__ = ["Orthanc"]


class Orthanc(Service):
    """An archive that takes every SOP class and transfer syntax and keeps files as they came.

    `settings` overrides its configuration by Orthanc's own names, e.g. `{"OverwriteInstances": False}`. It keeps what
    it holds over a restart. Orthanc listens for DICOM on every interface; its HTTP API is on loopback only.
    """

    name = "Orthanc"
    ae_title = "ORTHANC"

    def __init__(
        self, folder: Path, *, port: int | None = None, http_port: int | None = None, settings: Mapping[str, Any] = {}
    ) -> None:
        super().__init__(folder, port=port)
        self.http_port = http_port if http_port is not None else free_port()
        self._settings = settings

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}"

    def command(self) -> list[str]:
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration(), indent=2))
        return [program("Orthanc"), str(configuration)]

    def is_ready(self) -> bool:
        try:
            self.get("/system")
        except urllib.error.URLError:
            return False
        return accepts_connections(self.port)

    def get(self, path: str) -> Any:
        """Ask the REST API and parse its JSON."""
        return json.loads(self._request(path))

    def post(self, path: str, body: str) -> Any:
        """Post to the REST API and parse the JSON that comes back."""
        return json.loads(self._request(path, body.encode()))

    def delete(self, path: str) -> None:
        """Delete what the REST API calls so."""
        self._request(path, method="DELETE")

    def upload(self, content: bytes) -> str:
        """Give it a Part 10 file, and return the name that it has for the instance."""
        return str(json.loads(self._request("/instances", content))["ID"])

    def sop_instance_uids(self) -> set[str]:
        """Return the UIDs of all instances it holds."""
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in self.get("/instances?expand")}

    def instance_file(self, sop_instance_uid: str) -> bytes:
        """Return an instance as Part 10, byte for byte as it lies in the archive; its group 2 is Orthanc's."""
        found = [hit["ID"] for hit in self.post("/tools/lookup", sop_instance_uid) if hit["Type"] == "Instance"]
        assert len(found) == 1, f"{sop_instance_uid} is there {len(found)} times"
        return self._request(f"/instances/{found[0]}/file")

    def register_modality(self, name: str, ae_title: str, port: int, *, tls: bool = False) -> None:
        """Make a node on loopback known, so that it may be a move destination."""
        body = json.dumps({"AET": ae_title, "Host": LOOPBACK, "Port": port, "UseDicomTls": tls}).encode()
        self._request(f"/modalities/{name}", body, method="PUT")

    def _request(self, path: str, body: bytes | None = None, *, method: str | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            content: bytes = response.read()
        return content

    def _configuration(self) -> dict[str, Any]:
        return {
            "Name": "Gurney's tests",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomPort": self.port,
            "DicomAet": self.ae_title,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "AcceptedTransferSyntaxes": ["1.2.840.10008.1.*"],
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": True,
            "SaveJobs": False,
            "StableAge": 1,
            **self._settings,
        }
