"""A Modbus server of pymodbus 3.9.2 for the driver tests: `tcp PORT` or `rtu DEVICE`; units 1 and 2 answer.

Registers 0..999 exist, each with its own address as value; coils and discrete inputs are on where the address
divides by 3. Prints `ready` when it serves.
"""

import asyncio
import logging
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


def unit():
    bits = [address % 3 == 0 for address in range(1000)]
    words = list(range(1000))
    return ModbusSlaveContext(
        di=ModbusSequentialDataBlock(1, list(bits)),
        co=ModbusSequentialDataBlock(1, list(bits)),
        hr=ModbusSequentialDataBlock(1, list(words)),
        ir=ModbusSequentialDataBlock(1, list(words)),
    )


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
