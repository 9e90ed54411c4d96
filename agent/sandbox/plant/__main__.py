"""python -m agent.sandbox.plant: the simulated coating line alone, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from agent.clock import Clock, SharedClock, SystemClock
from agent.lifecycle import die_with_parent, stop_on_signals
from agent.sandbox.plant.run import run_plant


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent.sandbox.plant", description=__doc__)
    parser.add_argument("--broker-port", type=int, default=11883, help="MQTT, on 127.0.0.1")
    parser.add_argument("--plc-port", type=int, default=15020, help="Modbus TCP, on 127.0.0.1")
    parser.add_argument("--secrets", type=Path, required=True, help="folder of the broker's passwords, made if missing")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same line")
    parser.add_argument("--clock", type=Path, help="file of a clock shared with other processes (demo)")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this parent process ends")
    return parser.parse_args()


async def _main(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    clock: Clock = SharedClock(args.clock) if args.clock else SystemClock()
    await run_plant(clock, args.broker_port, args.plc_port, args.seed, stop, secrets=args.secrets)


if __name__ == "__main__":
    arguments = _arguments()
    if arguments.die_with_parent is not None:
        die_with_parent(arguments.die_with_parent)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_main(arguments))
