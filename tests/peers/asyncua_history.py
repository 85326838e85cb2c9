"""asyncua reads and edits history: one JSON line a check. Argument: the facts as JSON."""
import asyncio
import json
import logging
import sys
from datetime import datetime, timedelta, timezone

from asyncua import Client, ua

FACTS = json.loads(sys.argv[1])
NOW = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=2)
logging.basicConfig(level=logging.CRITICAL)


def check(name, ok, detail=""):
    print(json.dumps({"check": name, "ok": bool(ok), "detail": str(detail)}), flush=True)


def ask(what):
    print(json.dumps({"ask": what}), flush=True)
    assert sys.stdin.readline() == "done\n"


def at(second):
    return NOW + timedelta(seconds=second)


def second(value):
    time = value.SourceTimestamp
    time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return round((time - NOW).total_seconds())


def sample(at_second, value, kind=ua.VariantType.Double):
    return ua.DataValue(ua.Variant(value, kind), SourceTimestamp=at(at_second), ServerTimestamp=at(at_second))


def seen(values):
    return [(second(value), value.Value.Value) for value in values]


async def update(node, perform, values, details=None):
    details = details or ua.UpdateDataDetails()
    details.NodeId = node.nodeid
    details.PerformInsertReplace = perform
    details.UpdateValues = values
    result = await node.history_update(details)
    return [ua.status_codes.get_name_and_doc(code.value)[0] for code in result.OperationResults]


async def facts(client, level):
    bits = await level.get_user_access_level()
    check("access", {ua.AccessLevel.HistoryRead, ua.AccessLevel.HistoryWrite} <= bits, bits)
    historizing = await level.read_attribute(ua.AttributeIds.Historizing)
    (configuration,) = await level.get_referenced_nodes(refs=ua.ObjectIds.HasHistoricalConfiguration,
                                                        direction=ua.BrowseDirection.Forward)
    stepped = await (await configuration.get_child("0:Stepped")).read_value()
    start = await (await configuration.get_child("0:StartOfArchive")).read_value()
    good = await (await configuration.get_child(["0:AggregateConfiguration", "0:PercentDataGood"])).read_value()
    ok = historizing.Value.Value and stepped is False and isinstance(start, datetime) and good == 100
    check("configuration", ok, (historizing, stepped, start, good))
    names = []
    for parent in [ua.ObjectIds.Server_ServerCapabilities_AggregateFunctions,
                   ua.ObjectIds.HistoryServerCapabilities_AggregateFunctions]:
        children = await client.get_node(ua.NodeId(parent)).get_children()
        names.append({(await child.read_browse_name()).Name for child in children})
    check("aggregates", names[0] == names[1] and {"Average", "Interpolative", "Maximum2"} <= names[0], names)


async def raw(client, level):
    codes = await update(level, ua.PerformUpdateType.Insert, [sample(n, float(n)) for n in range(100)])
    check("insert", codes == ["GoodEntryInserted"] * 100, codes[:3])
    read = await level.read_raw_history(at(0), at(50), return_bounds=False)
    check("raw", seen(read) == [(n, float(n)) for n in range(50)], seen(read)[:3])
    read = await level.read_raw_history(at(10), None, numvalues=5, return_bounds=False)
    check("raw by number", seen(read) == [(n, float(n)) for n in range(10, 15)], seen(read))
    read = await level.read_raw_history(None, at(10), numvalues=3, return_bounds=False)
    check("raw backwards", seen(read) == [(10, 10.0), (9, 9.0), (8, 8.0)], seen(read))
    read = await level.read_raw_history(at(-10), at(3) - timedelta(milliseconds=500))
    missing = [value.StatusCode.name for value in read][0] if read else None
    check("bounds", seen(read)[1:] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)], (missing, seen(read)))
    read = await level.read_raw_history(at(-50), at(-40), return_bounds=False)
    check("no data", read == [], read)
    try:
        await client.get_node("ns=2;s=Tank.Forgotten").read_raw_history(at(0), at(1))
        check("no archive", False, "it was read")
    except ua.UaStatusCodeError as error:
        check("no archive", error.code == ua.StatusCodes.BadHistoryOperationUnsupported, error)


