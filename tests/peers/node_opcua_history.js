// node-opcua reads and edits history: one JSON line a check. Argument: the facts as JSON.
"use strict";
const readline = require("node:readline");

// The library talks to the console; only checks may go there.
const say = process.stdout.write.bind(process.stdout);
console.log = console.warn = console.info = console.error = () => {};

const opcua = require("node-opcua");
const types = require("node-opcua-types");
const { AggregateFunction, AttributeIds, DataType, TimestampsToReturn } = opcua;

const facts = JSON.parse(process.argv[2]);
const LEVEL = "ns=2;s=Tank.Level";
const NOW = Math.floor(Date.now() / 1000) * 1000 - 2 * 3600 * 1000;
const [INSERT, REPLACE] = [1, 2];
// Without a hint it gives up after 15 s, which thousands of edits may take on a machine that is busy with other tests.
const PATIENT = { timeoutHint: 60_000 };
// It asks for bounds when nothing is said.
const INSIDE = { returnBounds: false };

function check(name, ok, detail) {
    say(JSON.stringify({ check: name, ok: Boolean(ok), detail: String(detail) }) + "\n");
}

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
    say(JSON.stringify({ ask: what }) + "\n");
    const answer = await answers.next();
    if (answer.value !== "done") throw new Error(`${what}: ${answer.value}`);
}

const at = (second) => new Date(NOW + second * 1000);
const second = (value) => (value.sourceTimestamp.getTime() - NOW) / 1000;
const seen = (values) => JSON.stringify(values.map((value) => [second(value), value.value?.value]));

function sample(atSecond, value, dataType = DataType.Double) {
    return { value: { dataType, value }, sourceTimestamp: at(atSecond), serverTimestamp: at(atSecond) };
}

async function withSession(act) {
    const client = opcua.OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
    await client.connect(facts.url);
    const session = await client.createSession();
    try {
        await act(session);
    } finally {
        await session.close();
        await client.disconnect();
    }
}

async function update(session, details) {
    const request = new opcua.HistoryUpdateRequest({ requestHeader: PATIENT, historyUpdateDetails: [details] });
    const response = await session.performMessageTransaction(request);
    const [result] = response.results;
    return [result.statusCode, ...(result.operationResults ?? [])].map((code) => code.name);
}

function read(session, nodeId, historyReadDetails, continuationPoint) {
    const request = new opcua.HistoryReadRequest({
        requestHeader: PATIENT,
        historyReadDetails,
        timestampsToReturn: TimestampsToReturn.Both,
        releaseContinuationPoints: false,
        nodesToRead: [{ nodeId, continuationPoint }],
    });
    return session.historyRead(request).then((response) => response.results[0]);
}

async function known(session) {
    const asked = [AttributeIds.UserAccessLevel, AttributeIds.Historizing];
    const [level, historizing] = await session.read(asked.map((attributeId) => ({ nodeId: LEVEL, attributeId })));
    check("access", (level.value.value & 12) === 12 && historizing.value.value, `${level} ${historizing}`);
    const paths = [".HA Configuration.Stepped", ".Annotations"];
    const found = await session.translateBrowsePath(paths.map((path) => opcua.makeBrowsePath(LEVEL, path)));
    const ids = found.map((result) => result.targets?.[0]?.targetId.toString());
    const stepped = await session.read({ nodeId: ids[0], attributeId: AttributeIds.Value });
    check("configuration", stepped.value.value === false && ids[1].endsWith("Annotations"), `${ids} ${stepped}`);
}

async function values(session) {
    const updateValues = Array.from({ length: 100 }, (_, n) => sample(n, n));
    const codes = await update(
        session,
        new types.UpdateDataDetails({ nodeId: LEVEL, performInsertReplace: INSERT, updateValues }),
    );
    check("insert", codes.length === 101 && codes.slice(1).every((code) => code === "GoodEntryInserted"), codes);
    const raw = await session.readHistoryValue(LEVEL, at(0), at(5), INSIDE);
    check("raw", seen(raw.historyData.dataValues) === "[[0,0],[1,1],[2,2],[3,3],[4,4]]", raw.toString());
    const bounds = await session.readHistoryValue(LEVEL, at(0.5), at(1.5));
    check("bounds", seen(bounds.historyData.dataValues) === "[[0,0],[1,1],[2,2]]", bounds.toString());
    const details = new opcua.ReadAtTimeDetails({ reqTimes: [at(7), at(3.5)], useSimpleBounds: true });
    const times = await read(session, LEVEL, details);
    check("at times", seen(times.historyData.dataValues) === "[[7,7],[3.5,3.5]]", times.toString());
}

