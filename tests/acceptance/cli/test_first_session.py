"""What a new user does first, without a server and with one."""

import json
import signal
import subprocess
import sys

import httpx
import pytest


def test_memory_that_was_added_is_found_listed_shown_forgotten_and_brought_back(shared_server):
    command = shared_server.command
    added = command.json(
        "add",
        "Ana prefers the window seat",
        "--user",
        "ana-1",
        "--tag",
        "travel",
        "--metadata",
        '{"score": 4}',
    )

    found = command.json("search", "where does Ana like to sit?", "--user", "ana-1")
    listed = command.json("list", "--filter", '{"metadata.score": {"gte": 4}}', "--user", "ana-1")
    shown = command("show", added["id"])
    command("forget", added["id"])
    gone = command.json("search", "window seat", "--user", "ana-1")
    command("show", added["id"], code=3)
    command("forget", added["id"], "--undo")
    history = command.json("show", added["id"], "--history")

    assert [hit["memory"]["id"] for hit in found["hits"]] == [added["id"]]
    assert [memory["id"] for memory in listed["items"]] == [added["id"]]
    assert "Ana prefers the window seat" in shown.out
    assert gone["hits"] == []
    assert [item["operation"] for item in history["items"]] == ["restored", "forgotten", "created"]
    assert command.json("search", "window seat", "--user", "ana-1")["total"] == 1


def test_text_from_stdin_is_stored_as_it_came(shared_server):
    text = "two lines\n  of text\n"

    added = shared_server.command.json("add", "-", stdin=text)

    assert shared_server.command.json("show", added["id"])["content"] == text


def test_filter_only_counts_until_it_is_told_to_forget(shared_server):
    command = shared_server.command
    for number in range(3):
        command("add", f"note {number}", "--user", "ben-1", "--no-wait")

    counted = command.json("forget", "--user", "ben-1")
    forgotten = command.json("forget", "--user", "ben-1", "--yes")

    assert counted == {"matched": 3, "forgotten": 0, "dry_run": True}
    assert forgotten == {"matched": 3, "forgotten": 3, "dry_run": False}
    assert command.json("list", "--user", "ben-1")["items"] == []


def test_neighbours_and_explanation_come_with_a_hit(shared_server):
    command = shared_server.command
    for number, text in enumerate(["Where did you go?", "To the aquarium in Genoa.", "How was it?"]):
        command("add", text, "--session", "trip", "--sequence", str(number), "--role", "Ana")

    found = command("search", "aquarium", "--session", "trip", "--limit", "1", "--context", "1", "--explain")

    lines = [line.strip() for line in found.out.splitlines()]
    assert lines[1:4] == ["Ana: Where did you go?", "To the aquarium in Genoa.", "Ana: How was it?"]
    assert "lexical #1" in lines[4]


def test_search_for_a_user_brings_their_own_first_and_leaves_nothing_out(shared_server):
    command = shared_server.command
    for user in ("ivo", "uma"):
        command("add", "the regatta begins at noon", "--user", user, "--kind", "race")

    for user in ("ivo", "uma"):
        found = command.json("search", "regatta", "--kind", "race", "--for", user)
        assert found["hits"][0]["memory"]["user_id"] == user
        assert found["total"] == 2
    shown = command("search", "regatta", "--kind", "race", "--for", "uma", "--limit", "1", "--explain")
    assert "own +0." in shown.out
    refused = command("search", "regatta", "--for", "", code=2)
    assert "personalize_for" in refused.err


def test_remedies_are_told_in_the_words_of_the_command_line(shared_server, tmp_path):
    command, file = shared_server.command, tmp_path / "one.jsonl"
    file.write_text('{"content": "one"}')

    nothing = command("search", "", code=2)
    without_workers = command("import", str(file), "--background", code=7)

    assert "list memories with `mnemata list`" in nothing.err
    assert "Leave out --background." in without_workers.err


def test_query_that_begins_with_a_hyphen_comes_after_two_of_them(shared_server):
    command = shared_server.command
    for word in ("sencha", "matcha"):
        command("add", f"{word} leaves", "--kind", "tea")

    found = command("search", "--kind", "tea", "--mode", "lexical", "--json", "--", "-sencha leaves").out

    assert [hit["memory"]["content"] for hit in json.loads(found)["hits"]] == ["matcha leaves"]


def test_page_after_page_shows_every_memory_once(shared_server):
    command = shared_server.command
    for number in range(5):
        command("add", f"page {number}", "--kind", "paged", "--no-wait")

    first = command.json("list", "--kind", "paged", "--limit", "3")
    second = command.json("list", "--kind", "paged", "--limit", "3", "--cursor", first["next_cursor"])

    assert first["total"] == 5
    assert len({memory["id"] for memory in first["items"] + second["items"]}) == 5
    assert second["next_cursor"] is None


