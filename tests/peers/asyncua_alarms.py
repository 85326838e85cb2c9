"""asyncua sees alarms and acts on them: one JSON line a check. Argument: the facts as JSON."""
import asyncio
import json
import logging
import sys

from asyncua import Client, ua

FACTS = json.loads(sys.argv[1])
logging.basicConfig(level=logging.CRITICAL)
LEVEL, CONDITION = "ns=2;s=Line.Tank.Level", "ns=2;s=Line.Tank.Level.@alarms.Level"


def check(name, ok, detail=""):
    print(json.dumps({"check": name, "ok": bool(ok), "detail": str(detail)}), flush=True)


class Heard:
    def __init__(self):
        self.events = asyncio.Queue()

    def event_notification(self, event):
        self.events.put_nowait(event)

    async def condition(self):
        while True:
            event = await asyncio.wait_for(self.events.get(), 10)
            if event.EventType.Identifier == 9482:
                return event

    async def kind(self):
        return (await asyncio.wait_for(self.events.get(), 10)).EventType.Identifier


async def write(client, value):
    await client.get_node(LEVEL).write_value(ua.Variant(value, ua.VariantType.Double))


async def main():
    async with Client(FACTS["url"], timeout=8) as client:
        heard = Heard()
        subscription = await client.create_subscription(50, heard)
        await subscription.subscribe_alarms_and_conditions(
            client.nodes.server, ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType), queuesize=100)
        await write(client, 91.0)
        raised = await heard.condition()
        check("raised", getattr(raised, "ActiveState/Id") and not getattr(raised, "AckedState/Id"), raised.Message)
        check("condition id", raised.NodeId == ua.NodeId.from_string(CONDITION), raised.NodeId)
        condition = client.get_node(CONDITION)
        comment = ua.LocalizedText("on my way", "en")
        await condition.call_method("0:Acknowledge", raised.EventId, comment)
        acked = await heard.condition()
        check("acknowledged", getattr(acked, "AckedState/Id") and acked.Comment.Text == "on my way", acked.Comment)
        try:
            await condition.call_method("0:Acknowledge", acked.EventId, comment)
            check("acknowledged twice", False)
        except ua.UaStatusCodeError as error:
            check("acknowledged twice", error.code == ua.StatusCodes.BadConditionBranchAlreadyAcked, error)
        shelving = await condition.get_child("0:ShelvingState")
        await shelving.call_method("0:TimedShelve", ua.Variant(60000.0, ua.VariantType.Double))
        shelved = await heard.condition()
        check("shelved", shelved.SuppressedOrShelved, getattr(shelved, "ShelvingState/CurrentState"))
        await shelving.call_method("0:Unshelve")
        check("unshelved", not (await heard.condition()).SuppressedOrShelved)
        refresh = client.get_node(ua.ObjectIds.ConditionType)
        await refresh.call_method(
            "0:ConditionRefresh", ua.Variant(subscription.subscription_id, ua.VariantType.UInt32))
        kinds = [await heard.kind() for _ in range(3)]
        check("refresh", kinds == [2787, 9482, 2788], kinds)
        check("mirror", await client.get_node(CONDITION + ".Active").read_value())
        await write(client, 50.0)
        check("returned", not (await heard.condition()).Retain)


asyncio.run(main())
