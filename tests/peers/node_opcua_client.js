// node-opcua against the server: one JSON line a check. Arguments: the part, and the facts as JSON.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

// The library talks to the console; only checks may go there.
const say = process.stdout.write.bind(process.stdout);
console.log = console.warn = console.info = console.error = () => {};

const opcua = require("node-opcua");
const { AttributeIds, DataType, MessageSecurityMode, SecurityPolicy, StatusCodes, UserTokenType } = opcua;

const [part, facts] = [process.argv[2], JSON.parse(process.argv[3])];
const SETPOINT = "ns=2;s=Pump.Setpoint";

function check(name, ok, detail) {
    say(JSON.stringify({ check: name, ok: Boolean(ok), detail: String(detail) }) + "\n");
}

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
    say(JSON.stringify({ ask: what }) + "\n");
    const answer = await answers.next();
    if (answer.value !== "done") throw new Error(`${what}: ${answer.value}`);
}

function pem(der, name) {
    const file = path.join(facts.scratch, name);
    fs.writeFileSync(file, new crypto.X509Certificate(fs.readFileSync(der)).toString());
    return file;
}

let manager;

async function certificates() {
    if (manager) return manager;
    const { OPCUACertificateManager } = opcua;
    manager = new OPCUACertificateManager({
        rootFolder: path.join(facts.scratch, "node-pki"),
        automaticallyAcceptUnknownCertificate: true,
    });
    await manager.initialize();
    return manager;
}

function identity({ token, user, password }) {
    if (token === "username") {
        const type = UserTokenType.UserName;
        return { type, userName: user ?? facts.user, password: password ?? facts.password };
    }
    if (token === "certificate") {
        const certificateData = fs.readFileSync(facts.user_certificate);
        return { type: UserTokenType.Certificate, certificateData, privateKey: fs.readFileSync(facts.user_key, "utf8") };
    }
    return { type: UserTokenType.Anonymous };
}

async function open(how = {}) {
    const { policy = "Basic256Sha256", mode = "SignAndEncrypt", url = facts.url } = how;
    const client = opcua.OPCUAClient.create({
        applicationName: "node-opcua",
        applicationUri: facts.application_uri,
        certificateFile: pem(facts.certificate, "client.pem"),
        privateKeyFile: facts.key,
        clientCertificateManager: await certificates(),
        securityPolicy: SecurityPolicy[policy],
        securityMode: MessageSecurityMode[mode],
        endpointMustExist: true,
        connectionStrategy: { maxRetry: how.retry ? 100 : 0, initialDelay: 50, maxDelay: 500 },
        keepSessionAlive: true,
        tokenRenewalInterval: how.renewal,
    });
    await client.connect(url);
    try {
        return { client, session: await client.createSession(identity({ token: "username", ...how })) };
    } catch (error) {
        await client.disconnect();
        throw error;
    }
}

async function close({ client, session }) {
    await session.close();
    await client.disconnect();
}

async function refused(name, how) {
    try {
        await close(await open(how));
        check(name, false, "was let in");
    } catch (error) {
        check(name, /BadIdentityTokenRejected/.test(error.message), error.message);
    }
}

