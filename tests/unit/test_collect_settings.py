"""What a source may say in the configuration; the READMEs' samples are read as written."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.collectors import COLLECTORS, SETTINGS
from agent.collectors.csv_rows import CsvFolderSettings
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.mqtt.settings import MqttSettings
from agent.collectors.opcua import OpcuaSettings
from agent.collectors.settings import read_secret
from agent.errors import ConfigError

HERE = Path(__file__).parents[2] / "agent" / "collectors"
TOPIC = {"filter": "a/#"}


def mqtt(**over):
    return MqttSettings.model_validate({"type": "mqtt", "client_id": "c", "topics": [TOPIC]} | over)


def modbus(registers, **over):
    return ModbusSettings.model_validate({"type": "modbus", "host": "plc", "registers": registers} | over)


@pytest.mark.parametrize(
    ("kind", "model"),
    [("mqtt", MqttSettings), ("modbus", ModbusSettings), ("opcua", OpcuaSettings), ("csv_folder", CsvFolderSettings)],
)
def test_the_sample_in_the_readme_is_valid_and_says_what_it_shows(kind, model):
    folder = HERE / kind / "README.md"
    text = (folder if folder.exists() else HERE / f"{kind}.README.md").read_text("utf-8")
    (sample,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (source,) = tomllib.loads(sample)["sources"].values()
    parsed = model.model_validate(source)
    again = model.model_validate_json(parsed.model_dump_json())
    assert again == parsed
    assert parsed.type == kind


@pytest.mark.parametrize("model", [MqttSettings, ModbusSettings, OpcuaSettings, CsvFolderSettings])
def test_every_field_is_described(model):
    lists = ("topics", "registers", "nodes", "values")
    nested = [model, *(f.annotation.__args__[0] for n, f in model.model_fields.items() if n in lists)]
    missing = [f"{m.__name__}.{n}" for m in nested for n, f in m.model_fields.items() if not f.description]
    assert missing == []


def test_the_tables_name_the_same_types_and_settings_load_no_client_library():
    assert COLLECTORS.keys() == SETTINGS.keys()
    code = (
        "import sys; from importlib import import_module as i; from agent.collectors import SETTINGS;"
        "[getattr(i(p.split(':')[0]), p.split(':')[1]) for p in SETTINGS.values()];"
        "print([m for m in ('paho', 'pymodbus', 'asyncua') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[1])
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(COLLECTORS))
def test_every_entry_can_be_loaded(name):
    for table in (COLLECTORS, SETTINGS):
        module, attr = table[name].split(":")
        assert hasattr(__import__(module, fromlist=[attr]), attr)


@pytest.mark.parametrize("bad", ["", "a/#/b", "a#", "a/b+", "+a/b", "a\0b"])
def test_filters_that_a_broker_refuses_are_refused_here(bad):
    with pytest.raises(ValidationError, match="filter"):
        mqtt(topics=[{"filter": bad}])


@pytest.mark.parametrize("good", ["#", "+", "a/+/b/#", "$share/g/a/+", "面密度/1"])
def test_good_filters(good):
    assert mqtt(topics=[{"filter": good}]).topics[0].filter == good


@pytest.mark.parametrize("bad", ["", "{name}", "{0", "{topic.upper}", "{}", "{{0}}"])
def test_a_tag_holds_only_the_known_places(bad):
    with pytest.raises(ValidationError, match="tag"):
        mqtt(topics=[TOPIC | {"tag": bad}])


@pytest.mark.parametrize(
    "bad",
    [
        {"password": "x"},
        {"client_id": ""},
        {"topics": []},
        {"qos": 2},
        {"protocol": "4"},
        {"port": 0},
        {"password_file": "/run/secret"},
        {"topics": [TOPIC | {"time_zone": "Mars/Olympus"}]},
    ],
)
def test_mqtt_refuses(bad):
    with pytest.raises(ValidationError):
        mqtt(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [{"tag": "a", "address": 65536}],
        [{"tag": "a", "address": 65535, "type": "float32"}],
        [{"tag": "a", "address": 0}, {"tag": "a", "address": 1}],
        [{"tag": "a", "address": 0, "scale": float("nan")}],
        [{"tag": "a", "address": 0, "table": "coils"}],
        [{"tag": "a", "address": 0, "write": 1}],
    ],
)
def test_modbus_refuses(bad):
    with pytest.raises(ValidationError):
        modbus(bad)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        mqtt().port = 1


def test_a_secret_is_the_first_line_of_a_file_that_others_cannot_read(tmp_path):
    path = tmp_path / "secret"
    path.write_text("s3cret\n", "utf-8")
    path.chmod(0o600)
    assert read_secret("password_file", path) == "s3cret"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="every user") as error:
        read_secret("password_file", path)
    assert "s3cret" not in str(error.value)
    path.write_bytes(b"\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="empty"):
        read_secret("password_file", path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret("password_file", tmp_path / "none")


def test_a_value_that_is_read_seldom_is_not_stale_between_two_readings():
    slow = {"tag": "slow", "address": 2, "period_s": 60}
    settings = modbus([{"tag": "fast", "address": 0}, slow], stale_after_s=10)
    assert (settings.stale_after("fast"), settings.stale_after("slow")) == (10, 120)
    assert mqtt(stale_after_s=30).stale_after("a/b") == 30
