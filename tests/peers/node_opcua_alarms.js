// node-opcua sees alarms and acts on them: one JSON line a check. Argument: the facts as JSON.
"use strict";

// The library talks to the console; only checks may go there.
const say = process.stdout.write.bind(process.stdout);
console.log = console.warn = console.info = console.error = () => {};

const opcua = require("node-opcua");
const { AttributeIds, DataType, StatusCodes, TimestampsToReturn } = opcua;

const facts = JSON.parse(process.argv[2]);
const LEVEL = "ns=2;s=Line.Tank.Level";
const CONDITION = "ns=2;s=Line.Tank.Level.@alarms.Level";
const FIELDS = ["EventId", "EventType", "ConditionId", "Message", "ActiveState.Id", "AckedState.Id", "Comment", "Retain",
    "SuppressedOrShelved"];

function check(name, ok, detail) {
    say(JSON.stringify({ check: name, ok: Boolean(ok), detail: String(detail) }) + "\n");
}

const events = [];
let wake = () => {};

async function next() {
    const limit = Date.now() + 10_000;
    while (events.length === 0) {
        if (Date.now() > limit) throw new Error("no event");
        await new Promise((resolve) => { wake = resolve; setTimeout(resolve, 200); });
    }
    return events.shift();
}

async function condition() {
    for (;;) {
        const event = await next();
        if (event.ConditionId?.toString() === CONDITION) return event;
    }
}

async function main() {
    const client = opcua.OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 1 } });
    await client.connect(facts.url);
    const session = await client.createSession();
    const write = (value) => session.write({
        nodeId: LEVEL, attributeId: AttributeIds.Value, value: { value: { dataType: DataType.Double, value } },
    });
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 20,
        maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 1,
    });
    const filter = opcua.constructEventFilter(FIELDS);
    const item = await subscription.monitor(
        { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier },
        { queueSize: 100, discardOldest: true, filter }, TimestampsToReturn.Both);
    item.on("changed", (values) => {
        events.push(Object.fromEntries(FIELDS.map((name, at) => [name, values[at].value])));
        wake();
    });
    await write(91.0);
    const raised = await condition();
    check("raised", raised["ActiveState.Id"] === true && raised["AckedState.Id"] === false, raised.Message?.text);
    const acknowledged = await session.acknowledgeCondition(CONDITION, raised.EventId, "on my way");
    const acked = await condition();
    check("acknowledged", acknowledged === StatusCodes.Good && acked["AckedState.Id"] === true, acked.Comment?.text);
    const twice = await session.acknowledgeCondition(CONDITION, acked.EventId, "again");
    check("acknowledged twice", twice === StatusCodes.BadConditionBranchAlreadyAcked, twice);
    const shelve = await session.call({
        objectId: CONDITION, methodId: "i=2949", inputArguments: [{ dataType: DataType.Double, value: 60_000 }],
    });
    check("shelved", shelve.statusCode === StatusCodes.Good && (await condition()).SuppressedOrShelved, shelve.statusCode);
    const unshelve = await session.call({ objectId: CONDITION, methodId: "i=2947", inputArguments: [] });
    check("unshelved", unshelve.statusCode === StatusCodes.Good && !(await condition()).SuppressedOrShelved, unshelve.statusCode);
    const refresh = await session.call({
        objectId: "i=2782", methodId: "i=3875",
        inputArguments: [{ dataType: DataType.UInt32, value: subscription.subscriptionId }],
    });
    const kinds = [await next(), await next(), await next()].map((event) => event.EventType.toString());
    const expected = JSON.stringify(["ns=0;i=2787", "ns=0;i=9482", "ns=0;i=2788"]);
    check("refresh", refresh.statusCode === StatusCodes.Good && JSON.stringify(kinds) === expected, kinds);
    await write(50.0);
    check("returned", (await condition()).Retain === false);
    await session.close();
    await client.disconnect();
    process.exit(0);
}

main().catch((error) => { check("all", false, error.stack); process.exit(1); });