def test_changed_version_is_not_forgotten_by_mistake(shared_server):
    command = shared_server.command
    added = command.json("add", "first", "--external-id", "versioned")
    command("add", "second", "--external-id", "versioned")

    command("forget", added["id"], "--if-version", "1", code=5)

    assert command.json("show", added["id"])["content"] == "second"


def test_undo_of_a_memory_that_is_not_forgotten_leaves_it_as_it_is(shared_server):
    command = shared_server.command
    added = command.json("add", "first", "--external-id", "undone")
    command("add", "second", "--external-id", "undone")

    refused = command("forget", added["id"], "--undo", code=2)

    assert f"nothing to undo. See `mnemata show {added['id']} --history`" in refused.err
    shown = command.json("show", added["id"])
    assert (shown["content"], shown["version"]) == ("second", 2)


def test_undo_of_a_memory_that_has_expired_brings_back_what_it_was_then(shared_server):
    command = shared_server.command
    added = command.json("add", "first", "--external-id", "expired")
    command("add", "second", "--external-id", "expired", "--ttl", "0.001")
    command("show", added["id"], code=3)

    command("forget", added["id"], "--undo")

    shown = command.json("show", added["id"])
    assert (shown["content"], shown["expires_at"]) == ("second", None)


def test_forgotten_memory_comes_back_only_at_the_version_named(shared_server):
    command = shared_server.command
    added = command.json("add", "kept by its version")
    command("forget", added["id"])

    command("forget", added["id"], "--undo", "--if-version", "1", code=5)
    command("show", added["id"], code=3)
    command("forget", added["id"], "--undo", "--if-version", "2")

    assert command.json("show", added["id"])["version"] == 3


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_reader_that_goes_away_ends_a_command_quietly_as_a_broken_pipe_does(shared_server, options):
    listing = shared_server.command.start("status", *options)
    listing.stdout.close()
    _, err = listing.communicate(timeout=240)

    assert (listing.returncode, err) == (128 + signal.SIGPIPE, "")


def test_commands_work_without_a_server_and_keep_what_they_stored(command):
    added = command.json("add", "Ana prefers the window seat", "--user", "ana")

    found = command.json("search", "window", "--user", "ana")

    assert [hit["memory"]["id"] for hit in found["hits"]] == [added["id"]]
    assert not (command.data_dir / "server.json").exists()


def test_first_screen_says_where_it_is_what_it_runs_on_and_what_works_as_it_stands(command, serve_here):
    body = '{"content": "Ana prefers the window seat", "user_id": "ana"}'

    def visit(url):
        reference = httpx.get(f"{url}/docs", timeout=60)
        stored = httpx.post(
            f"{url}/v1/memories", content=body, headers={"Content-Type": "application/json"}, timeout=60
        )
        return url, reference.status_code, stored.status_code

    ran, (url, *statuses) = serve_here(command, visit, how=signal.SIGTERM)

    assert statuses == [200, 201]
    facts = (url, str(command.data_dir), "PostgreSQL", "hashing", "0 memories", "/docs")
    commands = (" add ", " search ", f"curl {url}/v1/memories", f"-d '{body}'")
    assert [word for word in facts + commands if word not in ran.out] == []
    assert "Traceback" not in ran.err
    assert not (command.data_dir / "server.json").exists()


def test_second_server_on_the_folder_is_refused_with_the_pid_of_the_first(shared_server):
    refused = shared_server.command("serve", code=5)

    assert str(shared_server.process.pid) in refused.err
    assert httpx.get(f"{shared_server.url}/healthz", timeout=60).is_success


def test_server_that_was_killed_stands_in_nobody_s_way(command, serve):
    server = serve(command)
    added = command.json("add", "kept through the kill")
    server.stop(signal.SIGKILL)

    found = command.json("search", "kill")

    assert (command.data_dir / "server.json").exists()
    assert [hit["memory"]["id"] for hit in found["hits"]] == [added["id"]]


def test_server_tells_programs_its_address_and_ends_well_on_ctrl_c(command, serve):
    server = serve(command, "--json")

    code, out, err = server.stop(signal.SIGINT)

    assert code == 0
    assert json.loads(out)["url"] == server.url
    assert "Traceback" not in err


def test_module_and_command_are_the_same_program():
    shown = subprocess.run(
        [sys.executable, "-m", "mnemata", "--help"], capture_output=True, text=True, check=True
    )

    assert shown.stdout.startswith("Usage: mnemata")
