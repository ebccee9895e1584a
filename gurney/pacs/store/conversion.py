"""What an instance goes out in: as it is, or in the best of the transfer syntaxes that the peer takes."""

from __future__ import annotations

from typing import NamedTuple

from gurney.dicom.apart import transcode_apart
from gurney.dicom.codecs import LOSSY_METHODS
from gurney.dicom.dictionary import named_uid
from gurney.dicom.errors import TranscodingError
from gurney.pacs.contexts import NegotiatedContext, NegotiatedContexts
from gurney.pacs.store.compression import Compression, CompressionMode
from gurney.pacs.store.refusals import RefusedRequestError
from gurney.pacs.wire.instance import EncodedDataset, Payload, StoreRequest
from gurney.transfer.outcomes import EventKind

__all__ = ["Outbound", "Ways"]


class Outbound(NamedTuple):
    """An instance as it is to be sent: the context, the UID that it has in there, its bytes."""

    context: NegotiatedContext
    sop_instance_uid: str
    payload: Payload


class Ways:
    """The contexts in which a request may go out on one association, the best first."""

    def __init__(self, contexts: NegotiatedContexts, compression: Compression) -> None:
        self._contexts = contexts
        self._compression = compression

    def of(self, request: StoreRequest) -> list[NegotiatedContext]:
        """Return them. Raises RefusedRequestError where the peer takes none of them."""
        own = self._contexts.find(request.sop_class_uid, request.transfer_syntax_uid)
        if self._compression.mode is CompressionMode.NATIVE:
            if own is not None and own.is_accepted:
                return [own]
        else:
            wishes = self._compression.wishes(request.transfer_syntax_uid)
            found = [self._contexts.find(request.sop_class_uid, wish) for wish in wishes]
            ways = [context for context in found if context is not None and context.is_accepted]
            if ways:
                return ways
        if own is None:
            raise RefusedRequestError.of(EventKind.NO_CONTEXT, "its presentation context was never proposed")
        raise RefusedRequestError.of(EventKind.NO_CONTEXT, own.result.words, result=int(own.result))

    def convert(self, request: StoreRequest, ways: list[NegotiatedContext], payload: Payload) -> Outbound:
        """Put an instance into the first of these that it can be put into, unless it is in it already.

        The payload is closed where another takes its place. Raises RefusedRequestError where it can't be put into any,
        with what each codec said; UnusableFileError for a file that can't be read.
        """
        encoded = None
        said = []
        for context in ways:
            target = context.transfer_syntax_uid
            if target == request.transfer_syntax_uid:
                return Outbound(context, request.sop_instance_uid, payload)
            encoded = payload.read() if encoded is None else encoded
            try:
                transcoded = transcode_apart(
                    encoded,
                    request.transfer_syntax_uid,
                    target,
                    loss=self._compression.loss if target in LOSSY_METHODS else None,
                    largest=self._compression.largest,
                )
            except TranscodingError as error:
                said.append(str(error))
                continue
            payload.close()
            return Outbound(context, transcoded.sop_instance_uid, EncodedDataset(transcoded.encoded))
        own = self._contexts.find(request.sop_class_uid, request.transfer_syntax_uid)
        raise RefusedRequestError.of(
            EventKind.NO_CONTEXT,
            f"the peer does not take {named_uid(request.transfer_syntax_uid)}, and it can't be put into what the peer "
            f"takes: {'; '.join(dict.fromkeys(said))}",
            result=int(own.result) if own is not None else None,
        )
