"""What an operator does: look, rebuild, back up, bring back, migrate."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from mnemata.store.data_folder import DataFolder


def states(report):
    return {check["name"]: check["state"] for check in report["checks"]}


def test_status_tells_people_and_programs_the_same(shared_server):
    command = shared_server.command
    command("add", "something to count")

    report = command.json("status")
    shown = command("status").out

    assert report["memories"] >= 1
    assert report["parts"]["store"] == "ok"
    for fact in (shared_server.url, report["store"]["server_version"], report["embedding"]["model"]):
        assert fact in shown


def test_doctor_finds_nothing_wrong_with_a_server_that_runs(shared_server):
    report = shared_server.command.json("doctor")
    says = {check["name"]: check["says"] for check in report["checks"]}

    assert says["keys"] == f"not required by the server at {shared_server.url}"
    assert set(states(report).values()) == {"ok"}
    assert {"python", "disk", "model", "server", "store", "index"} <= set(states(report))


def test_doctor_asks_a_named_server_only_about_itself(shared_server):
    report = shared_server.command.json("--url", shared_server.url, "doctor")

    assert "disk" not in states(report)
    assert states(report)["store"] == "ok"


def test_doctor_looks_at_a_folder_that_is_not_there_without_making_it(command):
    report = command.json("doctor")

    assert set(states(report).values()) == {"ok"}
    assert not command.data_dir.exists()


def test_doctor_says_which_port_is_taken_and_what_to_do(command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command.environment["MNEMATA_HTTP__PORT"] = str(taken.getsockname()[1])
        report = command.json("doctor", code=5)

    (failure,) = [check for check in report["checks"] if check["state"] == "fail"]
    assert failure["name"] == "port"
    assert "MNEMATA_HTTP__PORT" in failure["remedy"]


@pytest.mark.parametrize(
    ("name", "value", "failing", "code"),
    [
        ("MNEMATA_HTTP__PORT", "eighty", "settings", 2),
        ("MNEMATA_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none", "postgresql", 7),
        ("MNEMATA_DATABASE__URL", "postgresql://127.0.0.1/none?nonsense=1", "postgresql", 2),
        ("MNEMATA_DATA_DIR", "/dev/null/data", "data folder", 2),
        ("MNEMATA_EMBEDDING__MODEL_PATH", "/dev/null", "model", 7),
    ],
)
def test_doctor_ends_with_the_code_of_what_failed(command, name, value, failing, code):
    command.environment |= {name: value, "MNEMATA_EMBEDDING__MODEL": "all-MiniLM-L6-v2"}

    report = command.json("doctor", code=code)

    assert states(report)[failing] == "fail"


def test_doctor_waits_for_what_is_only_being_opened_and_names_a_cache_that_is_not_there(command):
    command("add", "something to open an index for")
    command.environment["MNEMATA_CACHE__URL"] = "redis://127.0.0.1:1"

    found = states(command.json("doctor"))

    assert (found["index"], found["cache"]) == ("ok", "warn")


def test_rebuilt_index_finds_what_the_old_one_found(shared_server):
    command = shared_server.command
    for number in range(5):
        command("add", f"rebuilt {number}", "--kind", "rebuilt", "--no-wait")

    outcome = command.json("rebuild")

    assert outcome["documents"] == command.json("status")["memories"]
    assert command.json("search", "rebuilt", "--kind", "rebuilt")["total"] == 5


@pytest.fixture(scope="module")
def made_backup(shared_server):
    """A backup of three memories at least, and what was found when it was made."""
    command = shared_server.command
    for text in ("Ana takes the window seat", "Ben cannot eat shellfish", "Marta has a terrace"):
        command("add", text, "--user", "ana", "--session", "trip")
    found = command.json("search", "who cannot eat what?", "--user", "ana")
    return command.json("backup", str(command.data_dir.parent / "it.backup")), found


def test_backup_comes_back_in_an_empty_folder_and_answers_the_same(made_backup, command):
    made, before = made_backup

    restored = command.json("restore", made["path"])
    after = command.json("search", "who cannot eat what?", "--user", "ana")

    assert restored["memories"] == made["memories"] >= 3
    assert [hit["memory"] for hit in after["hits"]] == [hit["memory"] for hit in before["hits"]]


def test_restore_never_writes_over_memories(made_backup, command):
    kept = command.json("add", "already here")

    command("restore", made_backup[0]["path"], code=2)

    assert [memory["id"] for memory in command.json("list")["items"]] == [kept["id"]]


def test_damaged_backup_is_refused(made_backup, command, tmp_path):
    content = bytearray(Path(made_backup[0]["path"]).read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.backup"
    damaged.write_bytes(content)

    refused = command("restore", str(damaged), code=2)

    assert "not a whole backup" in refused.err
    assert not command.data_dir.exists()


def test_file_that_is_no_backup_is_refused_before_a_folder_is_made(command, tmp_path):
    other = tmp_path / "other.backup"
    other.write_text("something else")

    refused = command("restore", str(other), code=2)

    assert "not a whole backup" in refused.err
    assert not command.data_dir.exists()


def test_restore_into_a_folder_that_a_server_has_is_refused_with_its_pid(made_backup, shared_server):
    refused = shared_server.command("restore", made_backup[0]["path"], code=5)

    assert str(shared_server.process.pid) in refused.err


def test_schema_is_made_once_and_then_up_to_date(command):
    planned = command.json("migrate", "--dry-run")
    applied = command.json("migrate")
    again = command.json("migrate")

    assert planned["pending"] == applied["applied"] != []
    assert (planned["before"], planned["after"]) == (None, None)
    assert again == {"before": applied["after"], "after": applied["after"], "applied": []}


def test_migrate_of_a_folder_that_is_served_is_refused(shared_server):
    refused = shared_server.command("migrate", "--json", code=5)

    assert json.loads(refused.err)["error"]["code"] == "data_folder_locked"


def test_a_command_waits_for_a_server_that_is_only_starting(command):
    command("add", "stored before")
    starting = command.start("serve")
    try:
        deadline = time.monotonic() + 60
        held = str(starting.pid)
        while not (command.data_dir / "lock").read_text().startswith(held) and time.monotonic() < deadline:
            time.sleep(0.01)

        listed = command.json("list")

        assert [memory["content"] for memory in listed["items"]] == ["stored before"]
        assert starting.poll() is None
    finally:
        starting.terminate()
        starting.communicate(timeout=120)


def test_a_folder_that_stays_in_use_is_refused_with_the_pid(command, monkeypatch):
    monkeypatch.setattr("mnemata.cli.connection._IN_USE_S", 0.3)
    held = DataFolder.acquire(command.data_dir)
    try:
        refused = command("list", code=5)
    finally:
        held.release()

    assert refused.err.count("waiting until it answers") == 1
    assert f"{os.getpid()}" in refused.err.splitlines()[-1]


def test_what_is_due_is_swept_when_asked_for(command):
    outcome = command.json("sweep")
    said = command("sweep")

    assert outcome == {"expired": 0, "purged": 0}
    assert said.out.strip() == "0 memories expired, 0 purged"
