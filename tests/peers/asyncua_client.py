"""asyncua against the server: one JSON line a check. Arguments: the part, and the facts as JSON."""
import asyncio
import json
import logging
import sys

from asyncua import Client, ua
from asyncua.crypto import security_policies as policies
from asyncua.crypto import uacrypto

PART, FACTS = sys.argv[1], json.loads(sys.argv[2])
SETPOINT, NUMBER = "ns=2;s=Pump.Setpoint", "ns=2;s=Pump.Number"
logging.basicConfig(level=logging.CRITICAL)


def check(name, ok, detail=""):
    print(json.dumps({"check": name, "ok": bool(ok), "detail": str(detail)}), flush=True)


def ask(what):
    print(json.dumps({"ask": what}), flush=True)
    assert sys.stdin.readline() == "done\n"


async def open_client(policy="Basic256Sha256", mode="SignAndEncrypt", token="username", url=None, password=None,
                      user=None, **more):
    client = Client(url or FACTS["url"], timeout=8, **more)
    client.application_uri = FACTS["application_uri"]
    if policy != "None":
        await client.set_security(
            getattr(policies, "SecurityPolicy" + policy),
            FACTS["certificate"],
            uacrypto.CertProperties(FACTS["key"], extension="pem"),
            server_certificate=FACTS["server_certificate"],
            mode=getattr(ua.MessageSecurityMode, mode),
        )
    if token == "username":
        client.set_user(user or FACTS["user"])
        client.set_password(password or FACTS["password"])
    elif token == "certificate":
        await client.load_client_certificate(FACTS["user_certificate"], "der")
        await client.load_private_key(FACTS["user_key"], None, "pem")
    await client.connect()
    return client


async def refused(name, expected, **how):
    try:
        client = await open_client(**how)
        await client.disconnect()
        check(name, False, "was let in")
    except ua.UaStatusCodeError as error:
        check(name, error.code == expected, error)


async def connect():
    for policy in ["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]:
        for mode in ["None"] if policy == "None" else ["Sign", "SignAndEncrypt"]:
            for token in ["anonymous", "username", "certificate"]:
                name = f"connect {policy} {mode} {token}"
                try:
                    client = await open_client(policy, mode, token)
                    value = await client.get_node(SETPOINT).read_value()
                    await client.disconnect()
                    check(name, value == 100.0, value)
                except Exception as error:
                    check(name, False, repr(error))
    codes = ua.StatusCodes
    await refused("wrong password", codes.BadIdentityTokenRejected, password="wrong")
    await refused("unknown user", codes.BadIdentityTokenRejected, user="nobody")
    FACTS.update(user_certificate=FACTS["certificate"], user_key=FACTS["key"])
    await refused("unpinned certificate", codes.BadIdentityTokenRejected, token="certificate")


async def newcomer():
    await refused("a stranger is refused", ua.StatusCodes.BadSecurityChecksFailed, token="anonymous")
    ask("let me in")
    client = await open_client(token="anonymous")
    check("let in", (await client.get_node(FACTS["node"]).read_value()) is not None)
    ask("shut me out")
    try:
        await client.get_node(FACTS["node"]).read_value()
        check("shut out", False, "it still reads")
    except Exception as error:
        check("shut out", True, repr(error))


async def browse_all(client):
    """Every node that is reached from Root by forward references; data of each as first seen."""
    seen, todo, conflicts = {}, [ua.NodeId(84)], []
    while todo:
        batch, todo = todo[:500], todo[500:]
        wanted = [
            ua.BrowseDescription(NodeId=node, BrowseDirection=ua.BrowseDirection.Forward,
                                 ReferenceTypeId=ua.NodeId(31), IncludeSubtypes=True, NodeClassMask=0, ResultMask=63)
            for node in batch
        ]
        results = await client.uaclient.session.browse(ua.BrowseParameters(NodesToBrowse=wanted))
        points = []
        references = []
        for node, result in zip(batch, results):
            result.StatusCode.check()
            references += result.References
            if result.ContinuationPoint:
                points.append(result.ContinuationPoint)
        while points:
            more = await client.uaclient.session.browse_next(
                ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=points))
            points = [result.ContinuationPoint for result in more if result.ContinuationPoint]
            for result in more:
                result.StatusCode.check()
                references += result.References
        for reference in references:
            data = (reference.NodeClass, reference.BrowseName, reference.DisplayName, reference.TypeDefinition)
            if getattr(reference.NodeId, "ServerIndex", 0) or getattr(reference.NodeId, "NamespaceUri", None):
                conflicts.append(f"{reference.NodeId} is not local by index")
            known = seen.get(reference.NodeId)
            if known is None:
                seen[reference.NodeId] = data
                todo.append(reference.NodeId)
            elif known != data:
                conflicts.append(f"{reference.NodeId}: {known} and {data}")
    return seen, conflicts


