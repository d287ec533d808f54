"""An operator looks after index and store from the command line: verifies, builds, switches, goes back."""

import json

import psycopg
import pytest

from mnemata.observability.metrics import Metrics
from mnemata.store.embedded import EmbeddedPostgres


def stored(command, count, tmp_path):
    lines = tmp_path / "memories.jsonl"
    lines.write_text("".join(json.dumps({"content": f"walrus number {n}"}) + "\n" for n in range(count)))
    command("import", str(lines))


def generations(command):
    return {one["name"]: one for one in command.json("index", "status")["generations"]}


@pytest.fixture(scope="module")
def filled(shared_server, tmp_path_factory):
    stored(shared_server.command, 30, tmp_path_factory.mktemp("lines"))
    return shared_server.command


def test_sound_platform_is_verified_with_exit_code_0(filled):
    report = filled.json("verify")
    assert (report["faults"], report["left"]) == (0, 0)
    assert report["checked"]["memories"] == 30
    shown = filled("verify", "--store").out
    assert "30 stored memories" in shown
    assert "0 faults" in shown


def test_generation_is_made_built_beside_verified_switched_to_and_the_old_one_dropped(filled):
    (before,) = generations(filled)
    made = filled.json("index", "create")["generation"]
    outcome = filled.json("index", "rebuild", made, "--no-switch", "--rate", "1000")
    assert (outcome["documents"], outcome["switched"]) == (30, False)
    assert filled.json("index", "verify", made)["faults"] == 0
    filled("index", "switch", made)
    assert {name: one["state"] for name, one in generations(filled).items()} == {before: "old", made: "live"}
    filled("index", "switch", before)
    assert filled.json("search", "walrus", "--limit", "1")["total"] == 30
    filled("index", "drop", before, code=5)
    filled("index", "drop", made)
    filled("index", "drop", made, code=3)
    assert "live" in filled("index", "status").out
    assert filled.json("index", "set-aside")["total"] == 0
    assert filled.json("index", "set-aside", "--retry") == {"retried": 0}


def test_corrupt_content_is_named_with_exit_code_1_and_mended(command):
    memory = command.json("add", "Ben mends clocks")
    corrupt(command, "UPDATE memories SET content = 'Ben breaks clocks'")
    report = command.json("verify", "--store", code=1)
    assert (report["left"], report["named"][0]["what"], report["named"][0]["memory_id"]) == (
        1,
        "content",
        memory["id"],
    )
    assert memory["id"] in command("verify", "--store", code=1).out
    assert command.json("verify", "--repair")["left"] == 0
    assert command.json("show", memory["id"])["content"] == "Ben mends clocks"


def corrupt(command, statement):
    """Do something to the store of a folder that nothing runs on."""
    server = EmbeddedPostgres.start(command.data_dir, metrics=Metrics())
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(statement)
    finally:
        server.stop()
