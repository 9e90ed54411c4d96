"""A broker on which edge nodes speak Sparkplug B: the connection of an MQTT source, read by a host application."""

from __future__ import annotations

from agent.clock import Clock
from agent.collectors.mqtt.collector import BrokerCollector
from agent.collectors.sparkplug.host import Host
from agent.collectors.sparkplug.settings import SparkplugSettings
from agent.model import SourceHealth


class SparkplugCollector(BrokerCollector):
    """Sparkplug B. Acknowledged after the commit, as with MQTT."""

    def __init__(self, name: str, settings: SparkplugSettings, clock: Clock, health: SourceHealth) -> None:
        super().__init__(name, settings, clock, health, lambda: Host(name, settings, clock))
