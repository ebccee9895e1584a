// A Storage and Storage Commitment SCP on dcmjs-dimse. It commits itself to what was stored, and keeps nothing but the UIDs.
//
//   node commitment_scp.js PORT
//
// Where the answer goes stands in the transaction UID: 1.2.998.<port>... on an association of its own to that port of
// loopback, without role selection, as many an archive does; any other on the same association, of
// 1.2.997.<milliseconds>... so much later.
'use strict';

const dimse = require('dcmjs-dimse');

const { PresentationContextResult, Status } = dimse.constants;
const { responses, requests } = dimse;
const [COMMITMENT, WELL_KNOWN] = ['1.2.840.10008.1.20.1', '1.2.840.10008.1.20.1.1'];
const NO_SUCH_INSTANCE = 0x0112;
const held = new Set();

dimse.log.setLevel('error');

class CommitmentScp extends dimse.Scp {
  associationRequested(association) {
    this.association = association;
    for (const { context } of association.getPresentationContexts()) {
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cStoreRequest(request, respond) {
    held.add(request.getAffectedSopInstanceUid());
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  nActionRequest(request, respond) {
    const asked = request.getDataset().getElements();
    const response = responses.NActionResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
    const [, where, number] = /^1\.2\.(99[78])\.(\d+)/.exec(asked.TransactionUID) || [];
    if (where === '998') this.answerApart(asked, Number(number));
    else setTimeout(() => this.sendRequests(report(asked)), Number(number || 0));
  }

  answerApart(asked, port) {
    const client = new dimse.Client();
    client.addRequest(report(asked));
    client.on('networkError', (error) => console.error('network error:', error.message));
    client.send('127.0.0.1', port, this.association.getCalledAeTitle(), this.association.getCallingAeTitle());
  }
}

function report(asked) {
  const references = [asked.ReferencedSOPSequence].flat().map((item) => ({
    ReferencedSOPClassUID: item.ReferencedSOPClassUID,
    ReferencedSOPInstanceUID: item.ReferencedSOPInstanceUID,
  }));
  const committed = references.filter((item) => held.has(item.ReferencedSOPInstanceUID));
  const failed = references.filter((item) => !held.has(item.ReferencedSOPInstanceUID));
  const made = new requests.NEventReportRequest(COMMITMENT, WELL_KNOWN, failed.length ? 2 : 1);
  const elements = { TransactionUID: asked.TransactionUID, ReferencedSOPSequence: committed };
  if (failed.length) elements.FailedSOPSequence = failed.map((item) => ({ ...item, FailureReason: NO_SUCH_INSTANCE }));
  made.setDataset(new dimse.Dataset(elements));
  return made;
}

const server = new dimse.Server(CommitmentScp);
server.on('networkError', (error) => console.error('network error:', error.message));
server.listen(Number(process.argv[2]));