async function connect() {
    for (const policy of ["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]) {
        for (const mode of policy === "None" ? ["None"] : ["Sign", "SignAndEncrypt"]) {
            for (const token of ["anonymous", "username", "certificate"]) {
                const name = `connect ${policy} ${mode} ${token}`;
                try {
                    const opened = await open({ policy, mode, token });
                    const value = await opened.session.read({ nodeId: SETPOINT, attributeId: AttributeIds.Value });
                    await close(opened);
                    check(name, value.value.value === 100, value);
                } catch (error) {
                    check(name, false, error.stack);
                }
            }
        }
    }
    await refused("wrong password", { password: "wrong" });
    await refused("unknown user", { user: "nobody" });
    [facts.user_certificate, facts.user_key] = [facts.certificate, facts.key];
    await refused("unpinned certificate", { token: "certificate" });
}

// Every node that is reached from Root by forward references; data of each as first seen.
async function browseAll(session) {
    const [seen, conflicts] = [new Map(), []];
    let todo = ["i=84"];
    while (todo.length > 0) {
        const batch = todo.splice(0, 200);
        const results = await session.browse(batch.map((nodeId) => ({
            nodeId, browseDirection: opcua.BrowseDirection.Forward, referenceTypeId: "i=31", includeSubtypes: true,
            nodeClassMask: 0, resultMask: 63,
        })));
        for (let result of results) {
            for (;;) {
                if (result.statusCode.isNot(StatusCodes.Good)) throw new Error(`browse: ${result.statusCode}`);
                for (const reference of result.references ?? []) {
                    const id = reference.nodeId.toString();
                    const data = [reference.nodeClass, reference.browseName, reference.displayName,
                        reference.typeDefinition].join("|");
                    if (!seen.has(id)) {
                        seen.set(id, data);
                        todo.push(reference.nodeId);
                    } else if (seen.get(id) !== data) {
                        conflicts.push(`${id}: ${seen.get(id)} and ${data}`);
                    }
                }
                if (!result.continuationPoint || result.continuationPoint.length === 0) break;
                result = await session.browseNext(result.continuationPoint, false);
            }
        }
    }
    return [seen, conflicts];
}

async function browse() {
    const opened = await open();
    const { session } = opened;
    const [seen, conflicts] = await browseAll(session);
    check("browse", seen.size > 1000 && conflicts.length === 0, `${seen.size} nodes; ${conflicts.slice(0, 5)}`);
    const state = await session.read({ nodeId: "i=2256", attributeId: AttributeIds.Value });
    const status = state.value.value;
    check("data types", status.state === 0 && status.buildInfo.productUri === "urn:opcell", status);
    for (const kind of facts.classes) {
        const ids = Array.from({ length: 27 }, (_, at) => ({ nodeId: kind.node, attributeId: at + 1 }));
        const results = await session.read(ids);
        const wrong = [];
        results.forEach(({ statusCode }, at) => {
            const good = statusCode.equals(StatusCodes.Good);
            const invalid = statusCode.equals(StatusCodes.BadAttributeIdInvalid);
            const attribute = at + 1;
            const denied = statusCode.equals(StatusCodes.BadUserAccessDenied);
            const right = kind.denied.includes(attribute) ? denied : kind.must.includes(attribute) ? good : kind.may.includes(attribute) ? good || invalid : invalid;
            if (!right) wrong.push(`${attribute}: ${statusCode}`);
        });
        check(`attributes of ${kind.name}`, wrong.length === 0, wrong);
    }
    const own = await session.read({ nodeId: "ns=2;s=Pump.Setpoint", attributeId: AttributeIds.UserRolePermissions });
    const roles = (own.value.value || []).map(({ roleId, permissions }) => `${roleId}: ${permissions}`);
    const restrictions = await session.read({ nodeId: "i=2253", attributeId: AttributeIds.AccessRestrictions });
    const found = `${roles}; ${restrictions.value.value}`;
    check("permissions", found === "ns=0;i=15656: 2081,ns=0;i=15680: 64; 4", found);
    await close(opened);
}

// A subscription on one node; `until` waits for a value.
async function listen(session, nodeId) {
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 50, requestedLifetimeCount: 6000, requestedMaxKeepAliveCount: 100,
        maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 0,
    });
    const item = await subscription.monitor(
        { nodeId, attributeId: AttributeIds.Value },
        { samplingInterval: 0, queueSize: 1000, discardOldest: true },
        opcua.TimestampsToReturn.Both,
    );
    const values = [];
    let wake = () => {};
    item.on("changed", (value) => {
        values.push(value.value.value);
        wake();
    });
    async function until(wanted, ms = 15000) {
        const end = Date.now() + ms;
        while (!values.includes(wanted) && Date.now() < end) {
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, Math.max(1, end - Date.now()));
                wake = () => { clearTimeout(timer); resolve(); };
            });
        }
        return values.includes(wanted);
    }
    return { subscription, values, until };
}

function write(session, nodeId, value, dataType = DataType.Double) {
    return session.write({ nodeId, attributeId: AttributeIds.Value, value: { value: { dataType, value } } });
}

async function writing() {
    const opened = await open();
    const { session } = opened;
    const heard = await listen(session, SETPOINT);
    const first = await heard.until(100);
    const good = await write(session, SETPOINT, 321.5);
    check("write", good.equals(StatusCodes.Good), good);
    check("subscribe", first && await heard.until(321.5), heard.values);
    const mismatch = await write(session, SETPOINT, "high", DataType.String);
    check("write of a wrong type", mismatch.equals(StatusCodes.BadTypeMismatch), mismatch);
    const readOnly = await write(session, "ns=2;s=Pump.Speed", 1);
    check("write to a read-only tag", readOnly.equals(StatusCodes.BadNotWritable), readOnly);
    await heard.subscription.terminate();
    await close(opened);
    const looker = await open({ token: "anonymous" });
    const denied = await write(looker.session, SETPOINT, 1);
    check("write without the role", denied.equals(StatusCodes.BadUserAccessDenied), denied);
    await close(looker);
}

