// A service class provider on dcmjs-dimse for every DIMSE-N service: it keeps SOP instances in memory, and knows as much
// of performed procedure steps, media creation and printing as their tests need. Each request is a line of LOG, in JSON.
//
//   node normalized_scp.js PORT LOG
//
// A SOP instance whose UID begins with 1.2.999 asks for a fault: 1.2.999.<status> is answered with that status, what is
// no status does what is said below.
'use strict';

const fs = require('fs');
const dimse = require('dcmjs-dimse');

const { PresentationContextResult, Status } = dimse.constants;
const { responses, requests } = dimse;
const [port, log] = [Number(process.argv[2]), process.argv[3]];
const FAULT = /^1\.2\.999\.(\d+)$/;
const [SILENCE, ABORT, OTHER_MESSAGE, OTHER_INSTANCE] = [70001, 70002, 70003, 70004];
const [REPORT_FIRST, REPORT_LATER, ABORT_LATER] = [70005, 70006, 70007];
const LATER = 100;
const NO_LONGER_UPDATED = { status: 0x0110, errorId: 0xa710 };
const STEP = '1.2.840.10008.3.1.2.3.3';
const MEDIA_CREATION = '1.2.840.10008.5.1.1.33';
const [SESSION, FILM_BOX] = ['1.2.840.10008.5.1.1.1', '1.2.840.10008.5.1.1.2'];
const IMAGE_BOXES = { '1.2.840.10008.5.1.1.9': '1.2.840.10008.5.1.1.4', '1.2.840.10008.5.1.1.18': '1.2.840.10008.5.1.1.4.1' };
const [PRINTER, PRINTER_INSTANCE] = ['1.2.840.10008.5.1.1.16', '1.2.840.10008.5.1.1.17'];

dimse.log.setLevel('error');

const instances = new Map([[PRINTER_INSTANCE, { PrinterStatus: 'NORMAL', PrinterStatusInfo: 'NORMAL', PrinterName: 'PAPER' }]]);
let made = 0;

const newUid = () => `2.25.${(made += 1)}`;

