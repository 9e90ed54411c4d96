"""What brings signals in: one file a protocol. A collector is its settings model, a class and one line in each table.

A collector's constructor does nothing. `run(emit)` works until it is cancelled and may fail: `supervise()` restarts it.
It hands over what it read with `await emit(signals)` and acknowledges the source only after that returned.
"""

from __future__ import annotations

from typing import Protocol

from agent.model import Emit

COLLECTORS = {
    "mqtt": "agent.collectors.mqtt.collector:MqttCollector",
    "modbus": "agent.collectors.modbus.collector:ModbusCollector",
    "sparkplug": "agent.collectors.sparkplug.collector:SparkplugCollector",
    "opcua": "agent.collectors.opcua:OpcuaCollector",
    "csv_folder": "agent.collectors.csv_folder:CsvFolderCollector",
}
"""By `type` in the configuration; loaded when a source of that type is configured."""

SETTINGS = {
    "mqtt": "agent.collectors.mqtt.settings:MqttSettings",
    "modbus": "agent.collectors.modbus.settings:ModbusSettings",
    "sparkplug": "agent.collectors.sparkplug.settings:SparkplugSettings",
    "opcua": "agent.collectors.opcua:OpcuaSettings",
    "csv_folder": "agent.collectors.csv_rows:CsvFolderSettings",
}
"""The settings models; importing them loads no client library."""


class Collector(Protocol):
    """Made with (name, settings, clock, health)."""

    async def run(self, emit: Emit) -> None:
        """Collect until cancelled."""
