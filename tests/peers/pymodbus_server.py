"""A Modbus server of pymodbus 3.9.2 for the driver tests: `tcp PORT` or `rtu DEVICE`; units 1 and 2 answer.

Registers 0..999 exist, each with its own address as value; coils and discrete inputs are on where the address
divides by 3. Further arguments set what a place holds: `h80=00eb` (hexadecimal; h, i, c and d are the tables).
A write beyond is refused by exception 2. Prints `ready` when it serves.
"""

import asyncio
import logging
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class Unit(ModbusSlaveContext):
    def setValues(self, fc_as_hex, address, values):
        if address + len(values) > 1000:
            return 2
        return super().setValues(fc_as_hex, address, values)


def unit():
    tables = {name: [address % 3 == 0 for address in range(1000)] for name in "cd"}
    tables.update({name: list(range(1000)) for name in "hi"})
    for place, word in (text.split("=") for text in sys.argv[3:]):
        tables[place[0]][int(place[1:])] = int(word, 16)
    blocks = {name: ModbusSequentialDataBlock(1, values) for name, values in tables.items()}
    return Unit(di=blocks["d"], co=blocks["c"], hr=blocks["h"], ir=blocks["i"])


async def main():
    how, where = sys.argv[1:3]
    context = ModbusServerContext(slaves={1: unit(), 2: unit()}, single=False)
    if how == "tcp":
        server = ModbusTcpServer(context, address=("127.0.0.1", int(where)), ignore_missing_slaves=True)
    elif how == "rtu-tcp":
        server = ModbusTcpServer(
            context, framer=FramerType.RTU, address=("127.0.0.1", int(where)), ignore_missing_slaves=True
        )
    else:
        framer = FramerType.ASCII if how == "ascii" else FramerType.RTU
        server = ModbusSerialServer(
            context, framer=framer, port=where, baudrate=115200, parity="N", ignore_missing_slaves=True
        )
    serving = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await serving


asyncio.run(main())
