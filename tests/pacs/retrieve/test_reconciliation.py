from __future__ import annotations

import pytest

from gurney.pacs.retrieve.reconciliation import Verdict, reconcile


@pytest.mark.parametrize(
    ("expected", "arrivals", "missing", "unexpected", "duplicates", "verdict"),
    [
        (["1", "2"], ["2", "1"], [], [], [], Verdict.COMPLETE),
        (["1", "2"], ["1"], ["2"], [], [], Verdict.INCOMPLETE),
        (["1", "2"], ["1", "1"], ["2"], [], ["1"], Verdict.INCOMPLETE),
        (["1"], ["1", "3"], [], ["3"], [], Verdict.COMPLETE),
        (["1"], ["3"], ["1"], ["3"], [], Verdict.INCOMPLETE),
        ([], [], [], [], [], Verdict.ABSENT),
        ([], ["1"], [], ["1"], [], Verdict.ABSENT),
        (None, ["1", "1"], [], [], ["1"], Verdict.UNPROVEN),
        (None, [], [], [], [], Verdict.UNPROVEN),
    ],
)
def test_uids_prove_what_came(
    expected: list[str] | None,
    arrivals: list[str],
    missing: list[str],
    unexpected: list[str],
    duplicates: list[str],
    verdict: Verdict,
) -> None:
    reconciliation = reconcile(expected, arrivals)
    assert reconciliation.missing == {*missing}
    assert reconciliation.unexpected == {*unexpected}
    assert reconciliation.duplicates == {*duplicates}
    assert reconciliation.verdict is verdict