async function aggregates(session) {
    const functions = [AggregateFunction.Average, AggregateFunction.Maximum, AggregateFunction.Interpolative];
    const nodes = functions.map(() => ({ nodeId: LEVEL }));
    const results = await session.readAggregateValue(nodes, at(0), at(100), functions, 50_000);
    const all = results.map((result) => seen(result.historyData.dataValues)).join();
    check("aggregates", all === "[[0,24.5],[50,74.5]],[[0,49],[50,99]],[[0,0],[50,50]]", all);
    const own = { treatUncertainAsBad: false, percentDataBad: 50, percentDataGood: 50 };
    const result = await session.readAggregateValue({ nodeId: LEVEL }, at(0), at(100), functions[0], 100_000, own);
    const average = seen(result.historyData.dataValues);
    check("aggregate with its own configuration", average === "[[0,49.5]]", result.toString());
}

async function edits(session) {
    const replaced = await update(
        session,
        new types.UpdateDataDetails({
            nodeId: LEVEL,
            performInsertReplace: REPLACE,
            updateValues: [sample(5, 55), sample(500, 1)],
        }),
    );
    const raw = await session.readHistoryValue(LEVEL, at(5), at(6), INSIDE);
    const after = seen(raw.historyData.dataValues);
    check("replace", `${replaced}` === "Good,GoodEntryReplaced,BadNoEntryExists" && after === "[[5,55]]", replaced);
    const details = new opcua.ReadRawModifiedDetails({
        isReadModified: true,
        startTime: at(5),
        endTime: at(6),
        returnBounds: false,
    });
    const modified = await read(session, LEVEL, details);
    const kinds = modified.historyData.modificationInfos.map((info) => info.updateType);
    const old = seen(modified.historyData.dataValues);
    check("modified", old === "[[5,5],[5,5]]" && `${kinds}` === "1,2", `${old} ${kinds}`);
    const span = new types.DeleteRawModifiedDetails({ nodeId: LEVEL, startTime: at(20), endTime: at(30) });
    const deleted = await update(session, span);
    const times = new types.DeleteAtTimeDetails({ nodeId: LEVEL, reqTimes: [at(31), at(999)] });
    const codes = await update(session, times);
    const left = await session.readHistoryValue(LEVEL, at(18), at(33), INSIDE);
    const rest = seen(left.historyData.dataValues);
    const ok = `${deleted}` === "Good" && `${codes}` === "Good,Good,BadNoEntryExists";
    check("delete", ok && rest === "[[18,18],[19,19],[30,30],[32,32]]", `${deleted} ${codes} ${rest}`);
}

async function annotations(session) {
    const nodeId = `${LEVEL}.Annotations`;
    const value = new types.Annotation({ message: "odd", userName: "erika", annotationTime: at(60) });
    const updateValues = [{ value: { dataType: DataType.ExtensionObject, value }, sourceTimestamp: at(2) }];
    const codes = await update(
        session,
        new types.UpdateStructureDataDetails({ nodeId, performInsertReplace: INSERT, updateValues }),
    );
    const raw = await session.readHistoryValue(nodeId, at(0), at(9));
    const [found] = raw.historyData.dataValues;
    const ok = `${codes}` === "Good,GoodEntryInserted" && second(found) === 2 && found.value.value.message === "odd";
    check("annotations", ok, `${codes} ${found}`);
}

async function pages(session) {
    const nodeId = "ns=2;s=Tank.Many";
    const [count, step, base] = [12_000, 4_000, -7200];
    for (let first = 0; first < count; first += step) {
        const updateValues = Array.from({ length: step }, (_, n) => {
            return sample(base + 0.1 * (first + n), first + n, DataType.Int32);
        });
        await update(session, new types.UpdateDataDetails({ nodeId, performInsertReplace: INSERT, updateValues }));
    }
    const details = new opcua.ReadRawModifiedDetails({ startTime: at(base), endTime: at(0), numValuesPerNode: 3_500 });
    const numbers = [];
    let point;
    do {
        const page = await read(session, nodeId, details, point);
        numbers.push(...page.historyData.dataValues.map((value) => value.value.value));
        point = page.continuationPoint;
    } while (point?.length);
    const inOrder = numbers.every((number, n) => number === n);
    check("pages", numbers.length === count && inOrder, numbers.length);
}

async function main() {
    await withSession(async (session) => {
        await known(session);
        await values(session);
        await aggregates(session);
        await edits(session);
        await annotations(session);
        await pages(session);
    });
    await ask("restart");
    await withSession(async (session) => {
        const raw = await session.readHistoryValue(LEVEL, at(3), at(7), INSIDE);
        const after = seen(raw.historyData.dataValues);
        check("after a restart", after === "[[3,3],[4,4],[5,55],[6,6]]", after);
    });
    process.exit(0);
}

main().catch((error) => {
    check("the script", false, error.stack);
    process.exit(1);
});