async def browse():
    client = await open_client()
    seen, conflicts = await browse_all(client)
    check("browse", len(seen) > 1000 and not conflicts, f"{len(seen)} nodes; {conflicts[:5]}")
    await client.load_data_type_definitions()
    state = await client.get_node("ns=2;s=Pump.State").read_value()
    check("data types", state == 0, state)
    for kind in FACTS["classes"]:
        ids = [ua.ReadValueId(NodeId=ua.NodeId.from_string(kind["node"]), AttributeId=attribute)
               for attribute in range(1, 28)]
        results = await client.uaclient.session.read(ua.ReadParameters(NodesToRead=ids))
        wrong = []
        for attribute, result in enumerate(results, 1):
            code = result.StatusCode.value
            good, invalid = code == 0, code == ua.StatusCodes.BadAttributeIdInvalid
            denied = code == ua.StatusCodes.BadUserAccessDenied
            right = denied if attribute in kind["denied"] else good if attribute in kind["must"] else good or invalid if attribute in kind["may"] else invalid
            if not right:
                wrong.append((attribute, result.StatusCode.name))
        check("attributes of " + kind["name"], not wrong, wrong)
    own = await client.get_node("ns=2;s=Pump.Setpoint").read_attribute(ua.AttributeIds.UserRolePermissions)
    roles = [(role.RoleId.to_string(), int(role.Permissions)) for role in own.Value.Value]
    restrictions = await client.get_node("i=2253").read_attribute(ua.AttributeIds.AccessRestrictions)
    found = (roles, restrictions.Value.Value)
    check("permissions", found == ([("i=15656", 2081), ("i=15680", 64)], 4), found)
    await client.disconnect()


class Heard:
    def __init__(self):
        self.values = asyncio.Queue()

    def datachange_notification(self, node, value, data):
        self.values.put_nowait(value)

    def event_notification(self, event):
        self.values.put_nowait(event.EventType.Identifier)

    def status_change_notification(self, status):
        pass

    async def until(self, wanted, seconds=10):
        values = []
        try:
            while True:
                values.append(await asyncio.wait_for(self.values.get(), seconds))
                if values[-1] == wanted:
                    return True, values
        except asyncio.TimeoutError:
            return False, values


async def status_of(request):
    try:
        await request
        return 0
    except ua.UaStatusCodeError as error:
        return error.code


def write_status(client, node, value, kind):
    return status_of(client.get_node(node).write_value(ua.DataValue(ua.Variant(value, kind))))


async def write():
    client = await open_client()
    heard = Heard()
    subscription = await client.create_subscription(50, heard)
    await subscription.subscribe_data_change(client.get_node(SETPOINT))
    first, _ = await heard.until(100.0)
    double = ua.VariantType.Double
    check("write", await write_status(client, SETPOINT, 321.5, double) == 0)
    second, values = await heard.until(321.5)
    check("subscribe", first and second, values)
    codes = ua.StatusCodes
    status = await write_status(client, SETPOINT, "high", ua.VariantType.String)
    check("write of a wrong type", status == codes.BadTypeMismatch, status)
    status = await write_status(client, "ns=2;s=Pump.Speed", 1.0, double)
    check("write to a read-only tag", status == codes.BadNotWritable, status)
    await subscription.delete()
    await client.disconnect()
    client = await open_client(token="anonymous")
    status = await write_status(client, SETPOINT, 1.0, double)
    check("write without the role", status == codes.BadUserAccessDenied, status)
    await client.disconnect()


