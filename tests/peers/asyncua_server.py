"""A server of asyncua for the tests of driver `opcua`. Argument: the facts as JSON.

`port`; `scratch`: a folder for its certificate; `secure`: policies on or not; `users`: names with passwords; `hostile`: names and
references that no listing should trust; `analog`: a variable with unit and range, and one with texts.
It prints `certificate FILE` and `ready`, then does what the lines of its input say:
`set NAME JSON`, `status NAME CODE`, `stamp NAME JSON SECONDS` (a value with a SourceTimestamp), `count NAME MILLISECONDS N`,
`add NAME`; each is answered by `done`. The end of its input ends it.
"""
import asyncio
import json
import logging
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.x509.oid import ExtendedKeyUsageOID

FACTS = json.loads(sys.argv[1])
URI = "urn:acme:machine"
logging.basicConfig(level=logging.CRITICAL)

TYPES = {
    "Boolean": (True, ua.VariantType.Boolean),
    "SByte": (-7, ua.VariantType.SByte),
    "Byte": (200, ua.VariantType.Byte),
    "Int16": (-30000, ua.VariantType.Int16),
    "UInt16": (60000, ua.VariantType.UInt16),
    "Int32": (-2000000000, ua.VariantType.Int32),
    "UInt32": (4000000000, ua.VariantType.UInt32),
    "Int64": (-9000000000000000000, ua.VariantType.Int64),
    "UInt64": (18000000000000000000, ua.VariantType.UInt64),
    "Float": (1.5, ua.VariantType.Float),
    "Double": (2.25, ua.VariantType.Double),
    "NaN": (float("nan"), ua.VariantType.Double),
    "String": ("Grüße", ua.VariantType.String),
    "ByteString": (b"\x01\x02", ua.VariantType.ByteString),
    "Localized": (ua.LocalizedText("an", "de"), ua.VariantType.LocalizedText),
    "Array": ([1, 2, 3], ua.VariantType.Int16),
    "Setpoint": (10.0, ua.VariantType.Float),
    "Whole": (5, ua.VariantType.Int16),
    "Fixed": (1.0, ua.VariantType.Double),
    "Count": (0, ua.VariantType.UInt32),
}
READ_ONLY = {"Fixed"}


class Users:
    def get_user(self, iserver, username=None, password=None, certificate=None):
        users = FACTS.get("users")
        if not users:
            return User(role=UserRole.User)
        return User(role=UserRole.User, name=username) if users.get(username) == password else None


async def secure(server):
    scratch = Path(FACTS["scratch"])
    key, certificate = scratch / "asyncua.pem", scratch / "asyncua.der"
    uri = "urn:acme:asyncua"
    await server.set_application_uri(uri)
    use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(key, certificate, uri, "localhost", use, {"commonName": "asyncua peer"})
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    print("certificate", certificate, flush=True)


async def main():
    server = Server(user_manager=Users())
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{FACTS['port']}/acme")
    if FACTS.get("secure"):
        await secure(server)
        kinds = ua.SecurityPolicyType
        server.set_security_policy([
            kinds.NoSecurity, kinds.Basic256Sha256_Sign, kinds.Basic256Sha256_SignAndEncrypt,
            kinds.Aes128Sha256RsaOaep_SignAndEncrypt, kinds.Aes256Sha256RsaPss_SignAndEncrypt,
        ])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if FACTS.get("users"):
        server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.register_namespace("urn:acme:other")
    index = await server.register_namespace(URI)
    machine = await server.nodes.objects.add_object(ua.NodeId("Machine", index), ua.QualifiedName("Machine", index))

    async def add(name, value, kind):
        node = await machine.add_variable(
            ua.NodeId(name, index), ua.QualifiedName(name, index), ua.Variant(value, kind))
        if name not in READ_ONLY:
            await node.set_writable()
        nodes[name] = (node, kind)

    nodes = {}
    for name, (value, kind) in TYPES.items():
        await add(name, value, kind)
    for number in range(FACTS.get("many", 0)):
        await add(f"N{number}", float(number), ua.VariantType.Double)

    async def hostile():
        double = ua.VariantType.Double
        names = ["@x", "", "a\u0007b", "Same", "Same", "x" * 1_000_000, "a.b/c{d}", "Speed\u202egnp"]
        for number, name in enumerate(names):
            await machine.add_variable(
                ua.NodeId(f"H{number}", index), ua.QualifiedName(name, index), ua.Variant(float(number), double))
        below = machine
        for level in range(60):
            below = await below.add_object(ua.NodeId(f"Deep{level}", index), ua.QualifiedName("Deep", index))
            await below.add_variable(
                ua.NodeId(f"At{level}", index), ua.QualifiedName("At", index), ua.Variant(float(level), double))
        # Circles: the first below the second level, and below the deepest.
        first = server.get_node(ua.NodeId("Deep0", index))
        for node in (server.get_node(ua.NodeId("Deep1", index)), below):
            await node.add_reference(machine, ua.ObjectIds.Organizes)
            await node.add_reference(first, ua.ObjectIds.Organizes)

    if FACTS.get("hostile"):
        await hostile()

    async def analog():
        node = await machine.add_variable(
            ua.NodeId("Level", index), ua.QualifiedName("Level", index), ua.Variant(50.0, ua.VariantType.Double))
        await node.add_property(0, "EURange", ua.Range(0.0, 100.0))
        unit = ua.EUInformation(
            "http://www.opcfoundation.org/UA/units/un/cefact", 20529, ua.LocalizedText("%"), ua.LocalizedText("percent"))
        await node.add_property(0, "EngineeringUnits", unit)
        mode = await machine.add_variable(
            ua.NodeId("Mode", index), ua.QualifiedName("Mode", index), ua.Variant(1, ua.VariantType.UInt32))
        await mode.add_property(0, "EnumStrings", [ua.LocalizedText("Manual"), ua.LocalizedText("Auto")])

    if FACTS.get("analog"):
        await analog()

    async def write(name, value, status=None, time=None):
        node, kind = nodes[name]
        stamp = time or datetime.now(timezone.utc)
        value = ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status or 0), stamp)
        await server.iserver.write_attribute_value(node.nodeid, value)

    async def count(name, pause, most):
        for number in range(1, most + 1):
            await write(name, number)
            await asyncio.sleep(pause / 1000)

    async with server:
        print("ready", flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        tasks = []
        while line := (await reader.readline()).decode().strip():
            what, name, *rest = line.split(" ", 2)
            if what == "set":
                await write(name, json.loads(rest[0]))
            elif what == "status":
                await write(name, json.loads(rest[0].split(" ")[1]), int(rest[0].split(" ")[0]))
            elif what == "stamp":
                value, seconds = rest[0].split(" ")
                await write(name, json.loads(value), None, datetime(2024, 1, 2, tzinfo=timezone.utc) + timedelta(seconds=int(seconds)))
            elif what == "count":
                pause, most = rest[0].split(" ")
                tasks.append(asyncio.create_task(count(name, float(pause), int(most))))
            elif what == "add":
                await add(name, 1.0, ua.VariantType.Double)
            print("done", flush=True)


asyncio.run(main())
