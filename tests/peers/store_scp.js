// A Storage SCP on dcmjs-dimse. It keeps the bytes of each data set as they came from the wire, unparsed, one file per
// C-STORE, named <SOP Instance UID>_<how many times it has come>_<transfer syntax UID>.
//
//   node store_scp.js PORT FOLDER
'use strict';

const fs = require('fs');
const path = require('path');
const { Writable } = require('stream');
const dimse = require('dcmjs-dimse');

const { PresentationContextResult, RejectReason, RejectResult, RejectSource, Status } = dimse.constants;
const [port, folder] = [Number(process.argv[2]), process.argv[3]];
const APPLICATION_CONTEXT = '1.2.840.10008.3.1.1.1';
const deliveries = new Map();

dimse.log.setLevel('warn');

class Bytes extends Writable {
  constructor() {
    super();
    this.chunks = [];
  }

  _write(chunk, encoding, done) {
    this.chunks.push(Buffer.from(chunk));
    done();
  }
}

class StoreScp extends dimse.Scp {
  associationRequested(association) {
    if (association.getApplicationContextName() !== APPLICATION_CONTEXT) {
      this.sendAssociationReject(RejectResult.Permanent, RejectSource.ServiceUser, RejectReason.NoReasonGiven);
      return;
    }
    for (const { id, context } of association.getPresentationContexts()) {
      const [transferSyntax] = context.getTransferSyntaxUids();
      context.setResult(PresentationContextResult.Accept, transferSyntax);
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  createStoreWritableStream() {
    return new Bytes();
  }

  createDatasetFromStoreWritableStream(writable, context, done) {
    this.received = { bytes: Buffer.concat(writable.chunks), transferSyntax: context.getAcceptedTransferSyntaxUid() };
    done(undefined);
  }

  cEchoRequest(request, respond) {
    const response = dimse.responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  cStoreRequest(request, respond) {
    const uid = request.getAffectedSopInstanceUid();
    const nth = (deliveries.get(uid) || 0) + 1;
    deliveries.set(uid, nth);
    // Written under another name first: a reader sees a whole file or none.
    const file = path.join(folder, `${uid}_${nth}_${this.received.transferSyntax}`);
    fs.writeFileSync(`${file}.part`, this.received.bytes);
    fs.renameSync(`${file}.part`, file);
    const response = dimse.responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }
}

const server = new dimse.Server(StoreScp);
server.on('networkError', (error) => console.error('network error:', error.message));
server.listen(port);
