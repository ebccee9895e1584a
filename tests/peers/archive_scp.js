// An archive on dcmjs-dimse, in memory, with query and retrieve. FOLDER/archive.json says what transfer syntaxes it takes,
// the ports of its move destinations by AE title, and with `tls` its key, certificate, CA and highest version.
//
//   node archive_scp.js PORT FOLDER
//
// To a caller named CANCELLER it gives one match or instance, and no other before it is told to stop.
'use strict';

const fs = require('fs');
const path = require('path');
const dimse = require('dcmjs-dimse');

const { PresentationContextResult, Status } = dimse.constants;
const { requests, responses } = dimse;
const [port, folder] = [Number(process.argv[2]), process.argv[3]];
const { syntaxes, destinations, tls } = JSON.parse(fs.readFileSync(path.join(folder, 'archive.json')));
const UNIQUE = { PATIENT: 'PatientID', STUDY: 'StudyInstanceUID', SERIES: 'SeriesInstanceUID', IMAGE: 'SOPInstanceUID' };
const LONG = 20000;
const held = new Map();

dimse.log.setLevel('error');

function matching(identifier) {
  const wanted = Object.values(UNIQUE).filter((key) => identifier[key] && identifier[key].length);
  const fits = (key, elements) => [identifier[key]].flat().includes(elements[key]);
  return [...held.values()].filter((one) => wanted.every((key) => fits(key, one.getElements())));
}

class ArchiveScp extends dimse.Scp {
  associationRequested(association) {
    this.association = association;
    for (const { context } of association.getPresentationContexts()) {
      const syntax = syntaxes.find((uid) => context.hasTransferSyntaxUid(uid));
      const refused = PresentationContextResult.RejectTransferSyntaxesNotSupported;
      context.setResult(syntax ? PresentationContextResult.Accept : refused, syntax);
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, respond) {
    const response = responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  cStoreRequest(request, respond) {
    held.set(request.getAffectedSopInstanceUid(), request.getDataset());
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    respond(response);
  }

  cCancelRequest() {
    this.isCancelled = true;
    if (this.wake) this.wake();
  }

  async cFindRequest(request, respond) {
    const identifier = request.getDataset().getElements();
    const unique = UNIQUE[identifier.QueryRetrieveLevel];
    const matches = new Map(matching(identifier).map((one) => [one.getElements()[unique], one.getElements()]));
    const answer = (status, elements) => {
      const response = responses.CFindResponse.fromRequest(request);
      response.setStatus(status);
      if (elements) response.setDataset(new dimse.Dataset(elements));
      this.answer(request, response, respond);
    };
    const isWhole = await this.each([...matches.values()], (elements) => {
      const asked = Object.keys(identifier).filter((key) => !key.startsWith('_') && key in elements);
      const shown = Object.fromEntries(asked.map((key) => [key, elements[key]]));
      // The library writes UTF-8, whatever character set is named.
      const said = { SpecificCharacterSet: 'ISO_IR 192', QueryRetrieveLevel: identifier.QueryRetrieveLevel };
      answer(Status.Pending, { ...shown, ...said });
    });
    answer(isWhole ? Status.Success : Status.Cancel);
  }

  cGetRequest(request, respond) {
    const deliver = (dataset, store) => this.sendRequests(store);
    this.retrieve(request, responses.CGetResponse, respond, deliver);
  }

  cMoveRequest(request, respond) {
    const title = request.getCommandDataset().getElement('MoveDestination').trim();
    if (!(title in destinations)) {
      const response = responses.CMoveResponse.fromRequest(request);
      response.setStatus(Status.MoveDestinationUnknown);
      respond(response);
      return;
    }
    const deliver = (dataset, store) => {
      const client = new dimse.Client();
      client.addRequest(store);
      client.on('networkError', (error) => console.error('network error:', error.message));
      client.send('127.0.0.1', destinations[title], this.association.getCalledAeTitle(), title);
    };
    this.retrieve(request, responses.CMoveResponse, respond, deliver);
  }

  async retrieve(request, Response, respond, deliver) {
    const found = matching(request.getDataset().getElements());
    let completed = 0;
    const answer = (status) => {
      const response = Response.fromRequest(request);
      response.setStatus(status);
      if (status !== Status.Success) response.setRemaining(found.length - completed);
      response.setCompleted(completed);
      response.setFailures(0);
      response.setWarnings(0);
      this.answer(request, response, respond);
    };
    const isWhole = await this.each(found, async (dataset) => {
      const store = new requests.CStoreRequest(dataset);
      const done = new Promise((resolve) => store.on('response', resolve));
      deliver(dataset, store);
      await done;
      completed += 1;
      answer(Status.Pending);
    });
    answer(isWhole ? Status.Success : Status.Cancel);
  }

  // The library's own way takes all responses to a request at once.
  answer(request, response, respond) {
    if (response.getStatus() === Status.Pending) this.sendResponse(request, response);
    else respond(response);
  }

  // Tells whether all were dealt with.
  async each(items, act) {
    this.isCancelled = false;
    for (const item of items) {
      if (this.isCancelled) return false;
      await act(item);
      if (this.association.getCallingAeTitle().trim() === 'CANCELLER' && !this.isCancelled) {
        await new Promise((resolve) => {
          this.wake = resolve;
          setTimeout(resolve, LONG).unref();
        });
      }
    }
    return !this.isCancelled;
  }
}

const pem = (name) => fs.readFileSync(tls[name]);
const secured = tls && {
  key: pem('key'),
  cert: pem('certificate'),
  ca: pem('ca'),
  requestCert: true,
  rejectUnauthorized: true,
  maxVersion: tls.maxVersion,
};
const server = new dimse.Server(ArchiveScp);
server.on('networkError', (error) => console.error('network error:', error.message));
server.listen(port, secured ? { securityOptions: secured } : {});
