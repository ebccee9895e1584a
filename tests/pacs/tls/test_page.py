"""What docs/how-to/use-tls.md says works: its certificates, its Orthanc, its DCMTK, its code."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from gurney.pacs import Listener, RemoteAE, Scu
from tests.services.dcmtk import StoreScp
from tests.services.orthanc import Orthanc
from tests.services.presence import require
from tests.test_documentation import ROOT, fences

PAGE = ROOT / "docs" / "how-to" / "use-tls.md"


@pytest.mark.peer
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    require("openssl", "Orthanc", "storescp")
    monkeypatch.chdir(tmp_path)
    (certificates,) = fences(PAGE, "sh")
    subprocess.run(["sh", "-ec", certificates], check=True, capture_output=True, timeout=60)
    settings = {
        key: str(tmp_path / value) if isinstance(value, str) else value
        for key, value in json.loads(fences(PAGE, "json")[0]).items()
    }
    client, inbound = fences(PAGE, "python")
    names: dict[str, object] = {}
    (tmp_path / "orthanc").mkdir()
    with Orthanc(tmp_path / "orthanc", settings=settings) as orthanc:
        exec(client.replace("4242", str(orthanc.port)), names)
    assert capsys.readouterr().out.splitlines() == ["TLSv1.3 TLS_AES_256_GCM_SHA384 commonName=archive", "status 0"]

    (command,) = fences(PAGE, "")
    words = shlex.split(command)[1:-2]
    options = [str(tmp_path / word) if word.startswith("tls/") else word for word in words]
    (tmp_path / "storescp").mkdir()
    with StoreScp(tmp_path / "storescp", options=options) as storescp:
        exec(client.replace("4242", str(storescp.port)), {})
    assert "status 0" in capsys.readouterr().out

    exec(inbound, names)
    listener, tls = names["listener"], names["tls"]
    assert isinstance(listener, Listener)
    (tmp_path / "received").mkdir()
    with listener:
        remote = RemoteAE("GURNEY", "localhost", listener.port, tls=tls)  # type: ignore[arg-type]
        assert Scu().verify(remote).status == 0
