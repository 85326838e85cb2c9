"""Messages of an edge node as other people's Protocol Buffers read them (mqtt-spb-wrapper): PORT GROUP.

Prints `ready`, then a line of JSON for each message. Orders: `rebirth NODE`, `set NODE DEVICE ALIAS NUMBER` for a Double, and JSON: `to`, a
node or a node and a device, with `metrics`, each with fields of the Protocol Buffers, or with the bytes `raw`; `retain`.
"""

import json
import sys

import paho.mqtt.client as mqtt
from mqtt_spb_wrapper.spb_protobuf.sparkplug_b_pb2 import Payload

port, group = int(sys.argv[1]), sys.argv[2]


def say(what):
    print(what, flush=True)


def metric(m):
    properties = {key: value for key, value in zip(m.properties.keys, m.properties.values)}
    quality = properties.get("Quality")
    field = m.WhichOneof("value")
    value = getattr(m, field) if field else None
    return {
        "name": m.name if m.HasField("name") else None,
        "alias": m.alias if m.HasField("alias") else None,
        "type": m.datatype,
        "time": m.timestamp,
        "null": m.is_null,
        "historical": m.is_historical,
        "quality": quality.int_value if quality else None,
        "unit": properties["engUnit"].string_value if "engUnit" in properties else None,
        "high": properties["engHigh"].double_value if "engHigh" in properties else None,
        "about": properties["documentation"].string_value if "documentation" in properties else None,
        "value": value.hex() if isinstance(value, bytes) else value,
    }


def on_message(client, _, message):
    levels = message.topic.split("/")
    if levels[2] in ("NCMD", "DCMD"):
        return
    payload = Payload()
    payload.ParseFromString(message.payload)
    say(json.dumps({
        "kind": levels[2],
        "device": levels[4] if len(levels) > 4 else None,
        "seq": payload.seq if payload.HasField("seq") else None,
        "qos": message.qos,
        "retained": message.retain,
        "metrics": [metric(m) for m in payload.metrics],
    }))


def on_subscribe(*_):
    say("ready")


def client_of_any_version():
    try:
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
    except AttributeError:
        return mqtt.Client()


client = client_of_any_version()
client.on_message, client.on_subscribe = on_message, on_subscribe
client.connect("127.0.0.1", port)
client.subscribe(f"spBv1.0/{group}/#", 1)
client.loop_start()
def by_json(order):
    payload = Payload()
    for fields in order.get("metrics", []):
        one = payload.metrics.add()
        for field, value in fields.items():
            setattr(one, field, value)
    kind = "NCMD" if len(order["to"]) == 1 else "DCMD"
    topic = "/".join(["spBv1.0", group, kind, *order["to"]])
    content = bytes.fromhex(order["raw"]) if "raw" in order else payload.SerializeToString()
    client.publish(topic, content, 1, order.get("retain", False))


for line in sys.stdin:
    if line.startswith("{"):
        by_json(json.loads(line))
        continue
    words = line.split()
    payload = Payload()
    one = payload.metrics.add()
    if words[0] == "rebirth":
        one.name, one.datatype, one.boolean_value = "Node Control/Rebirth", 11, True
        topic = f"spBv1.0/{group}/NCMD/{words[1]}"
    else:
        one.alias, one.datatype, one.double_value = int(words[3]), 10, float(words[4])
        topic = f"spBv1.0/{group}/DCMD/{words[1]}/{words[2]}"
    client.publish(topic, payload.SerializeToString(), 0)
