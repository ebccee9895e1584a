"""Which transfer syntaxes pixel data can be taken out of and put into, by what, and what to install for it.

pydicom drives the codecs; each is a package of its own, and none is needed, or loaded, until something is transcoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import UID

from gurney.dicom import uids
from gurney.dicom.dictionary import named_uid
from gurney.dicom.errors import CodecMissing, TranscodingError

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder
    from pydicom.pixels.encoders.base import Encoder

__all__ = ["LOSSY_METHODS", "NATIVE_SYNTAXES", "TARGETS", "decoder_for", "encoder_for", "plugin_of"]

NATIVE_SYNTAXES: Final = frozenset(
    {
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
"""What anything can be written in. Explicit VR big endian is read only: it is retired."""

TARGETS: Final = NATIVE_SYNTAXES | {
    uids.RLE_LOSSLESS,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_LS_NEAR_LOSSLESS,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_2000,
}
"""Everything that we write."""

LOSSY_METHODS: Final = {uids.JPEG_LS_NEAR_LOSSLESS: "ISO_14495_1", uids.JPEG_2000: "ISO_15444_1"}
"""The lossy ones, and their defined terms for Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""

_PREFERENCE: Final = ("pyjpegls", "pylibjpeg", "gdcm", "pillow", "pydicom")
"""Which of pydicom's plugins is asked first: each package for the one codec that it is made for, before GDCM."""


def decoder_for(transfer_syntax_uid: str) -> Decoder:
    """Return what decodes a syntax. Raises CodecMissing, or TranscodingError where nothing ever does (video)."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        decoder = get_decoder(UID(transfer_syntax_uid))
    except NotImplementedError:
        raise TranscodingError(f"nothing here decodes {named_uid(transfer_syntax_uid)}") from None
    if not decoder.is_available:
        raise _missing("decode", transfer_syntax_uid)
    return decoder


def encoder_for(transfer_syntax_uid: str) -> Encoder:
    """Return what encodes a syntax. Raises CodecMissing, or TranscodingError where nothing ever does."""
    from pydicom.pixels.encoders.base import get_encoder

    try:
        encoder = get_encoder(UID(transfer_syntax_uid))
    except NotImplementedError:
        raise TranscodingError(f"nothing here encodes {named_uid(transfer_syntax_uid)}") from None
    if not encoder.is_available:
        raise _missing("encode", transfer_syntax_uid)
    return encoder


def plugin_of(coder: Decoder | Encoder) -> str:
    """Return the name of the plugin to use, so that all frames of an image go the same way."""
    return next(name for name in _PREFERENCE if name in coder.available_plugins)


def _missing(what: str, transfer_syntax_uid: str) -> CodecMissing:
    needs = {
        uids.RLE_LOSSLESS: "numpy",
        uids.JPEG_LS_LOSSLESS: "pyjpegls",
        uids.JPEG_LS_NEAR_LOSSLESS: "pyjpegls",
        uids.JPEG_2000_LOSSLESS: "pylibjpeg and pylibjpeg-openjpeg",
        uids.JPEG_2000: "pylibjpeg and pylibjpeg-openjpeg",
        **dict.fromkeys(uids.HIGH_THROUGHPUT_JPEG_2000, "pylibjpeg and pylibjpeg-openjpeg"),
    }
    package = needs.get(transfer_syntax_uid, "python-gdcm")
    return CodecMissing(
        f"no codec installed to {what} {named_uid(transfer_syntax_uid)}: it needs {package}; "
        'pip install "gurney[codecs]"'
    )
