"""The simulated line: what its gauges show is repeatable, calm between the drifts, and drifts when it shall."""

from itertools import pairwise
from pathlib import Path

import pytest

from agent.collectors.modbus.registers import real
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.modbus.settings import Register as Configured
from agent.collectors.mqtt.settings import MqttSettings
from agent.sandbox.plant.line import QUANTITIES, plant_config
from agent.sandbox.plant.process import DRIFTS, Process

SEEDS = (1, 2, 7, 2026)
BY_ID = {q.id: q for q in QUANTITIES}
CONFIG = plant_config(11883, 15020, Path("/tmp/secrets"))


def sigmas(seed, quantity, seconds):
    process = Process(seed)
    return [(process.value(quantity, t) - quantity.center) / quantity.sigma for t in seconds]


def longest(flags):
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_drift_breaks_three_sigma_in_time_and_lasts_40_s(seed):
    values = sigmas(seed, BY_ID["areal_density_1"], range(230))
    beyond = [t for t, z in enumerate(values) if abs(z) > 3]
    assert 15 <= beyond[0] <= 20
    assert 30 <= beyond[-1] - beyond[0] <= 42
    assert longest(abs(z) > 3 for z in values) >= 30
    assert BY_ID["areal_density_1"].source == "coater", "it comes over MQTT"


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_else_breaks_a_rule_in_the_first_four_minutes(seed):
    """Limits are center ± 3 sigma; rounding makes ties, which count for neither side."""
    for quantity in QUANTITIES:
        values = sigmas(seed, quantity, range(58 if quantity.id == "areal_density_1" else 0, 240))
        assert max(map(abs, values)) < 3, quantity.id
        assert longest(z > 0 for z in values) < 8, quantity.id
        assert longest(z < 0 for z in values) < 8, quantity.id
        assert longest(b > a for a, b in pairwise(values)) < 5, quantity.id
        assert longest(b < a for a, b in pairwise(values)) < 5, quantity.id
        assert longest(abs(z) < 1 for z in values) < 15, quantity.id


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda d: d.quantity)
def test_every_drift_is_clear_on_its_chart_and_goes_away_again(drift):
    quantity = BY_ID[drift.quantity]
    after = int(drift.start_s + drift.duration_s)
    values = sigmas(1, quantity, range(int(drift.start_s), after + 60))
    means = [sum(values[i : i + quantity.n]) / quantity.n * quantity.n**0.5 for i in range(0, len(values), quantity.n)]
    assert max(map(abs, means)) > 3
    assert max(map(abs, values[after - int(drift.start_s) :])) < 3
    assert not any(
        d.start_s < drift.start_s + drift.duration_s and drift.start_s < d.start_s + d.duration_s
        for d in DRIFTS
        if d != drift
    ), "one at a time"


def test_the_noise_has_the_size_it_says():
    """Sigma from the mean moving range, as a chart would estimate it (÷ 1.128)."""
    for quantity in QUANTITIES:
        values = sigmas(3, quantity, range(60, 240))
        spread = sum(abs(a - b) for a, b in pairwise(values)) / (len(values) - 1) / 1.128
        assert 0.8 < spread < 1.15, quantity.id


def test_the_same_seed_gives_the_same_line_and_another_seed_another():
    quantity = BY_ID["slurry_viscosity"]
    assert sigmas(5, quantity, range(100)) == sigmas(5, quantity, range(100))
    assert sigmas(5, quantity, range(100)) != sigmas(6, quantity, range(100))
    process = Process(5)
    assert process.value(quantity, 12.0) == process.value(quantity, 12.99)


def test_the_configuration_is_complete_and_valid():
    models = {"mqtt": MqttSettings, "modbus": ModbusSettings}
    sources = {
        s["name"]: models[s["type"]].model_validate({k: v for k, v in s.items() if k != "name"})
        for s in CONFIG["sources"]
    }
    assert sources["coater"].password_file == Path("/tmp/secrets/andon")
    tags = {("oven", r.tag) for r in sources["oven"].registers}
    stations = {s["id"] for s in CONFIG["stations"]}
    characteristics = CONFIG["characteristics"]
    assert len(characteristics) >= 8 and len(stations) == 2
    for c in characteristics:
        assert c["station"] in stations
        assert set(c["name"]) == {"zh", "en"} and all(c["name"].values())
        assert c["lsl"] < c["center"] - 3 * c["sigma"]
        if c["entry"] == "manual":
            assert (c["source"], c["tag"]) == (None, None)
        else:
            assert c["source"] == "coater" or (c["source"], c["tag"]) in tags
    assert [(c["id"], c["chart"], c["n"], c["entry"]) for c in characteristics if c["n"] == 5] == [
        ("wet_thickness", "xbar_r", 5, "signal"),
        ("peel_strength", "xbar_r", 5, "manual"),
    ]
    assert len({c["id"] for c in characteristics}) == len(characteristics)


@pytest.mark.parametrize("quantity", [q for q in QUANTITIES if q.register is not None], ids=lambda q: q.id)
def test_what_the_plc_holds_is_what_the_agent_reads(quantity):
    from agent.sandbox.plant.plc import raw_words

    (configured,) = [r for s in CONFIG["sources"] for r in s.get("registers", ()) if r["tag"] == quantity.id]
    value = Process(1).value(quantity, 100)
    got = real(Configured.model_validate(configured), raw_words(quantity.register, value))
    assert round(got, quantity.decimals) == value
    assert got == pytest.approx(value, rel=1e-6)
