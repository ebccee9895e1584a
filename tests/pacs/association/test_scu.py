"""What every service class user takes."""

from __future__ import annotations

import pytest

from gurney.pacs import (
    InstanceAvailabilityScu,
    MediaCreationManagementScu,
    PerformedProcedureStepScu,
    PrintManagementScu,
    QueryRetrieveScu,
    Scu,
    StorageCommitmentScu,
    StoreScu,
)

SCUS = [
    Scu,
    StoreScu,
    StorageCommitmentScu,
    QueryRetrieveScu,
    PerformedProcedureStepScu,
    InstanceAvailabilityScu,
    MediaCreationManagementScu,
    PrintManagementScu,
]


@pytest.mark.parametrize("kind", SCUS)
def test_an_argument_that_it_does_not_have_is_refused(kind: type[Scu]) -> None:
    assert kind("GURNEY", wire_log=None)
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) got an unexpected keyword argument 'wirelog'"):
        kind("GURNEY", wirelog=None)  # type: ignore[call-arg]