async function renew() {
    const opened = await open({ renewal: 150 });
    let renewed = 0;
    opened.client.on("security_token_renewed", () => { renewed += 1; });
    const heard = await listen(opened.session, SETPOINT);
    const end = Date.now() + 15000;
    let number = 100;
    while (renewed < 10 && Date.now() < end) {
        number += 1;
        await write(opened.session, SETPOINT, number);
    }
    await heard.until(number);
    const expected = Array.from({ length: number - 99 }, (_, at) => 100 + at);
    check("renewed", renewed >= 10, renewed);
    check("nothing lost", heard.values.join() === expected.join(), `${number}: ${heard.values}`);
    await close(opened);
}

async function restart() {
    const opened = await open({ retry: true });
    const { client, session } = opened;
    const index = async () => {
        const value = await session.read({ nodeId: "i=2255", attributeId: AttributeIds.Value });
        return value.value.value.indexOf("urn:test:press");
    };
    const certificate = async () => (await client.getEndpoints())[0].serverCertificate.toString("hex");
    const before = [await index(), await certificate()];
    const heard = await listen(session, SETPOINT);
    await write(session, SETPOINT, 200);
    check("heard before", await heard.until(200), heard.values);
    heard.values.length = 0;
    await ask("restart");
    check("heard after", await heard.until(200), heard.values);
    check("same namespace", (await index()) === before[0]);
    check("same certificate", (await certificate()) === before[1]);
    const value = await session.read({ nodeId: SETPOINT, attributeId: AttributeIds.Value });
    check("same value", value.value.value === 200, value);
    await close(opened);
}

async function cut() {
    const writer = await open();
    const opened = await open({ url: facts.relay, retry: true });
    const { session } = opened;
    const heard = await listen(session, SETPOINT);
    await heard.until(100);
    const id = heard.subscription.subscriptionId;
    const restored = new Promise((resolve) => session.once("session_restored", resolve));
    // What the server says now is lost on the way; the library asks for it again.
    await ask("mute");
    await write(writer.session, SETPOINT, 201);
    await ask("loss");
    await ask("cut");
    // The library publishes before it asks for what it missed, and asks from the last number on that it has seen:
    // a change that came meanwhile would hide the lost one from it.
    check("republished by itself", await heard.until(201), heard.values);
    // It asks for number after number until the server has none: a change that is published before the last question
    // is then heard a second time, as its answer.
    await restored;
    await write(writer.session, SETPOINT, 202);
    check("came back by itself", await heard.until(202), heard.values);
    check("nothing lost", heard.values.join() === "100,201,202", heard.values);
    check("same subscription", heard.subscription.subscriptionId === id);
    await transfer(writer, opened, heard);
    await close(opened);
    await close(writer);
}