async def structures():
    await asyncio.to_thread(ask, "reload structures")
    client = await open_client()
    await client.load_data_type_definitions()
    batch, x = client.get_node("ns=2;s=Pump.Batch"), client.get_node("ns=2;s=Pump.Batch.Pos.X")
    value = await batch.read_value()
    shown = (value.Id, value.Recipe, int(value.State), int(value.Alarms), value.Pos.X, value.Pos.Y, value.Weights,
             [(pos.X, pos.Y) for pos in value.Way])
    check("decoded", shown == ("A1", 7, 1, 512, 1.5, 2.5, [1.0, 2.0, 3.0], [(1.0, 2.0), (3.0, 4.0)]), shown)
    heard, of_field = Heard(), Heard()
    await (await client.create_subscription(50, heard)).subscribe_data_change(batch, sampling_interval=0)
    await (await client.create_subscription(50, of_field)).subscribe_data_change(x, sampling_interval=0)
    value.Recipe, value.Pos.X, value.Weights = 99, 7.5, [4.0, 5.0, 6.0]
    kind = ua.VariantType.ExtensionObject
    status = await write_status(client, "ns=2;s=Pump.Batch", value, kind)
    check("written", status == 0 and await batch.read_value() == value, status)
    check("heard", (await heard.until(value))[0] and (await of_field.until(7.5))[0])
    status = await write_status(client, "ns=2;s=Pump.Batch.Pos.X", 8.5, ua.VariantType.Float)
    check("field written", status == 0 and (await batch.read_value()).Pos.X == 8.5, status)
    value.Pos.X = 1000.5
    status = await write_status(client, "ns=2;s=Pump.Batch", value, kind)
    check("outside its range", status == ua.StatusCodes.BadOutOfRange, status)
    names = [(await child.read_browse_name()).Name for child in await batch.get_children()]
    check("fields", names == ["Id", "Recipe", "State", "Alarms", "Pos", "Weights", "Way"], names)
    bits = await client.get_node("ns=2;s=@type.Alarms.OptionSetValues").read_value()
    check("option set", [bit.Text for bit in bits] == ["Heat"] + [""] * 8 + ["Door"], bits)
    grid = client.get_node("ns=2;s=Pump.Grid")
    check("matrix", await grid.read_value() == [[1, 2, 3], [4, 5, 6]], await grid.read_value())
    await client.disconnect()


async def renew():
    client = await open_client()
    heard = Heard()
    subscription = await client.create_subscription(50, heard)
    # The library samples each 50 ms by default; at 0 it hears of each write.
    await subscription.subscribe_data_change(client.get_node(SETPOINT), queuesize=100, sampling_interval=0)
    numbers = [float(number) for number in range(101, 151)]
    for number in numbers:
        if number % 5 == 0:
            await client.open_secure_channel(renew=True)
        await client.get_node(SETPOINT).write_value(number)
    _, values = await heard.until(numbers[-1])
    check("nothing lost", values == [100.0, *numbers], values)
    await client.disconnect()


async def restart():
    client = await open_client(auto_reconnect=True, reconnect_max_delay=1.0)
    before = await client.get_namespace_index("urn:test:press")
    heard = Heard()
    subscription = await client.create_subscription(50, heard)
    await subscription.subscribe_data_change(client.get_node(SETPOINT))
    check("heard before", (await heard.until(100.0))[0])
    await client.get_node(SETPOINT).write_value(200.0)
    await heard.until(200.0)
    certificate = client.security_policy.peer_certificate
    await asyncio.to_thread(ask, "restart")
    ok, values = await heard.until(200.0, 15)
    check("heard after", ok, values)
    check("same namespace", await client.get_namespace_index("urn:test:press") == before)
    check("same value", await client.get_node(SETPOINT).read_value() == 200.0)
    check("same certificate", (await client.get_endpoints())[0].ServerCertificate == certificate)
    await client.disconnect()


