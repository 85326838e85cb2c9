// A server of node-opcua for the tests of driver `opcua`. Argument: the facts as JSON.
// `port`; `scratch`: a folder for its certificate; `users`: names with passwords; `many`: variables N0, N1, ….
// It prints `certificate FILE` and `ready`, then does what the lines of its input say: `set NAME JSON`,
// `status NAME CODENAME JSON`, `count NAME MILLISECONDS N`, `forget` (closes every session, keeps the subscriptions).
// Each is answered by `done`. The end of its input ends it.
"use strict";
const path = require("node:path");
const readline = require("node:readline");

// The library talks to the console; only answers may go there.
const say = process.stdout.write.bind(process.stdout);
console.log = console.warn = console.info = console.error = () => {};

const opcua = require("node-opcua");
const { DataType, StatusCodes, Variant, MessageSecurityMode, SecurityPolicy } = opcua;
const facts = JSON.parse(process.argv[2]);

async function main() {
    const manager = new opcua.OPCUACertificateManager({
        rootFolder: path.join(facts.scratch, "node-pki"),
        automaticallyAcceptUnknownCertificate: true,
    });
    await manager.initialize();
    const users = facts.users ?? {};
    const server = new opcua.OPCUAServer({
        port: facts.port,
        host: "127.0.0.1",
        hostname: "127.0.0.1",
        resourcePath: "/acme",
        serverCertificateManager: manager,
        allowAnonymous: !facts.users,
        securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
        securityPolicies: [
            SecurityPolicy.None, SecurityPolicy.Basic256Sha256,
            SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss,
        ],
        userManager: { isValidUser: (name, password) => users[name] === password },
        serverCapabilities: {
            maxSessions: 4,
            operationLimits: {
                maxMonitoredItemsPerCall: facts.most ?? 0, maxNodesPerRead: facts.most ?? 0,
                maxNodesPerTranslateBrowsePathsToNodeIds: facts.most ?? 0,
            },
        },
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    const namespace = space.registerNamespace("urn:acme:machine");
    const machine = namespace.addObject({ organizedBy: space.rootFolder.objects, browseName: "Machine", nodeId: "s=Machine" });
    const nodes = {};
    function add(name, dataType, value) {
        nodes[name] = namespace.addVariable({
            componentOf: machine, browseName: name, nodeId: `s=${name}`, dataType,
            value: { dataType, value },
        });
    }
    add("Double", DataType.Double, 2.25);
    add("Setpoint", DataType.Float, 10);
    add("Whole", DataType.Int16, 5);
    add("Text", DataType.String, "node");
    add("Count", DataType.UInt32, 0);
    for (let number = 0; number < (facts.many ?? 0); number++) add(`N${number}`, DataType.Double, number);
    await server.start();
    say(`certificate ${server.certificateFile}\n`);
    say("ready\n");
    const write = (name, value, status) =>
        nodes[name].setValueFromSource(new Variant({ dataType: nodes[name].readValue().value.dataType, value }), status ?? StatusCodes.Good);
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [what, name, ...rest] = line.split(" ");
        if (what === "set") write(name, JSON.parse(rest[0]));
        if (what === "status") write(name, JSON.parse(rest[1]), StatusCodes[rest[0]]);
        if (what === "forget") {
            for (const session of Object.values(server.engine._sessions)) {
                await server.engine.closeSession(session.authenticationToken, false, "Timeout");
            }
        }
        if (what === "count") {
            let number = 0;
            const timer = setInterval(() => {
                write(name, ++number);
                if (number >= Number(rest[1])) clearInterval(timer);
            }, Number(rest[0]));
        }
        say("done\n");
    }
    process.exit(0);
}

main();
