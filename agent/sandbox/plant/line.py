"""What the simulated coating line measures, and the configuration that an agent needs to watch it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.texts import LANGUAGES, table

AGENT_USER, SENSOR_USER = "andon", "sensors"
"""The broker's users: the agent reads, the sensors publish."""
COATER, OVEN = "coater", "oven"
"""The sources: sensors over MQTT, a PLC over Modbus."""


@dataclass(frozen=True, slots=True)
class Register:
    """Where in the PLC a quantity stands; raw = real ÷ scale."""

    address: int
    type: Literal["float32", "int16", "uint16"]
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something measured on the line. `sigma` is that of single values in a calm process, in `unit`."""

    id: str
    station: str
    unit: str
    decimals: int
    center: float
    sigma: float
    lsl: float | None
    usl: float | None
    owner: str
    n: int = 1
    entry: Literal["signal", "manual"] = "signal"
    register: Register | None = None

    @property
    def source(self) -> str | None:
        """The source that carries it; None if people type it in."""
        if self.entry == "manual":
            return None
        return COATER if self.register is None else OVEN

    @property
    def tag(self) -> str | None:
        """Its name at the source: the topic, or the register's."""
        if self.entry == "manual":
            return None
        return f"coat3/{self.station.lower()}/{self.id}" if self.register is None else self.id


QUANTITIES = (
    Quantity("areal_density_1", "OP10", "g/m²", 1, 190.0, 0.6, 186.0, 194.0, "coating"),
    Quantity("areal_density_2", "OP10", "g/m²", 1, 190.0, 0.6, 186.0, 194.0, "coating"),
    Quantity("wet_thickness", "OP10", "µm", 1, 210.0, 1.2, 203.0, 217.0, "coating", n=5),
    Quantity("slurry_viscosity", "OP10", "mPa·s", 0, 5200.0, 50.0, 4900.0, 5500.0, "slurry"),
    Quantity("oven_zone_2", "OP20", "°C", 1, 105.0, 0.4, 102.0, 108.0, "drying", register=Register(100, "float32")),
    Quantity("oven_zone_4", "OP20", "°C", 1, 115.0, 0.4, 112.0, 118.0, "drying", register=Register(102, "float32")),
    Quantity("web_tension", "OP20", "N", 1, 180.0, 1.2, 172.0, 188.0, "drying", register=Register(110, "int16", 0.1)),
    Quantity(
        "line_speed", "OP20", "m/min", 2, 60.0, 0.12, 59.2, 60.8, "drying", register=Register(111, "uint16", 0.01)
    ),
    Quantity("peel_strength", "OP20", "N/m", 1, 18.0, 0.8, 14.0, None, "quality", n=5, entry="manual"),
)


def names(key: str) -> dict[str, str]:
    """A name in every language, from agent/texts."""
    return {lang: table(lang)[f"sandbox.plant.{key}"] for lang in LANGUAGES}


def plant_config(broker_port: int, plc_port: int, secrets: Path) -> dict[str, Any]:
    """The line as an agent's configuration tells it.

    `secrets` is the folder that `run_plant` keeps the broker's passwords in. Gives {"line", "stations", "sources",
    "characteristics"}; each source is {"name"} + its settings, each characteristic has id, name {zh, en}, unit,
    decimals, station, source and tag (None if typed in), chart, n, center, sigma (of single values), lsl, usl, entry,
    owner (a key: coating, slurry, drying, quality).
    """
    stations = dict.fromkeys(q.station for q in QUANTITIES)
    return {
        "line": {"id": "coat3", "name": names("line")},
        "stations": [{"id": s, "name": names(f"station.{s}")} for s in stations],
        "sources": [_coater(broker_port, secrets), _oven(plc_port)],
        "characteristics": [_characteristic(q) for q in QUANTITIES],
    }


def _coater(port: int, secrets: Path) -> dict[str, Any]:
    return {
        "name": COATER,
        "type": "mqtt",
        "host": "127.0.0.1",
        "port": port,
        "client_id": "andon-coater",
        "username": AGENT_USER,
        "password_file": str(secrets / AGENT_USER),
        "stale_after_s": 10.0,
        "topics": [{"filter": "coat3/#", "value": "value", "time": "ts", "id": "id", "tag": "{topic}"}],
    }


def _oven(port: int) -> dict[str, Any]:
    registers = [
        {
            "tag": q.id,
            "address": q.register.address,
            "type": q.register.type,
            "order": "CDAB",
            "scale": q.register.scale,
        }
        for q in QUANTITIES
        if q.register is not None
    ]
    return {
        "name": OVEN,
        "type": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "period_s": 1.0,
        "stale_after_s": 10.0,
        "registers": registers,
    }


def _characteristic(q: Quantity) -> dict[str, Any]:
    return {
        "id": q.id,
        "name": names(q.id),
        "unit": q.unit,
        "decimals": q.decimals,
        "station": q.station,
        "source": q.source,
        "tag": q.tag,
        "chart": "imr" if q.n == 1 else "xbar_r",
        "n": q.n,
        "center": q.center,
        "sigma": q.sigma,
        "lsl": q.lsl,
        "usl": q.usl,
        "entry": q.entry,
        "owner": q.owner,
    }
