"""HL7 messages as hospitals write them."""

from __future__ import annotations

__all__ = ["adt", "orm", "siu"]


def _joined(*lines: str, encoding: str = "latin-1") -> bytes:
    return "".join(f"{line}\r" for line in lines).encode(encoding)


def _header(kind: str, *, told_at: str, charset: str = "", message_id: str = "M1") -> str:
    return f"MSH|^~\\&|RIS|HOSPITAL|GURNEY|IMAGING|{told_at}||{kind}|{message_id}|P|2.5.1||||||{charset}"


def orm(
    order: str = "4711",
    *,
    control: str = "NW",
    patient: str = "P0^^^HOSPITAL^MR",
    scheduled: str = "20261125083000",
    told_at: str = "20261124120000",
    accession: str = "ACC1",
    description: str = "CT Thorax",
    charset: str = "",
    encoding: str = "latin-1",
) -> bytes:
    """Write an order."""
    return _joined(
        _header("ORM^O01", told_at=told_at, charset=charset),
        f"PID|1||{patient}||Müller^Jürgen||19700101|M",
        "PV1|1|O",
        f"ORC|{control}|{order}^RIS|||||^^^{scheduled}",
        f"OBR|1|{order}^RIS||CTTHX^{description}^LOCAL||||||||||||||{accession}||||||CT",
        encoding=encoding,
    )


def siu(event: str = "S12", *, key: str = "A1", at: str = "202611251000", told_at: str = "20261124120000") -> bytes:
    """Write an appointment."""
    return _joined(
        _header(f"SIU^{event}^SIU_S12", told_at=told_at),
        f"SCH|{key}^RIS||||||MR Knie||||^^^{at}",
        "PID|1||P1",
        "AIS|1||MRKNEE^MR Knie links|",
    )


def adt(event: str, *, ids: str = "NEW", prior: str = "", told_at: str = "20261124120000") -> bytes:
    """Write an update or a merge."""
    merge = [f"MRG|{prior}"] if prior else []
    return _joined(_header(f"ADT^{event}", told_at=told_at), f"PID|1||{ids}||Doe^Jane", *merge)
