// An OPC UA server of another make. Arguments: port, folder for its keys. It obeys lines on stdin and answers each.
const readline = require("readline");
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { Variant, DataType, VariantArrayType } = require("node-opcua-variant");
const { StatusCodes } = require("node-opcua-status-code");

const [port, folder] = process.argv.slice(2);

async function main() {
  const pki = new OPCUACertificateManager({ rootFolder: path.join(folder, "pki"), automaticallyAcceptUnknownCertificate: true });
  await pki.initialize();
  const server = new OPCUAServer({
    port: Number(port),
    hostname: "127.0.0.1",
    serverCertificateManager: pki,
    userCertificateManager: pki,
    serverCapabilities: { minSupportedSampleRate: 0 }, // every change, not one in 50 ms
    userManager: { isValidUser: (user, password) => user === "andon" && password === "s3cret" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const place = space.rootFolder.objects;
  const nodes = {};
  const add = (name, dataType, value, more = {}) => {
    nodes[name] = own.addVariable({ browseName: name, nodeId: `s=${name}`, organizedBy: place, dataType, minimumSamplingInterval: 0, value: { dataType, value, ...more } });
  };
  add("x", "Double", 0);
  add("words", "String", "SN-1");
  add("flag", "Boolean", true);
  add("row", "Double", new Float64Array([1, 2, 3]), { arrayType: VariantArrayType.Array });
  nodes.ranged = own.addAnalogDataItem({
    browseName: "ranged", nodeId: "s=ranged", organizedBy: place, dataType: "Double",
    engineeringUnitsRange: { low: 0, high: 200 }, value: { dataType: "Double", value: 100 },
  });
  nodes.state = own.addMultiStateDiscrete({ browseName: "state", nodeId: "s=state", organizedBy: place, enumStrings: ["off", "on"], value: 1 });
  await server.start();
  console.log("ready " + server.getCertificate().toString("base64"));

  const put = (name, value, status = "Good") =>
    nodes[name].setValueFromSource({ dataType: DataType[name === "words" ? "String" : "Double"], value }, StatusCodes[status]);
  readline.createInterface({ input: process.stdin }).on("line", async (line) => {
    const [verb, name, value, status] = line.split(" ");
    if (verb === "put") put(name, name === "words" ? value : Number(value), status);
    if (verb === "count") for (let i = Number(value); i <= Number(status); i++) { put(name, i); await new Promise((go) => setTimeout(go, 2)); }
    if (verb === "cut") server.endpoints.forEach((e) => e.abruptlyInterruptChannels());
    if (verb === "end") for (const s of Object.values(server.engine._sessions)) server.engine.closeSession(s.authenticationToken, true, "Terminated");
    console.log("done");
  });
}
main().catch((error) => { console.error(error); process.exit(1); });