async def cut():
    writer = await open_client()
    client = await open_client(url=FACTS["relay"], watchdog_intervall=60)
    heard = Heard()
    subscription = await client.create_subscription(
        ua.CreateSubscriptionParameters(RequestedPublishingInterval=50, RequestedLifetimeCount=3000,
                                        RequestedMaxKeepAliveCount=1000, PublishingEnabled=True), heard)
    await subscription.subscribe_data_change(client.get_node(SETPOINT), queuesize=100)
    await heard.until(100.0)
    number = subscription.subscription_id
    await asyncio.to_thread(ask, "mute")
    await writer.get_node(SETPOINT).write_value(201.0)
    await asyncio.to_thread(ask, "loss")
    await asyncio.to_thread(ask, "cut")
    check("lost", heard.values.empty())
    await writer.get_node(SETPOINT).write_value(202.0)
    # A new session of the same user takes the subscription over, as the library itself does after it reconnects.
    other = await open_client(url=FACTS["relay"], watchdog_intervall=60)
    session = other.uaclient.session
    results = await session.transfer_subscriptions(
        ua.TransferSubscriptionsParameters(SubscriptionIds=[number], SendInitialValues=False))
    available = results[0].AvailableSequenceNumbers
    check("transferred", results[0].StatusCode.is_good() and available, results)
    message = await session.republish(number, available[-1])
    values = [item.Value.Value.Value for part in message.NotificationData for item in part.MonitoredItems]
    check("republished", values == [201.0] and message.SequenceNumber == available[-1], message)
    subscription.server = session
    subscription.last_sequence_number = available[-1]
    session._subscription_callbacks[number] = subscription.publish_callback
    other.uaclient.ensure_publish_loop()
    ok, values = await heard.until(202.0)
    check("heard after", ok and values == [202.0], values)
    check("same subscription", subscription.subscription_id == number)
    await other.disconnect()
    # The library's own reconnection: the session is activated again over a new channel.
    client = await open_client(url=FACTS["relay"], auto_reconnect=True)
    heard = Heard()
    subscription = await client.create_subscription(50, heard)
    await subscription.subscribe_data_change(client.get_node(SETPOINT), queuesize=100)
    await heard.until(202.0)
    await asyncio.to_thread(ask, "cut")
    await writer.get_node(SETPOINT).write_value(203.0)
    ok, values = await heard.until(203.0)
    check("came back by itself", ok, values)
    await client.disconnect()
    await writer.disconnect()


def call_status(parent, method, *arguments):
    return status_of(parent.call_method(method, *arguments))


async def call():
    client = await open_client()
    heard = Heard()
    subscription = await client.create_subscription(50, heard)
    item = await subscription.subscribe_data_change(client.get_node(SETPOINT))
    await heard.until(100.0)
    server, codes = client.nodes.server, ua.StatusCodes
    number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
    outputs = await server.call_method("0:GetMonitoredItems", number)
    [handle] = subscription._monitored_items
    check("GetMonitoredItems", outputs == [[item], [handle]], outputs)
    await server.call_method("0:ResendData", number)
    again, values = await heard.until(100.0)
    check("ResendData", again and len(values) == 1, values)
    kinds = ua.ObjectIds
    conditions = client.get_node(ua.NodeId(kinds.ConditionType))
    refresh = ua.NodeId(kinds.ConditionType_ConditionRefresh)
    status = await call_status(conditions, refresh, number)
    check("refresh without events", status == codes.BadNothingToDo, status)
    # The library asks for no queue by default: of two events at once it would get the last.
    await subscription.subscribe_events(queuesize=10)
    await conditions.call_method(refresh, number)
    ended, values = await heard.until(kinds.RefreshEndEventType)
    check("ConditionRefresh", ended and values == [kinds.RefreshStartEventType, kinds.RefreshEndEventType], values)
    other = await open_client()
    found = [
        await call_status(other.nodes.server, "0:GetMonitoredItems", number),
        await call_status(server, "0:GetMonitoredItems", ua.Variant(0xffffffff, ua.VariantType.UInt32)),
        await call_status(server, "0:GetMonitoredItems"),
        await call_status(server, "0:GetMonitoredItems", number, number),
        await call_status(server, "0:GetMonitoredItems", ua.Variant("1", ua.VariantType.String)),
        await call_status(server, ua.NodeId(kinds.Server)),
        await call_status(
            server, "0:RequestServerStateChange", ua.Variant(4, ua.VariantType.Int32), ua.Variant(None, ua.VariantType.Null),
            ua.Variant(0, ua.VariantType.UInt32), ua.LocalizedText("night"), False),
    ]
    expected = [codes.BadUserAccessDenied, codes.BadSubscriptionIdInvalid, codes.BadArgumentsMissing,
                codes.BadTooManyArguments, codes.BadInvalidArgument, codes.BadMethodInvalid, codes.BadUserAccessDenied]
    check("refused calls", found == expected, [hex(code) for code in found])
    await other.disconnect()
    await client.disconnect()


