// A C-FIND SCP on dcmjs-dimse for any SOP class. FOLDER/script.json holds the matches by SOP Class UID, and the users who
// may associate; FOLDER/seen.jsonl gets a line for each association request and each query.
//
//   node query_scp.js PORT FOLDER
'use strict';

const fs = require('fs');
const path = require('path');
const dimse = require('dcmjs-dimse');

const { PresentationContextResult, RejectReason, RejectResult, RejectSource, Status } = dimse.constants;
const [port, folder] = [Number(process.argv[2]), process.argv[3]];
const { answers, users } = JSON.parse(fs.readFileSync(path.join(folder, 'script.json')));

dimse.log.setLevel('warn');

function note(what) {
  fs.appendFileSync(path.join(folder, 'seen.jsonl'), JSON.stringify(what) + '\n');
}

class QueryScp extends dimse.Scp {
  associationRequested(association) {
    note({
      callingAeTitle: association.getCallingAeTitle(),
      implementationClassUid: association.getImplementationClassUid(),
      implementationVersion: association.getImplementationVersion(),
      maxPduLength: association.getMaxPduLength(),
      identityType: association.getNegotiateUserIdentity() ? association.getUserIdentityType() : 0,
      identity: association.getNegotiateUserIdentity() ? association.getUserIdentityPrimaryField() : '',
    });
    if (Object.keys(users).length > 0) {
      const name = association.getUserIdentityPrimaryField();
      if (!(name in users) || users[name] !== (association.getUserIdentitySecondaryField() || '')) {
        this.sendAssociationReject(RejectResult.Permanent, RejectSource.ServiceUser, RejectReason.NoReasonGiven);
        return;
      }
      if (association.getUserIdentityPositiveResponseRequested()) {
        association.setNegotiateUserIdentityServerResponse(true);
        association.setUserIdentityServerResponse('welcome');
      }
    }
    for (const { context } of association.getPresentationContexts()) {
      const [transferSyntax] = context.getTransferSyntaxUids();
      context.setResult(PresentationContextResult.Accept, transferSyntax);
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, respond) {
    const response = dimse.responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  cFindRequest(request, respond) {
    const sopClass = request.getAffectedSopClassUid();
    note({ sopClass, identifier: request.getDataset().getElements() });
    const responses = (answers[sopClass] || []).map((elements) => {
      const response = dimse.responses.CFindResponse.fromRequest(request);
      response.setDataset(new dimse.Dataset(elements));
      response.setStatus(Status.Pending);
      return response;
    });
    const last = dimse.responses.CFindResponse.fromRequest(request);
    last.setStatus(sopClass in answers ? Status.Success : Status.SopClassNotSupported);
    respond([...responses, last]);
  }
}

const server = new dimse.Server(QueryScp);
server.on('networkError', (error) => console.error('network error:', error.message));
server.listen(port);
