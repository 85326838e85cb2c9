"""o6 (open62541) against the server: one JSON line a check. Arguments: the part, and the facts as JSON."""
import json
import logging
import queue
import sys
import time
from pathlib import Path

import o6
from o6.ns import ns0

PART, FACTS = sys.argv[1], json.loads(sys.argv[2])
SETPOINT = "ns=2;s=Pump.Setpoint"
MODES = {"None": 1, "Sign": 2, "SignAndEncrypt": 3}
quiet = logging.getLogger("o6 of the test")
quiet.setLevel(logging.CRITICAL)


def check(name, ok, detail=""):
    print(json.dumps({"check": name, "ok": bool(ok), "detail": str(detail)}), flush=True)


def ask(what):
    print(json.dumps({"ask": what}), flush=True)
    assert sys.stdin.readline() == "done\n"


def open_client(policy="Basic256Sha256", mode="SignAndEncrypt", token="username", url=None, user=None, password=None):
    more = {}
    if token == "username":
        more.update(username=user or FACTS["user"], password=password or FACTS["password"])
    client = o6.Client(
        url or FACTS["url"],
        logger=quiet,
        certificate=FACTS["certificate"],
        privateKey=FACTS["key"],
        trustList=[FACTS["server_certificate"]],
        securityMode=MODES[mode],
        securityPolicy="http://opcfoundation.org/UA/SecurityPolicy#" + policy,
        applicationUri=FACTS["application_uri"],
        **more,
    )
    if token == "certificate":
        client.config.setAuthenticationCert(
            Path(FACTS["user_certificate"]).read_bytes(), Path(FACTS["user_key"]).read_bytes())
    client.connect(createDefaultSubscription=False)
    return client


def refused(name, status=o6.StatusCode.BAD_IDENTITY_TOKEN_REJECTED, **how):
    try:
        open_client(**how).disconnect()
        check(name, False, "was let in")
    except o6.StatusCodeError as error:
        check(name, error.code == status, error)


