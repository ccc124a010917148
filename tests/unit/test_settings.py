"""Settings: the environment is read once, nothing misspelt is dropped, and no password is ever printed."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.settings import Limits, Settings, load_settings, mask_url


def test_nothing_configured_means_the_embedded_servers() -> None:
    settings = load_settings({"PATH": "/bin", "HOME": "/root"})
    assert (settings.database_url, settings.redis_url) == (None, None)
    assert settings.home.is_absolute()
    assert settings == Settings(home=settings.home)


def test_every_setting_is_read() -> None:
    settings = load_settings(
        {
            "RPRM_HOME": "/srv/rprm",
            "RPRM_DATABASE_URL": "postgresql://h/d",
            "RPRM_REDIS_URL": "redis://h/1",
            "RPRM_DATABASE_DIRECT_URL": "postgresql://h:1/d",
            "RPRM_METRICS_PORT": "9464",
            "RPRM_METRICS_HOST": "0.0.0.0",
            "RPRM_LEASE_S": "30",
            "RPRM_RENEW_S": "1.5",
            "RPRM_SWEEP_S": "2",
            "RPRM_RECORD_S": "0.5",
            "RPRM_GRACE_S": "7",
            "RPRM_SHARD_SOLUTIONS": "9",
            "RPRM_MAX_LINE_BYTES": "1000",
            "RPRM_MAX_STEPS": "20",
            "RPRM_MAX_TEXT_CHARS": "300",
        }
    )
    assert settings == Settings(
        Path("/srv/rprm"),
        "postgresql://h/d",
        "redis://h/1",
        30,
        1.5,
        2,
        0.5,
        7,
        9,
        Limits(1000, 20, 300),
        "postgresql://h:1/d",
        metrics_port=9464,
        metrics_host="0.0.0.0",
    )


@pytest.mark.parametrize("port", ["0", "-1", "65536", "web"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="RPRM_METRICS_PORT"):
        load_settings({"RPRM_METRICS_PORT": port})


def test_a_direct_url_alone_names_no_database_for_work() -> None:
    with pytest.raises(ConfigError, match="without RPRM_DATABASE_URL") as caught:
        load_settings({"RPRM_DATABASE_DIRECT_URL": "postgresql://u:secret@h/d"})
    assert "secret" not in str(caught.value)


def test_the_home_may_be_relative_to_the_user() -> None:
    assert load_settings({"RPRM_HOME": "~/rprm"}).home == Path.home() / "rprm"
    assert load_settings({"RPRM_HOME": "here"}).home == Path("here").absolute()


def test_an_empty_url_is_none() -> None:
    assert load_settings({"RPRM_DATABASE_URL": "", "RPRM_REDIS_URL": ""}).database_url is None


def test_a_misspelt_setting_stops_the_command() -> None:
    with pytest.raises(ConfigError, match="RPRM_LEASES") as caught:
        load_settings({"RPRM_LEASES": "3"})
    assert "RPRM_LEASE_S" in caught.value.hint


def test_others_variables_are_left_alone() -> None:
    others = {"RPRM_POSTGRES_PASSWORD": "x", "RPRM_REDIS_PASSWORD": "x", "RPRM_JUDGE": "x"}
    others |= {"RPRM_TEST_DATA": "x", "RPRM_CRASH_AT": "y", "XRPRM_Z": "z", "rprm_lower": "w"}
    assert load_settings(others) == load_settings({})


def test_more_steps_than_the_database_can_number_are_refused() -> None:
    assert load_settings({"RPRM_HOME": "/x", "RPRM_MAX_STEPS": "32767"}).limits.max_steps == 32_767
    with pytest.raises(ConfigError, match="32,767") as caught:
        load_settings({"RPRM_HOME": "/x", "RPRM_MAX_STEPS": "32768"})
    assert "RPRM_MAX_STEPS" in caught.value.hint


@pytest.mark.parametrize("name", ["RPRM_LEASE_S", "RPRM_SHARD_SOLUTIONS", "RPRM_MAX_STEPS"])
@pytest.mark.parametrize("value", ["", "0", "-1", "many", "nan", "inf", "-inf", "1e999"])
def test_a_number_that_is_none_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings({name: value})


def test_a_lease_must_leave_a_second_chance_to_renew() -> None:
    assert load_settings({"RPRM_LEASE_S": "4", "RPRM_RENEW_S": "2"}).renew_s == 2
    with pytest.raises(ConfigError, match="no second chance"):
        load_settings({"RPRM_LEASE_S": "4", "RPRM_RENEW_S": "2.1"})


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("", ""),
        ("postgresql://h/d", "postgresql://h/d"),
        ("redis://:secret@h/1", "redis://:***@h/1"),
        ("redis://h/1?password=secret", "redis://h/1?password=***"),
        ("postgresql://h/d?PASSWORD=secret&x=1", "postgresql://h/d?PASSWORD=***&x=1"),
        ("postgresql://h/d?sslpassword=secret&x=1", "postgresql://h/d?sslpassword=***&x=1"),
        ("postgresql://u:secret@/d?host=/run/pg", "postgresql://u:***@/d?host=/run/pg"),
        ("postgresql://u:secret@[::1]:5432/d", "postgresql://u:***@[::1]:5432/d"),
    ],
)
def test_masked_urls_stay_readable(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:sec/ret@h/d",
        "postgresql://u:sec#ret@h/d",
        "postgresql://u:sec?ret@h/d",
        "postgresql://u:s@ec@ret@h/d",
        "postgresql://u:sec/r@et@h/d?x=1",
        "postgresql://u:sec[ret@h/d",
        "host=h password=secret",
        "u:secret@h",
        "redis:u:secret@h",
    ],
)
def test_passwords_in_urls_that_are_not_well_formed_are_masked_too(url: str) -> None:
    masked = mask_url(url)
    for part in ("sec", "ret", "ec@"):
        assert part not in masked.replace("postgresql", "")


@given(
    user=st.sampled_from(["u", "", "some.user"]),
    password=st.text(alphabet="XYZ@:/?#[]%&= ", min_size=1).map(lambda s: f"Qq{s}Qq"),
    escape=st.booleans(),
    rest=st.sampled_from(["h:5432/d", "h/0", "[::1]/d?sslmode=require", "h"]),
)
def test_no_password_of_whatever_characters_gets_through(user: str, password: str, escape: bool, rest: str) -> None:
    written = quote(password, safe="") if escape else password
    assert "Qq" not in mask_url(f"postgresql://{user}:{written}@{rest}")


def test_defaults_are_those_of_the_design() -> None:
    settings = load_settings({})
    assert (settings.lease_s, settings.renew_s) == (90.0, 15.0)
    assert math.isfinite(settings.grace_s)
