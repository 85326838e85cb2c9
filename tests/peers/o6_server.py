"""A server of o6 (open62541) for the tests of driver `opcua`. Argument: the facts as JSON.

`port`; `uri`, `certificate` and `key` of the server. Namespace 1 is that of its ApplicationUri. It prints `ready`, then does
what the lines of its input say: `set NAME JSON`, `count NAME MILLISECONDS N`; each is answered by `done`. The end of its input ends it.
"""
import json
import logging
import sys
import threading
import time

import o6

FACTS = json.loads(sys.argv[1])
quiet = logging.getLogger("o6 of the test")
quiet.setLevel(logging.CRITICAL)
server = o6.Server(
    port=FACTS["port"], logger=quiet, certificate=FACTS["certificate"], privateKey=FACTS["key"],
    acceptAllCertificates=True, applicationUri=FACTS["uri"])
machine = server.addObject("Machine", server.objectsNode, nodeId=o6.NodeId("ns=1;s=Machine"))
kinds = {"Double": o6.Double(2.25), "Whole": o6.Int16(5), "Count": o6.UInt32(0), "Text": o6.String("open62541")}
nodes = {
    name: server.addVariable(name, machine, value, nodeId=o6.NodeId(f"ns=1;s={name}"))
    for name, value in kinds.items()
}
for number in range(FACTS.get("many", 0)):
    server.addVariable(f"N{number}", machine, o6.Double(number), nodeId=o6.NodeId(f"ns=1;s=N{number}"))


def write(name, value):
    server.write(nodes[name], type(kinds[name])(value))


def count(name, pause, most):
    for number in range(1, most + 1):
        write(name, number)
        time.sleep(pause / 1000)


with server:
    print("ready", flush=True)
    for line in sys.stdin:
        what, name, *rest = line.split()
        if what == "set":
            write(name, json.loads(rest[0]))
        elif what == "count":
            threading.Thread(target=count, args=(name, float(rest[0]), int(rest[1])), daemon=True).start()
        print("done", flush=True)