def connect():
    for policy in ["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]:
        for mode in ["None"] if policy == "None" else ["Sign", "SignAndEncrypt"]:
            for token in ["anonymous", "username"] if policy == "None" else ["anonymous", "username", "certificate"]:
                name = f"connect {policy} {mode} {token}"
                try:
                    client = open_client(policy, mode, token)
                    value = client.read(SETPOINT)
                    client.disconnect()
                    check(name, value == 100.0, value)
                except Exception as error:
                    check(name, False, repr(error))
    for name, ending in [("dialled with a slash", "/"), ("dialled with a path", "/line/3")]:
        tries = []
        for _ in range(6):
            try:
                client = open_client(url=FACTS["url"] + ending)
                tries.append(client.read(SETPOINT))
                client.disconnect()
            except Exception as error:
                tries.append(repr(error))
        check(name, tries == [100.0] * 6, tries)
    # Over None the library signs the nonce alone, without the server's certificate: a signature that any other server
    # could have asked for (Part 4 §5.7.3.2, 1.05, signs both).
    refused("certificate over None", o6.StatusCode.BAD_USER_SIGNATURE_INVALID, policy="None", mode="None",
            token="certificate")
    refused("wrong password", password="wrong")
    refused("unknown user", user="nobody")
    FACTS.update(user_certificate=FACTS["certificate"], user_key=FACTS["key"])
    refused("unpinned certificate", token="certificate")


def browse_all(client):
    """Every node that is reached from Root by forward references; data of each as first seen."""
    seen, todo, conflicts = {}, ["i=84"], []
    while todo:
        for reference in client.browse(todo.pop(), reftype="i=31", resultMask=63):
            key = str(reference.nodeId)
            data = tuple(str(part) for part in (
                reference.nodeClass, reference.browseName, reference.displayName, reference.typeDefinition))
            if key not in seen:
                seen[key] = data
                todo.append(reference.nodeId.nodeId if hasattr(reference.nodeId, "nodeId") else reference.nodeId)
            elif seen[key] != data:
                conflicts.append(f"{key}: {seen[key]} and {data}")
    return seen, conflicts


def browse():
    client = open_client()
    seen, conflicts = browse_all(client)
    check("browse", len(seen) > 1000 and not conflicts, f"{len(seen)} nodes; {conflicts[:5]}")
    status = client.read("i=2256")
    check("data types", status.buildInfo.productUri == "urn:opcell" and status.state == 0, status)
    for kind in FACTS["classes"]:
        wrong = []
        for attribute in range(1, 28):
            request = ns0.datatypes.ReadRequest()
            item = ns0.datatypes.ReadValueId()
            item.nodeId = o6.NodeId(kind["node"])
            item.attributeId = attribute
            request.nodesToRead = [item]
            result = client.serviceRead(request).results[0]
            code = result.status or 0
            good, invalid = code == 0, code == o6.StatusCode.BAD_ATTRIBUTE_ID_INVALID
            denied = str(code).endswith("BAD_USER_ACCESS_DENIED")
            right = good if attribute in kind["must"] else good or invalid if attribute in kind["may"] else invalid
            right = denied if attribute in kind["denied"] else right
            if not right:
                wrong.append((attribute, str(code)))
        check("attributes of " + kind["name"], not wrong, wrong)
    client.disconnect()


class Heard:
    def __init__(self, client, node):
        self.values = queue.Queue()
        self.subscription = client.createSubscription(50, 6000, 100)
        self.item = client.monitor(node, lambda *told: self.values.put(told[-1]), 0, subscription=self.subscription,
                                   queueSize=100)

    def until(self, wanted, seconds=10):
        values, end = [], time.monotonic() + seconds
        while wanted not in values:
            try:
                values.append(self.values.get(timeout=max(0.01, end - time.monotonic())))
            except queue.Empty:
                return False, values
        return True, values


def written(client, node, value):
    try:
        status = client.write(node, value)
        return status or o6.StatusCode.GOOD
    except o6.StatusCodeError as error:
        return error.code


def write():
    client = open_client()
    heard = Heard(client, SETPOINT)
    first, values = heard.until(100.0)
    status = written(client, SETPOINT, o6.Double(321.5))
    check("write", status == o6.StatusCode.GOOD, status)
    second, more = heard.until(321.5)
    check("subscribe", first and second, values + more)
    status = written(client, SETPOINT, o6.String("high"))
    check("write of a wrong type", status == o6.StatusCode.BAD_TYPE_MISMATCH, status)
    status = written(client, "ns=2;s=Pump.Speed", o6.Double(1.0))
    check("write to a read-only tag", status == o6.StatusCode.BAD_NOT_WRITABLE, status)
    client.disconnect()
    client = open_client(token="anonymous")
    status = written(client, SETPOINT, o6.Double(1.0))
    check("write without the role", status == o6.StatusCode.BAD_USER_ACCESS_DENIED, status)
    client.disconnect()


def restart():
    client = open_client()
    index = list(client.read("i=2255")).index("urn:test:press")
    certificate = client.getEndpoints(FACTS["url"])[0].serverCertificate
    heard = Heard(client, SETPOINT)
    written(client, SETPOINT, o6.Double(200.0))
    check("heard before", heard.until(200.0)[0])
    ask("restart")
    # The library's session is over; its user connects and subscribes anew.
    client = again(client)
    check("same namespace", list(client.read("i=2255")).index("urn:test:press") == index)
    check("same certificate", client.getEndpoints(FACTS["url"])[0].serverCertificate == certificate)
    check("same value", client.read(SETPOINT) == 200.0)
    ok, values = Heard(client, SETPOINT).until(200.0)
    check("heard after", ok, values)
    client.disconnect()


def again(client):
    try:
        client.disconnect()
    except Exception:
        pass
    return open_client()


def cut():
    writer = open_client()
    client = open_client(url=FACTS["relay"])
    heard = Heard(client, SETPOINT)
    heard.until(100.0)
    number = heard.subscription.id
    ask("cut")
    written(writer, SETPOINT, o6.Double(202.0))
    ok, values = heard.until(202.0)
    check("came back by itself", ok, values)
    check("same subscription", heard.subscription.id == number)
    client.disconnect()
    writer.disconnect()


def call():
    client = open_client()
    heard = Heard(client, SETPOINT)
    heard.until(100.0)
    number = o6.UInt32(heard.subscription.id)
    status, servers, _ = client.call("i=2253", "i=11492", [number])
    check("GetMonitoredItems", status == o6.StatusCode.GOOD and len(servers) == 1, (status, servers))
    results = client.call("i=2253", "i=12873", [number])
    again, values = heard.until(100.0)
    check("ResendData", results == (o6.StatusCode.GOOD,) and again and len(values) == 1, (results, values))
    other = open_client()
    codes = o6.StatusCode
    calls = [
        (other, "i=11492", [number]), (client, "i=11492", [o6.UInt32(0xffffffff)]), (client, "i=11492", []),
        (client, "i=11492", [number, number]), (client, "i=11492", [o6.String("1")]), (client, "i=2253", []),
    ]
    found = [caller.call("i=2253", method, arguments)[0] for caller, method, arguments in calls]
    expected = [codes.BAD_USER_ACCESS_DENIED, codes.BAD_SUBSCRIPTION_ID_INVALID, codes.BAD_ARGUMENTS_MISSING,
                codes.BAD_TOO_MANY_ARGUMENTS, codes.BAD_INVALID_ARGUMENT, codes.BAD_METHOD_INVALID]
    check("refused calls", found == expected, found)
    other.disconnect()
    client.disconnect()


def reload():
    client = open_client()
    number, fixed = "ns=2;s=Pump.Number", "ns=2;s=Pump.Fixed"
    told = {node: queue.Queue() for node in [SETPOINT, number, fixed]}
    subscription = client.createSubscription(50, 6000, 100)
    for node in told:
        client.monitor(node, lambda *parts, node=node: told[node].put(parts[-1]), 0, subscription=subscription,
                       queueSize=100, valueOnly=False)
    seen = {node: [] for node in told}
    before = subscription.id

    def until(node, expected, seconds=15):
        end = time.monotonic() + seconds
        while not seen[node] or seen[node][-1] != expected:
            try:
                value = told[node].get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                return False
            status = int(value.status or 0)
            seen[node].append((value.value, status))
        return True

    until(SETPOINT, (100.0, 0)), until(number, (5, 0)), until(fixed, ("FC3", 0))
    ask("reload range")
    check("changed range", until(SETPOINT, (100.0, 0x4000)), seen[SETPOINT])
    limits = client.read("ns=2;s=Pump.Setpoint.EURange")
    check("new range", (limits.low, limits.high) == (0.0, 3600.0), limits)
    ask("reload removed")
    check("removed node", until(number, (None, 0x80340000)), seen[number])
    ask("reload returned")
    check("returned node", until(number, (5, 0)), seen[number])
    ask("reload added")
    check("added node", client.read("ns=2;s=Pump.Added") == 42)
    ask("reload value")
    check("changed value", until(SETPOINT, (150.0, 0)), seen[SETPOINT])
    written(client, SETPOINT, o6.Double(321.5))
    ok = until(SETPOINT, (321.5, 0))
    check("same subscription", ok and subscription.id == before, seen[SETPOINT])
    check("untouched node", told[fixed].empty() and seen[fixed] == [("FC3", 0)], seen[fixed])
    client.disconnect()


def structures():
    """The library lists structures, and hands values of them out and on as their bytes."""
    ask("reload structures")
    client = open_client()
    types = {found["typeName"]: found for found in client.getRemoteDataTypes()}
    batch = types.get("Batch")
    check("type", batch and batch["membersSize"] == 7 and "Pos" in types, batch)
    node = "ns=2;s=Pump.Batch"
    value = client.read(node)
    body = bytes(value.body)
    known = str(value.typeId).rsplit(";", 1)[-1] == str(batch["binaryEncodingId"]).rsplit(";", 1)[-1]
    check("encoding", known, (value.typeId, batch["binaryEncodingId"]))
    check("read", body.startswith(b"\x02\0\0\0A1\x07\0\x01\0\0\0\0\x02"), body)
    made = lambda body: o6.ExtensionObject(value.typeId, body)
    status = written(client, node, made(body.replace(b"A1\x07", b"B2\x63")))
    check("written", status == o6.StatusCode.GOOD and client.read("ns=2;s=Pump.Batch.Recipe") == 99, status)
    status = written(client, "ns=2;s=Pump.Batch.Pos.X", o6.Float(8.5))
    check("field written", status == o6.StatusCode.GOOD and client.read("ns=2;s=Pump.Batch.Pos.X") == 8.5, status)
    status = written(client, node, made(body + b"\0"))
    check("a byte left over", status == o6.StatusCode.BAD_TYPE_MISMATCH, status)
    client.disconnect()


{"structures": structures, "reload": reload, "connect": connect, "browse": browse, "write": write, "call": call, "restart": restart, "cut": cut}[PART]()
