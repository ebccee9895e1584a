// Push the Part 10 files of a folder: node store_scu.js PORT FOLDER CALLED_AE_TITLE. Writes the statuses as JSON.
const { Client, requests, constants } = require("dcmjs-dimse");
const fs = require("fs");
const path = require("path");

const [port, folder, called] = process.argv.slice(2);
const client = new Client();
const statuses = [];
for (const name of fs.readdirSync(folder).sort()) {
  const request = new requests.CStoreRequest(path.join(folder, name));
  request.on("response", (response) => statuses.push(response.getStatus()));
  client.addRequest(request);
}
client.on("networkError", (error) => {
  console.error(error.message);
  process.exit(1);
});
client.on("associationRejected", () => process.exit(2));
client.on("closed", () => {
  console.log(JSON.stringify(statuses));
  process.exit(statuses.every((status) => status === constants.Status.Success) ? 0 : 1);
});
client.send("127.0.0.1", Number(port), "DCMJS", called);
