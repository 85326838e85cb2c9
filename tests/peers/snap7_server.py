"""An S7 server of python-snap7 for the driver tests: `PORT [PLACE=HEX ...]`.

With python-snap7 2.0.2 this is the C library that the package brings, with 3.3.0 a server in Python. DB 1 and DB 10 have
4,000 bytes, DB 2 has 10; inputs, outputs and bit memory have 256 bytes, timers and counters 64 of each. The byte of each
place is the low byte of its address. `db10.40=1403` sets what a place holds; the areas are db1, db2, db10, pe, pa, mk, ct
and tm (hexadecimal bytes, timers and counters in bytes of two each). Prints `ready` when it serves.
"""

import ctypes
import logging
import signal
import sys

from snap7.server import Server
from snap7.type import SrvArea

logging.disable(logging.CRITICAL)

AREAS = {
    "db1": (SrvArea.DB, 1, 4000),
    "db2": (SrvArea.DB, 2, 10),
    "db10": (SrvArea.DB, 10, 4000),
    "pe": (SrvArea.PE, 0, 256),
    "pa": (SrvArea.PA, 0, 256),
    "mk": (SrvArea.MK, 0, 256),
    "ct": (SrvArea.CT, 0, 128),
    "tm": (SrvArea.TM, 0, 128),
}


def main():
    memory = {name: bytearray(at & 255 for at in range(size)) for name, (_, _, size) in AREAS.items()}
    for text in sys.argv[2:]:
        place, data = text.split("=")
        name, at = place.split(".")
        data = bytes.fromhex(data)
        memory[name][int(at) : int(at) + len(data)] = data
    server = Server(log=False)
    kept = []
    for name, (area, number, size) in AREAS.items():
        # The C library keeps a pointer, and the server in Python the object itself.
        buffer = (ctypes.c_uint8 * size).from_buffer(memory[name])
        kept.append(buffer)
        is_c = hasattr(server, "_lib") or hasattr(server, "library")
        server.register_area(area, number, buffer if is_c else memory[name])
    server.start_to("127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    signal.pause()


main()
