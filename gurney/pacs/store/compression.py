"""What may become of pixel data on their way to a peer that does not take them as they are (PS3.5 10, PS3.4 B.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from gurney.dicom import uids
from gurney.dicom.codecs import LOSSY_METHODS, TARGETS
from gurney.dicom.transcoding import LARGEST, Loss

__all__ = ["LOSSLESS", "LOSSY", "NATIVE", "Compression", "CompressionMode"]

_FALLBACKS: Final = (
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_2000_LOSSLESS,
    uids.RLE_LOSSLESS,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
"""What an instance is put into where its own syntax is refused: first what no codec is needed to read."""

_UNCOMPRESSED: Final = frozenset(
    {
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_BIG_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
# JPEG baseline and extended, JPEG-LS near-lossless, JPEG 2000, HTJ2K: their pixels have lost something, or may have.
_MAYBE_LOST: Final = frozenset("1.2.840.10008.1.2.4." + leaf for leaf in ("50", "51", "81", "91", "203"))


class CompressionMode(StrEnum):
    """How far an instance may be changed."""

    NATIVE = "native"
    LOSSLESS = "lossless"
    LOSSY = "lossy"


@dataclass(frozen=True, slots=True)
class Compression:
    """How instances may be sent. Make one with :meth:`native`, :meth:`lossless` or :meth:`lossy`.

    ``prefer`` is the transfer syntax that uncompressed instances are put into where the peer takes it, "" for none.
    ``largest`` is how many bytes of pixel data, decoded, are transcoded at most.
    """

    mode: CompressionMode = CompressionMode.NATIVE
    prefer: str = ""
    loss: Loss | None = None
    largest: int = LARGEST

    def __post_init__(self) -> None:
        if self.prefer and self.prefer not in TARGETS:
            raise ValueError(f"nothing here compresses to {self.prefer!r}: one of {', '.join(sorted(TARGETS))}")
        if (self.prefer in LOSSY_METHODS) != (self.loss is not None):
            raise ValueError("a lossy transfer syntax is for Compression.lossy() only")
        if (self.mode is CompressionMode.LOSSY) != (self.loss is not None):
            raise ValueError(f"{self.mode} and loss={self.loss} contradict each other: use Compression.{self.mode}()")
        if self.mode is CompressionMode.NATIVE and self.prefer:
            raise ValueError("native sends the bytes as they are and prefers nothing: use Compression.lossless()")

    @classmethod
    def native(cls) -> Self:
        """Send the bytes as they are, and nothing that the peer refuses so. The only one that never decodes."""
        return cls()

    @classmethod
    def lossless(cls, *, prefer: str = "", largest: int = LARGEST) -> Self:
        """Transcode without loss what the peer refuses as it is; every pixel is compared before anything is sent.

        With ``prefer``, such as "1.2.840.10008.1.2.4.80", uncompressed instances are compressed to it where the peer
        takes it: less to send, for the price of compressing. Raises ValueError for a syntax that we can't write.
        """
        return cls(CompressionMode.LOSSLESS, prefer, None, largest)

    @classmethod
    def lossy(cls, *, ratio: float | None = None, near: int | None = None, largest: int = LARGEST) -> Self:
        """Compress with loss where the peer takes that; what can't or must not be is sent as by :meth:`lossless`.

        ``ratio`` compresses by JPEG 2000 to about that fraction of the native size, 10 by default; ``near`` by JPEG-LS,
        with no pixel off by more than that. An image compressed this way is another instance, with a SOP Instance UID
        of its own (PS3.3 C.7.6.1.1.5): the result names it. Images that are compressed with loss already are left
        alone, and so are palettes, labels and doses.

        Raises ValueError for both, a ratio of 1 or less, or a ``near`` outside 1-255.
        """
        if near is not None:
            if ratio is not None:
                raise ValueError("ratio is JPEG 2000's and near is JPEG-LS's: give one of them")
            if not 1 <= near <= 255:
                raise ValueError(f"near must be 1-255, not {near}")
            return cls(CompressionMode.LOSSY, uids.JPEG_LS_NEAR_LOSSLESS, Loss(near=near), largest)
        ratio = 10.0 if ratio is None else ratio
        if not 1 < ratio < float("inf"):
            raise ValueError(f"ratio must be more than 1, not {ratio}")
        return cls(CompressionMode.LOSSY, uids.JPEG_2000, Loss(ratio=ratio), largest)

    def wishes(self, transfer_syntax_uid: str) -> tuple[str, ...]:
        """Give what an instance in this syntax may go out in, the best first: what to propose, and what to try."""
        return tuple(dict.fromkeys(self._wishes(transfer_syntax_uid)))

    def _wishes(self, own: str) -> Iterator[str]:
        if self.prefer and self._is_preferred_to(own):
            yield self.prefer
        yield own
        if self.mode is not CompressionMode.NATIVE:
            yield from _FALLBACKS

    def _is_preferred_to(self, own: str) -> bool:
        if self.mode is CompressionMode.LOSSY:
            return own not in _MAYBE_LOST
        return own in _UNCOMPRESSED


NATIVE: Final = Compression.native()
LOSSLESS: Final = Compression.lossless()
LOSSY: Final = Compression.lossy()