// A second session of the same user takes a subscription over.
async function transfer(writer, opened, heard) {
    const other = await open();
    const id = heard.subscription.subscriptionId;
    const told = new Promise((resolve) => heard.subscription.on("status_changed", resolve));
    const response = await other.session.transferSubscriptions({ subscriptionIds: [id], sendInitialValues: true });
    const [result] = response.results;
    check("transferred", result.statusCode.equals(StatusCodes.Good), response);
    const late = new Promise((resolve) => setTimeout(() => resolve("nothing"), 5000));
    const status = await Promise.race([told, late]);
    check("heard of the transfer", /GoodSubscriptionTransferred/.test(String(status)), status);
    const publish = (request) => new Promise((resolve, reject) => {
        other.session.publish(request, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    const answer = await publish({ requestHeader: { timeoutHint: 10000 }, subscriptionAcknowledgements: [] });
    const number = answer.notificationMessage.sequenceNumber;
    const again = await new Promise((resolve, reject) => {
        const request = { subscriptionId: id, retransmitSequenceNumber: number };
        other.session.republish(request, (error, response2) => (error ? reject(error) : resolve(response2)));
    });
    const values = again.notificationMessage.notificationData[0].monitoredItems.map((item) => item.value.value.value);
    check("republished", values.join() === "202", again);
    await close(other);
}

async function calling() {
    const opened = await open();
    const { session } = opened;
    const heard = await listen(session, SETPOINT);
    await heard.until(100);
    const id = heard.subscription.subscriptionId;
    const [item] = Object.values(heard.subscription.monitoredItems);
    const items = await session.getMonitoredItems(id);
    const handles = [[...items.serverHandles], [...items.clientHandles]];
    const wanted = [[item.monitoredItemId], [item.monitoringParameters.clientHandle]];
    check("GetMonitoredItems", JSON.stringify(handles) === JSON.stringify(wanted), JSON.stringify(handles));
    const call = (inputArguments, methodId, objectId = "i=2253", by = session) => (
        by.call({ objectId, methodId, inputArguments }));
    const number = (value) => ({ dataType: DataType.UInt32, value });
    heard.values.length = 0;
    const resent = await call([number(id)], "i=12873");
    const again = await heard.until(100);
    check("ResendData", resent.statusCode.equals(StatusCodes.Good) && again && heard.values.length === 1, resent);
    const { callConditionRefresh } = require("node-opcua-alarm-condition");
    const none = await callConditionRefresh(session, id);
    check("refresh without events", none.equals(StatusCodes.BadNothingToDo), none);
    const events = opcua.ClientMonitoredItem.create(
        heard.subscription, { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier },
        { filter: opcua.constructEventFilter(["EventType"]), queueSize: 10, discardOldest: true });
    const kinds = [];
    const both = new Promise((resolve) => {
        events.on("changed", ([kind]) => { if (kinds.push(kind.value.toString()) === 2) resolve(); });
    });
    await new Promise((resolve) => events.once("initialized", resolve));
    const refreshed = await callConditionRefresh(session, id);
    await Promise.race([both, new Promise((resolve) => setTimeout(resolve, 10000))]);
    const complete = kinds.join() === "ns=0;i=2787,ns=0;i=2788";
    check("ConditionRefresh", refreshed.equals(StatusCodes.Good) && complete, `${refreshed} ${kinds}`);
    const other = await open();
    const state = [
        { dataType: DataType.Int32, value: 4 }, { dataType: DataType.DateTime, value: new Date() }, number(0),
        { dataType: DataType.LocalizedText, value: { text: "night" } }, { dataType: DataType.Boolean, value: false },
    ];
    const results = [
        await call([number(id)], "i=11492", "i=2253", other.session),
        await call([number(4294967295)], "i=11492"),
        await call([], "i=11492"),
        await call([number(id), number(id)], "i=11492"),
        await call([{ dataType: DataType.String, value: "1" }], "i=11492"),
        await call([], "i=2253"),
        await call(state, "i=12886"),
    ];
    const names = results.map((result) => result.statusCode.name);
    const expected = ["BadUserAccessDenied", "BadSubscriptionIdInvalid", "BadArgumentsMissing", "BadTooManyArguments",
        "BadInvalidArgument", "BadMethodInvalid", "BadUserAccessDenied"];
    const [mismatch] = results[4].inputArgumentResults;
    check("refused calls", names.join() === expected.join() && mismatch.equals(StatusCodes.BadTypeMismatch), names);
    const declared = await session.getArgumentDefinition("i=11492");
    const argumentNames = [...declared.inputArguments, ...declared.outputArguments].map((argument) => argument.name);
    check("arguments", argumentNames.join() === "SubscriptionId,ServerHandles,ClientHandles", argumentNames);
    await close(other);
    await close(opened);
}

// What each item hears, as `value status`, and the kinds of events with the changed nodes.
async function reload() {
    const opened = await open();
    const { client, session } = opened;
    let lost = 0;
    client.on("connection_lost", () => { lost += 1; });
    client.on("start_reconnection", () => { lost += 1; });
    const heard = await listen(session, SETPOINT);
    const { subscription } = heard;
    const [number, fixed, pump] = ["ns=2;s=Pump.Number", "ns=2;s=Pump.Fixed", "ns=2;s=Pump"];
    const told = { [SETPOINT]: [], [number]: [], [fixed]: [] };
    const events = [];
    let wake = () => {};
    for (const nodeId of Object.keys(told)) {
        const item = await subscription.monitor(
            { nodeId, attributeId: AttributeIds.Value },
            { samplingInterval: 0, queueSize: 1000, discardOldest: true }, opcua.TimestampsToReturn.Both);
        item.on("changed", ({ value, statusCode }) => {
            told[nodeId].push(`${value.value} 0x${statusCode.value.toString(16)}`);
            wake();
        });
    }
    const changes = await subscription.monitor(
        { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier },
        { filter: opcua.constructEventFilter(["EventType", "Changes"]), queueSize: 100, discardOldest: true },
        opcua.TimestampsToReturn.Both);
    changes.on("changed", ([kind, list]) => {
        const name = kind.value.toString();
        if (name !== "ns=0;i=2133" && name !== "ns=0;i=2738") return;
        events.push(`${name} ${[...list.value].map((change) => change.affected.toString()).sort()}`);
        wake();
    });
    async function until(isThere, ms = 15000) {
        const end = Date.now() + ms;
        while (!isThere() && Date.now() < end) {
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, Math.max(1, end - Date.now()));
                wake = () => { clearTimeout(timer); resolve(); };
            });
        }
        return isThere();
    }
    const last = (nodeId) => told[nodeId][told[nodeId].length - 1];
    await until(() => Object.values(told).every((list) => list.length === 1));
    const before = [subscription.subscriptionId, session.sessionId.toString()];
    async function after(change, name, nodeId, expected, event) {
        const count = events.length;
        await ask(`reload ${change}`);
        const ok = await until(() => last(nodeId) === expected && events.length > count);
        check(name, ok && events.slice(count).join() === event, `${told[nodeId]}; ${events.slice(count)}`);
    }
    const model = `ns=0;i=2133 ${pump}`;
    await after("range", "changed range", SETPOINT, "100 0x4000", `ns=0;i=2738 ${SETPOINT}`);
    const limits = await session.read({ nodeId: "ns=2;s=Pump.Setpoint.EURange", attributeId: AttributeIds.Value });
    check("new range", limits.value.value.high === 3600, limits);
    await ask("reload returned");
    await until(() => told[SETPOINT].length === 3 && events.length === 2);
    await after("removed", "removed node", number, "null 0x80340000", model);
    await after("returned", "returned node", number, "5 0x0", model);
    const count = events.length;
    await ask("reload added");
    await until(() => events.length > count);
    const added = await session.read({ nodeId: "ns=2;s=Pump.Added", attributeId: AttributeIds.Value });
    check("added node", events.slice(count).join() === model && added.value.value === 42, events.slice(count));
    await ask("reload value");
    check("changed value", await until(() => last(SETPOINT) === "150 0x0"), told[SETPOINT]);
    await write(session, SETPOINT, 321.5);
    const ok = await until(() => last(SETPOINT) === "321.5 0x0");
    const same = [subscription.subscriptionId, session.sessionId.toString()].join() === before.join();
    check("same subscription", ok && same && lost === 0, `${before} ${told[SETPOINT]} ${lost}`);
    check("untouched node", told[fixed].join() === "FC3 0x0", told[fixed]);
    await close(opened);
}

