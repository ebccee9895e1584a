from __future__ import annotations

from collections import Counter

import pytest
from pydicom.uid import UID

from gurney.dicom.presentation import MAX_CONTEXTS
from gurney.pacs.retrieve.get_contexts import DEFAULT_CLASSES, NATIVE_SYNTAXES, classes_of_modalities, plan_get_contexts

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
OWN = 5


def test_images_may_come_as_archives_hold_them_and_reports_without() -> None:
    (plan,) = plan_get_contexts([CT, SR], OWN)
    syntaxes = {uid: [one.transfer_syntax_uid for one in plan if one.sop_class_uid == uid] for uid in (CT, SR)}
    assert syntaxes[CT][:2] == list(NATIVE_SYNTAXES)
    assert {"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"} < {*syntaxes[CT]}
    assert syntaxes[SR] == [*NATIVE_SYNTAXES, "1.2.840.10008.1.2.1.99"]


def test_videos_may_come_as_videos() -> None:
    (plan,) = plan_get_contexts([VIDEO], OWN)
    assert "1.2.840.10008.1.2.4.102" in {one.transfer_syntax_uid for one in plan}


@pytest.mark.parametrize("count", [1, 10, 61, 62, 130])
def test_each_class_has_its_native_contexts_whatever_their_number(count: int) -> None:
    classes = [f"1.2.3.{number}" for number in range(count)]
    plan = plan_get_contexts([*classes, *classes], OWN)
    assert all(len(storage) + OWN <= MAX_CONTEXTS for storage in plan)
    proposed = Counter((one.sop_class_uid, one.transfer_syntax_uid) for storage in plan for one in storage)
    assert {*proposed} >= {(uid, syntax) for uid in classes for syntax in NATIVE_SYNTAXES}
    assert {*proposed.values()} == {1}
    assert len(plan) == -(-count // 61)


def test_one_may_say_which_syntaxes() -> None:
    (plan,) = plan_get_contexts([CT, SR], OWN, transfer_syntax_uids=["1.2.840.10008.1.2.4.80"])
    assert [one.transfer_syntax_uid for one in plan] == ["1.2.840.10008.1.2.4.80"] * 2


def test_nothing_to_get_needs_no_association() -> None:
    assert plan_get_contexts([], OWN) == []


def test_modalities_make_classes_likely() -> None:
    assert CT in classes_of_modalities(["CT"])
    assert SR in classes_of_modalities(["CT"])
    assert CT not in classes_of_modalities(["MR"])
    assert classes_of_modalities(["??", ""]) == DEFAULT_CLASSES


def test_all_likely_classes_are_real_and_fit_one_association() -> None:
    assert len(plan_get_contexts(DEFAULT_CLASSES, OWN)) == 1
    assert all(UID(uid).name != uid and "Storage" in UID(uid).name for uid in DEFAULT_CLASSES)