class Told:
    """What each item hears, as (value, status code), and the kinds of events with the changed nodes."""

    def __init__(self):
        self.told, self.events, self.news = {}, [], asyncio.Event()

    def datachange_notification(self, node, value, data):
        status = data.monitored_item.Value.StatusCode
        code = status.value if status else 0
        self.told.setdefault(node.nodeid.to_string(), []).append((value, code))
        self.news.set()

    def event_notification(self, event):
        self.events.append((event.EventType.Identifier, sorted(c.Affected.to_string() for c in event.Changes)))
        self.news.set()

    def status_change_notification(self, status):
        self.events.append(("status", status))

    async def until(self, is_there, seconds=15):
        async def wait():
            while not is_there():
                self.news.clear()
                await self.news.wait()
        try:
            await asyncio.wait_for(wait(), seconds)
            return True
        except asyncio.TimeoutError:
            return is_there()


async def reload():
    client = await open_client()
    told, codes, kinds = Told(), ua.StatusCodes, ua.ObjectIds
    subscription = await client.create_subscription(50, told)
    number, fixed, pump = NUMBER, "ns=2;s=Pump.Fixed", "ns=2;s=Pump"
    await subscription.subscribe_data_change([client.get_node(node) for node in [SETPOINT, number, fixed]],
                                             queuesize=100, sampling_interval=0)
    await subscription.subscribe_events(
        evtypes=[kinds.GeneralModelChangeEventType, kinds.SemanticChangeEventType], queuesize=100)
    await told.until(lambda: len(told.told) == 3)
    before = subscription.subscription_id, client.uaclient.session, len(told.events)
    semantics = 0x4000

    async def after(change, name, node, expected, event):
        count = len(told.events)
        await asyncio.to_thread(ask, "reload " + change)
        ok = await told.until(lambda: told.told[node][-1] == expected and event in told.events[count:])
        check(name, ok and told.events[count:] == [event], (told.told[node], told.events[count:]))

    model, meaning = kinds.GeneralModelChangeEventType, kinds.SemanticChangeEventType
    await after("range", "changed range", SETPOINT, (100.0, semantics), (meaning, [SETPOINT]))
    limits = await client.get_node("ns=2;s=Pump.Setpoint.EURange").read_value()
    check("new range", (limits.Low, limits.High) == (0.0, 3600.0), limits)
    await asyncio.to_thread(ask, "reload returned")
    await told.until(lambda: len(told.told[SETPOINT]) == 3)
    await after("removed", "removed node", number, (None, codes.BadNodeIdUnknown), (model, [pump]))
    await after("returned", "returned node", number, (5, 0), (model, [pump]))
    count = len(told.events)
    await asyncio.to_thread(ask, "reload added")
    ok = await told.until(lambda: len(told.events) > count)
    value = await client.get_node("ns=2;s=Pump.Added").read_value()
    check("added node", ok and told.events[count:] == [(model, [pump])] and value == 42, (told.events[count:], value))
    await asyncio.to_thread(ask, "reload value")
    ok = await told.until(lambda: told.told[SETPOINT][-1] == (150.0, 0))
    check("changed value", ok, told.told[SETPOINT])
    await client.get_node(SETPOINT).write_value(321.5)
    ok = await told.until(lambda: told.told[SETPOINT][-1] == (321.5, 0))
    same = (subscription.subscription_id, client.uaclient.session, 0) == before
    check("same subscription", ok and same, (before, told.told))
    check("untouched node", told.told[fixed] == [("FC3", 0)], told.told[fixed])
    await client.disconnect()


asyncio.run({"connect": connect, "browse": browse, "write": write, "renew": renew, "restart": restart, "cut": cut,
             "call": call, "newcomer": newcomer, "reload": reload, "structures": structures}[PART]())