async function structures() {
    await ask("reload structures");
    const opened = await open({});
    const { session } = opened;
    const nodeId = "ns=2;s=Pump.Batch";
    const read = async () => (await session.read({ nodeId, attributeId: AttributeIds.Value })).value.value;
    const value = await read();
    const shown = JSON.stringify([value.id, value.recipe, value.state, value.alarms, value.pos.x, value.pos.y,
        [...value.weights], value.way.map((pos) => [pos.x, pos.y])]);
    check("decoded", shown === '["A1",7,1,512,1.5,2.5,[1,2,3],[[1,2],[3,4]]]', shown);
    const made = await session.constructExtensionObject(opcua.resolveNodeId("ns=2;s=@type.Batch"), {
        id: "B2", recipe: 99, state: 2, alarms: 1, pos: { x: 7.5, y: 0 }, weights: [4, 5, 6],
        way: [{ x: 0, y: 0 }, { x: 0, y: 1 }],
    });
    const status = await session.write({
        nodeId, attributeId: AttributeIds.Value, value: { value: { dataType: DataType.ExtensionObject, value: made } },
    });
    const again = await read();
    check("written", status === StatusCodes.Good && again.id === "B2" && again.pos.x === 7.5, `${status} ${again}`);
    const x = await session.read({ nodeId: "ns=2;s=Pump.Batch.Pos.X", attributeId: AttributeIds.Value });
    check("field", x.value.value === 7.5, x);
    await close(opened);
}

const parts = { reload, structures, connect, browse, write: writing, renew, restart, cut, call: calling };
parts[part]().then(
    () => process.exit(0),
    (error) => {
        process.stderr.write(`${error.stack}\n`);
        process.exit(1);
    },
);
