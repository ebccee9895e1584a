from __future__ import annotations

import pytest

from gurney.dicom.incoming import is_incoming


@pytest.mark.parametrize(
    ("name", "is_on_its_way"),
    [(".incoming-1", True), (".incoming-", True), (".incoming", False), ("a.incoming-1", False), ("1.2.3.dcm", False)],
)
def test_the_name_of_a_file_on_its_way(name: str, is_on_its_way: bool) -> None:
    assert is_incoming(name) is is_on_its_way