class NormalizedScp extends dimse.Scp {
  associationRequested(association) {
    this.association = association;
    for (const { id, context } of association.getPresentationContexts()) {
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
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

  nCreateRequest(request, respond) {
    const uid = request.getAffectedSopInstanceUid() || newUid();
    this.answer('N-CREATE', request, responses.NCreateResponse, uid, respond, (elements) => {
      if (instances.has(uid)) return 0x0111;
      const created = { ...elements };
      const kind = request.getAffectedSopClassUid();
      if (kind === MEDIA_CREATION) created.ExecutionStatus = 'IDLE';
      if (kind === FILM_BOX) created.ReferencedImageBoxSequence = this.imageBoxes(elements.ImageDisplayFormat);
      created.SOPClass = kind;
      instances.set(uid, created);
      return created;
    });
  }

  nSetRequest(request, respond) {
    const uid = request.getRequestedSopInstanceUid();
    this.answer('N-SET', request, responses.NSetResponse, uid, respond, (elements) => {
      const known = instances.get(uid);
      if (!known) return 0x0112;
      if (known.SOPClass === STEP && known.PerformedProcedureStepStatus !== 'IN PROGRESS') return NO_LONGER_UPDATED;
      Object.assign(known, elements);
      return elements;
    });
  }

  nGetRequest(request, respond) {
    const uid = request.getRequestedSopInstanceUid();
    this.answer('N-GET', request, responses.NGetResponse, uid, respond, () => {
      const known = instances.get(uid);
      if (!known) return 0x0112;
      if (known.ExecutionStatus === 'PENDING') known.ExecutionStatus = 'CREATING';
      else if (known.ExecutionStatus === 'CREATING') known.ExecutionStatus = 'DONE';
      return known;
    });
  }

  nActionRequest(request, respond) {
    const uid = request.getRequestedSopInstanceUid();
    this.answer('N-ACTION', request, responses.NActionResponse, uid, respond, () => {
      const known = instances.get(uid);
      if (!known) return 0x0112;
      if (known.SOPClass === MEDIA_CREATION) {
        if (request.getActionTypeId() === 2) {
          if (known.ExecutionStatus === 'DONE') return 0xc201;
          instances.delete(uid);
        } else if (known.ExecutionStatus !== 'IDLE') return 0xa510;
        else known.ExecutionStatus = 'PENDING';
      }
      if (known.SOPClass === SESSION && ![...instances.values()].some((one) => one.SOPClass === FILM_BOX)) return 0xc600;
      return {};
    });
  }

  nDeleteRequest(request, respond) {
    const uid = request.getRequestedSopInstanceUid();
    this.answer('N-DELETE', request, responses.NDeleteResponse, uid, respond, () =>
      instances.delete(uid) ? {} : 0x0112
    );
  }

  metaSopClass() {
    const proposed = this.association.getPresentationContexts().map(({ context }) => context.getAbstractSyntaxUid());
    return proposed.find((uid) => uid in IMAGE_BOXES);
  }

  imageBoxes(format) {
    // Its parser divides at backslashes what is one text.
    const [columns, rows] = format.at(-1).split(',').map(Number);
    const kind = IMAGE_BOXES[this.metaSopClass()];
    return Array.from({ length: columns * rows }, () => {
      const uid = newUid();
      instances.set(uid, { SOPClass: kind });
      return { ReferencedSOPClassUID: kind, ReferencedSOPInstanceUID: uid };
    });
  }

  // `act` gives the elements to answer with, or the number of a status.
  answer(service, request, Response, uid, respond, act) {
    const elements = request.getDataset() ? request.getDataset().getElements() : {};
    const note = { service, uid, elements: plain(elements) };
    if (service === 'N-ACTION') note.action = request.getActionTypeId();
    fs.appendFileSync(log, `${JSON.stringify(note)}\n`);
    const response = Response.fromRequest(request);
    const fault = FAULT.exec(uid);
    const kind = fault ? Number(fault[1]) : 0;
    if (kind === SILENCE) return;
    if (kind === ABORT) {
      this.sendAbort();
      return;
    }
    if (kind === OTHER_MESSAGE) response.setMessageIdBeingRespondedTo(request.getMessageId() + 7);
    if (kind === REPORT_FIRST) this.report();
    const outcome = kind < SILENCE ? kind || act(elements) : {};
    response.setAffectedSopInstanceUid(kind === OTHER_INSTANCE ? '1.2.3.4.5' : uid);
    if (typeof outcome === 'number' || outcome === NO_LONGER_UPDATED) {
      response.setStatus(outcome.status || outcome);
      if (outcome.errorId) response.getCommandDataset().setElement('ErrorID', outcome.errorId);
      response.setErrorComment('as the test wants it');
    } else {
      response.setStatus(Status.Success);
      const { SOPClass, ...given } = outcome;
      if (service !== 'N-DELETE' && Object.keys(given).length) response.setDataset(new dimse.Dataset(given));
    }
    respond(response);
    if (kind === REPORT_LATER) setTimeout(() => this.report(), LATER);
    if (kind === ABORT_LATER) setTimeout(() => this.sendAbort(), LATER);
  }

  report() {
    const report = new requests.NEventReportRequest(PRINTER, PRINTER_INSTANCE, 2, this.metaSopClass());
    report.setDataset(new dimse.Dataset({ PrinterStatusInfo: 'CHECK PRINTER' }));
    report.on('response', (answer) => {
      fs.appendFileSync(log, `${JSON.stringify({ service: 'N-EVENT-REPORT', status: answer.getStatus() })}\n`);
    });
    this.sendRequests(report);
  }
}

// Elements by keyword, without what the library notes for itself; of pixel data their length only.
function plain(elements) {
  const size = (value) => value.byteLength ?? value.length;
  const show = (name, value) => {
    if (name.startsWith('_')) return undefined;
    return name === 'PixelData' ? [value].flat().map(size) : value;
  };
  return JSON.parse(JSON.stringify(elements, show));
}

const server = new dimse.Server(NormalizedScp);
server.on('networkError', (error) => console.error('network error:', error.message));
server.listen(port);