async def calculated(level):
    details = ua.ReadAtTimeDetails(ReqTimes=[at(7), at(3) + timedelta(milliseconds=500)], UseSimpleBounds=True)
    result = await level.history_read(details)
    values = [value.Value.Value for value in result.HistoryData.DataValues]
    check("at times", values == [7.0, 3.5], values)
    details = ua.ReadProcessedDetails(
        StartTime=at(0), EndTime=at(100), ProcessingInterval=10_000.0,
        AggregateType=[ua.NodeId(ua.ObjectIds.AggregateFunction_Average)],
        AggregateConfiguration_=ua.AggregateConfiguration(UseServerCapabilitiesDefaults=True),
    ) if hasattr(ua.ReadProcessedDetails(), "AggregateConfiguration_") else ua.ReadProcessedDetails(
        StartTime=at(0), EndTime=at(100), ProcessingInterval=10_000.0,
        AggregateType=[ua.NodeId(ua.ObjectIds.AggregateFunction_Average)],
        AggregateConfiguration=ua.AggregateConfiguration(UseServerCapabilitiesDefaults=True),
    )
    result = await level.history_read(details)
    values = seen(result.HistoryData.DataValues)
    check("processed", values == [(n, n + 4.5) for n in range(0, 100, 10)], values)


async def edits(level):
    codes = await update(level, ua.PerformUpdateType.Replace, [sample(5, 55.0), sample(500, 1.0)])
    codes += await update(level, ua.PerformUpdateType.Update, [sample(6, 66.0), sample(200, 2.0)])
    expected = ["GoodEntryReplaced", "BadNoEntryExists", "GoodEntryReplaced", "GoodEntryInserted"]
    read = await level.read_raw_history(at(5), at(7), return_bounds=False)
    check("replace and update", codes == expected and seen(read) == [(5, 55.0), (6, 66.0)], (codes, seen(read)))
    details = ua.ReadRawModifiedDetails(IsReadModified=True, StartTime=at(4), EndTime=at(8), NumValuesPerNode=0,
                                        ReturnBounds=False)
    result = await level.history_read(details)
    old = seen(result.HistoryData.DataValues)
    kinds = [ua.HistoryUpdateType(info.UpdateType).name for info in result.HistoryData.ModificationInfos]
    # What was inserted in the beginning stands there too.
    changed = [value for value, kind in zip(old, kinds) if kind != "Insert"]
    check("modified", changed == [(5, 5.0), (6, 6.0)] and len(old) == 6, (old, kinds))
    await level.history_update(ua.DeleteRawModifiedDetails(
        NodeId=level.nodeid, IsDeleteModified=False, StartTime=at(20), EndTime=at(30)))
    result = await level.history_update(ua.DeleteAtTimeDetails(NodeId=level.nodeid, ReqTimes=[at(31), at(999)]))
    codes = [code.name for code in result.OperationResults]
    read = await level.read_raw_history(at(18), at(34), return_bounds=False)
    left = [(n, float(n)) for n in (18, 19, 30, 32, 33)]
    check("delete", codes == ["Good", "BadNoEntryExists"] and seen(read) == left, (codes, seen(read)))


async def annotations(level):
    notes = await level.get_child("0:Annotations")
    written = ua.Annotation(Message="odd", UserName="erika", AnnotationTime=at(60))
    value = ua.DataValue(ua.Variant(written, ua.VariantType.ExtensionObject), SourceTimestamp=at(2))
    codes = await update(notes, ua.PerformUpdateType.Insert, [value], ua.UpdateStructureDataDetails())
    read = await notes.read_raw_history(at(0), at(9), return_bounds=False)
    found = [(second(value), value.Value.Value.Message, value.Value.Value.UserName) for value in read]
    check("annotations", codes == ["GoodEntryInserted"] and found == [(2, "odd", "erika")], (codes, found))


async def pages(client):
    many = client.get_node("ns=2;s=Tank.Many")
    # More than the 10,000 values that the server gives at a time.
    count, step = 12_000, 4_000
    base = at(-7200)
    for first in range(0, count, step):
        values = [
            ua.DataValue(ua.Variant(n, ua.VariantType.Int32), SourceTimestamp=base + timedelta(milliseconds=100 * n))
            for n in range(first, first + step)
        ]
        await update(many, ua.PerformUpdateType.Insert, values)
    read = await many.read_raw_history(base, at(0), return_bounds=False)
    numbers = [value.Value.Value for value in read]
    check("pages", numbers == list(range(count)), len(numbers))


async def main():
    async with Client(FACTS["url"], timeout=30) as client:
        level = client.get_node("ns=2;s=Tank.Level")
        await facts(client, level)
        await raw(client, level)
        await calculated(level)
        await edits(level)
        await annotations(level)
        await pages(client)
    ask("restart")
    async with Client(FACTS["url"], timeout=30) as client:
        level = client.get_node("ns=2;s=Tank.Level")
        read = await level.read_raw_history(at(0), at(8), return_bounds=False)
        numbers = [value.Value.Value for value in read]
        check("after a restart", numbers == [0.0, 1.0, 2.0, 3.0, 4.0, 55.0, 66.0, 7.0], numbers)


asyncio.run(main())
