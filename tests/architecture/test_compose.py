"""compose.yaml and the image say what the code knows, and describe the fleet that `make fleet` starts."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from deploy.fleet import Fleet
from deploy.fleet.balancer import CONFIGURATION, with_servers

from mnemata.api.rest.catalogue import OPERATIONS
from mnemata.api.rest.middleware.deadline import UNLIMITED
from mnemata.settings import environment_name, load, names

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
OURS = ("migrate", "api", "worker")
JOBS = {"migrate"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def test_it_is_what_the_specification_of_compose_allows():
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_its_members_are_those_that_make_fleet_starts(services, tmp_path):
    fleet = Fleet(tmp_path)
    fleet.close()
    # Servers have their numbers in their names, processes their count in the service.
    here = Counter(
        re.sub(r"-\d+$", "", name)
        for name, service in services.items()
        if name not in JOBS
        for _ in range(service.get("deploy", {}).get("replicas", 1))
    )
    assert here == Counter(re.sub(r"-\d+$", "", member.name) for member in fleet.members)


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_a_real_one_with_a_value_that_it_takes(services, name):
    given = {key: str(value) for key, value in services[name]["environment"].items()}
    assert set(given) - {environment_name(path) for path in names()} == set()
    settings = load(environment=given)
    assert settings.auth_required
    assert settings.stateless
    assert not settings.database.migrate


def test_settings_of_the_image_are_real_ones():
    given = set(re.findall(r"\bMNEMATA_\w+", CONTAINERFILE.read_text()))
    assert given
    assert given - {environment_name(path) for path in names()} == set()


def test_a_door_has_time_to_be_left_and_to_finish_before_it_is_killed(services):
    settings = load(environment={key: str(value) for key, value in services["api"]["environment"].items()})
    grace_s = float(services["api"]["stop_grace_period"].removesuffix("s"))
    assert settings.http.drain_s >= 2
    assert settings.http.drain_s + settings.http.shutdown_grace_s < grace_s


def test_every_image_has_a_version_and_every_server_says_whether_it_is_well(services):
    assert [name for name, one in services.items() if not re.search(r":\d+\.\d+[.\d]*", one["image"])] == []
    assert [name for name, one in services.items() if "healthcheck" not in one and name not in JOBS] == []


def test_no_secret_has_a_default_and_nothing_but_the_balancer_is_reached_from_outside(services):
    text = COMPOSE.read_text()
    secrets = set(re.findall(r"\$\{(\w*PASSWORD)([^}]*)\}", text))
    assert {name for name, _ in secrets} == {"POSTGRES_PASSWORD", "DATABASE_PASSWORD", "CACHE_PASSWORD"}
    assert {rest[:2] for _, rest in secrets} == {":?"}
    assert {name for name, one in services.items() if "ports" in one} == {"balancer"}
    example = (ROOT / "deploy" / "compose" / "env.example").read_text()
    assert {name for name, _ in secrets} <= set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_files_that_are_mounted_are_there(services):
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert mounted
    assert [name for name in mounted if not (ROOT / name).is_file()] == []


def test_image_runs_as_a_plain_user_and_is_made_from_lock_files():
    lines = CONTAINERFILE.read_text().splitlines()
    user = [line for line in lines if line.startswith("USER ")][-1]
    assert user.split()[1].split(":")[0] not in {"0", "root"}
    assert [line for line in lines if line.startswith("FROM ") and "python:${PYTHON}" not in line] == []
    installs = re.findall(r"bin/pip install (.*)", CONTAINERFILE.read_text())
    assert installs
    assert [one for one in installs if "--require-hashes" not in one and "--no-index" not in one] == []


def test_balancer_waits_as_long_as_the_doors_for_the_long_work_of_operators():
    long = re.findall(r"^ *acl unlimited path (.*)$", CONFIGURATION.read_text(), re.MULTILINE)
    assert {path for paths in long for path in paths.split()} == UNLIMITED
    assert "set-timeout server 24h if unlimited\n" in CONFIGURATION.read_text()


def test_whatever_is_done_as_a_job_may_take_as_long_as_it_needs():
    asked = {one.path for one in OPERATIONS if "services.operations." in inspect.getsource(one.handler)}
    assert asked - {"/v1/status"} == UNLIMITED


def test_balancer_has_the_same_rules_here_and_there():
    ours = CONFIGURATION.read_text()
    here = with_servers(ours, {"api-1": "http://127.0.0.1:1", "api-2": "http://127.0.0.1:2"})
    assert here.count("    server api-2 127.0.0.1:2\n") == 2
    kept = [line for line in ours.splitlines() if not line.startswith("    server-template ")]
    assert [line for line in here.splitlines() if not line.startswith("    server api-")] == kept


def test_wheel_holds_every_file_of_the_package(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = wheel.namelist()
    source = ROOT / "src"
    files = [
        path for path in (source / "mnemata").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert [str(path) for path in files if path.relative_to(source).as_posix() not in held] == []
