"""Settings: precedence, units, and a sentence for everything that cannot be used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import units
from deploy.layers import SettingError, load
from deploy.settings import Settings
from deploy.settings_table import rows, rows_for


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_text('edges = 4\nworkers = 4\nkey-period = "12s"\n')
    environment = {"SLUICE_EDGES": "3", "SLUICE_WORKERS": "3"}
    found = load({"data": str(tmp_path), "edges": "2", "port_base": None}, environment)
    assert (found.edges, found.workers, found.key_period, found.port_base) == (2, 3, 12.0, 8000)


def test_a_named_settings_file_is_read_instead_and_must_exist(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("require-jail = true\npublic-edges = ['https://a.example']\n")
    found = load({"config": str(tmp_path / "other.toml")}, {"SLUICE_DATA": str(tmp_path)})
    assert found.require_jail and found.public_bases == ("https://a.example",)
    with pytest.raises(SettingError, match="no file"):
        load({"config": str(tmp_path / "absent.toml")}, {})


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ({"workers": "-3"}, {}, "--workers: .*-3"),
        ({"port_base": "many"}, {}, "--port-base: .*many"),
        ({"l1_memory": "lots"}, {}, "--l1-memory: 'lots' is no size"),
        ({"key_period": "12 parsecs"}, {}, "--key-period: .*parsecs"),
        ({"host": "0.0.0.0"}, {}, "public-edges: "),
        ({"redis": "mysql://x"}, {}, "--redis: "),
        ({"tls_cert": __file__}, {}, "tls-cert and tls-key"),
        ({}, {"SLUICE_PORT_BAES": "1"}, "SLUICE_PORT_BAES: .*SLUICE_PORT_BASE"),
        ({}, {"SLUICE_LOG_LEVEL": "loud"}, "SLUICE_LOG_LEVEL: .*loud"),
        ({"public_edges": "http://a,http://b"}, {}, "2 addresses for 1 edges"),
        ({"public_edges": "http://a:99999"}, {}, "--public-edges: .*port"),
        ({"keys_database": "postgres://u:secret@h/db"}, {}, "--keys-database: .*not postgres"),
        ({"keys_database": "postgresql://u:secret@h/db?colour=red"}, {}, "--keys-database: .*not colour"),
        ({"redis": "http://u:secret@h"}, {}, "--redis: "),
        ({"redis": "redis+cluster://u:secret@h:1,:2"}, {}, "--redis: .*a:6379,b:6379"),
        ({"redis": "redis+cluster://h/1"}, {}, "--redis: .*numbered"),
        ({"redis_control": "redis+cluster://u:secret@h"}, {}, "--redis-control: .*one server"),
        ({"ffmpeg": "/"}, {}, "--ffmpeg: '/' is no program"),
    ],
)
def test_a_bad_setting_is_named_in_one_sentence(
    flags: dict[str, str], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        load(flags, environment)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value) and str(caught.value).endswith((".", "?"))


def test_an_unknown_line_in_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_text("worker = 4\n")
    with pytest.raises(SettingError, match=r"worker in .*sluice\.toml: .*did you mean workers"):
        load({"data": str(tmp_path)}, {})


def test_settings_reach_a_child_unchanged() -> None:
    found = load({"key_period": "12s", "trusted_proxies": "10.0.0.0/8,::1", "keys_url": "https://k:1"}, {})
    assert Settings.model_validate_json(found.model_dump_json()) == found


def test_every_setting_has_a_type_a_meaning_and_a_reader() -> None:
    for row in rows():
        assert row.type and row.meaning and row.services, row.name
    assert {row.name for row in rows_for("keys")} < {row.name for row in rows_for(None)}


@given(st.integers(0, 10**6))
def test_a_shown_duration_reads_back(value: int) -> None:
    assert units.seconds(units.show_seconds(value)) == value


@given(st.integers(0, 2**45))
def test_a_shown_size_reads_back(value: int) -> None:
    assert units.size_bytes(units.show_bytes(value)) == value


@pytest.mark.parametrize(("text", "value"), [("1h30m", 5400), ("200ms", 0.2), ("90", 90), ("2 h", 7200)])
def test_durations_are_read_as_people_write_them(text: str, value: float) -> None:
    assert units.seconds(text) == value
