"""An edge node with a device, made with mqtt-spb-wrapper: PORT GROUP NODE DEVICE.

Prints `ready` after its births, then takes orders: `set NAME NUMBER`. Commands to its devices are not tested: it wants them by
names that its births do not have.
"""

import sys
import threading

from mqtt_spb_wrapper import MqttSpbEntityDevice, MqttSpbEntityEdgeNode

port, group, node, device = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def say(*words):
    print(*words, flush=True)


edge = MqttSpbEntityEdgeNode(group, node)
filler = MqttSpbEntityDevice(group, node, device)


wanted = threading.Event()


def reborn(_):
    wanted.set()


def give_births():
    """Outside of the callback, in which the edge node's own birth would wait for its end and come after the device's."""
    while wanted.wait():
        wanted.clear()
        edge.publish_birth()
        filler.publish_birth()


threading.Thread(target=give_births, daemon=True).start()
# The stack's own handler of a rebirth fails (2.1.2: it calls a bool).
edge.commands._items["Node Control/Rebirth"]._callback = reborn
# The stack names a metric DATA/Temp in the birth and Temp in data: only aliases are the same in both.
edge.data.set_value("Temp", 21.5, spb_alias_num=1)
edge.data.set_value("Name", "Line3", spb_alias_num=2)
edge.data.set_value("Open", True, spb_alias_num=3)
filler.data.set_value("Weight", 5.0, spb_alias_num=4)
for entity in (edge, filler):
    if not entity.connect("127.0.0.1", port):
        sys.exit("no connection")
# Sparkplug 3.0 gives a node and its devices one session; over two, a device could be born before its node.
of_its_own = filler._mqtt
filler._mqtt = edge._mqtt
edge.publish_birth()
filler.publish_birth()
say("ready")
for line in sys.stdin:
    words = line.split()
    if words[0] == "set":
        filler.data.set_value(words[1], float(words[2]))
        filler.publish_data()
threading.Event().wait()
