"""Keys: none needed by who can read the folder, needed by everybody else."""

import json
import stat
from dataclasses import replace

import httpx
import pytest


@pytest.fixture(scope="module")
def guarded(shared_command, shared_serve):
    """A server that asks for keys."""
    shared_command.environment["MNEMATA_AUTH__REQUIRED"] = "true"
    return shared_serve(shared_command)


def test_owner_of_the_folder_needs_no_key_and_others_do(guarded):
    owner = guarded.command
    added = owner.json("add", "only with a key")

    refused = owner("--url", guarded.url, "show", added["id"], code=4)
    wrong = owner("--url", guarded.url, "--api-key", "mk_0000000000000000_wrong", "list", code=4)

    assert "--api-key" in refused.err
    assert "--api-key" not in wrong.err
    assert owner.json("show", added["id"])["content"] == "only with a key"
    assert stat.S_IMODE((owner.data_dir / "local.key").stat().st_mode) == 0o600


def test_doctor_says_what_the_server_asks_for_and_not_its_own_settings(guarded):
    other = replace(guarded.command, environment={})

    (keys,) = [check for check in other.json("doctor")["checks"] if check["name"] == "keys"]

    assert keys["says"] == f"required by the server at {guarded.url}"


def test_key_opens_its_tenant_with_its_role_until_it_is_revoked(guarded):
    owner = guarded.command
    made = owner.json("keys", "create", "the chat", "--role", "reader", "--tenant", "acme")
    with_key = ("--url", guarded.url, "--api-key", made["secret"])

    listed = owner.json(*with_key, "list")
    owner(*with_key, "add", "may not", code=4)
    keys = owner.json("keys", "list")["items"]
    owner("keys", "revoke", made["key"]["id"])
    owner(*with_key, "list", code=4)

    assert listed["items"] == []
    assert made["key"]["id"] in {key["id"] for key in keys}
    assert made["secret"] not in json.dumps(keys)


def test_keys_made_before_and_kept_by_a_server_still_open_the_next_one(command, serve):
    secret = command("keys", "create", "first", "--role", "admin").out.strip()
    command.environment["MNEMATA_AUTH__REQUIRED"] = "true"
    serve(command).stop()
    kept = (command.data_dir / "local.key").read_text()

    server = serve(command)

    with_key = httpx.get(f"{server.url}/v1/memories", headers={"X-API-Key": secret}, timeout=60)
    without = httpx.get(f"{server.url}/v1/memories", timeout=60)
    assert (with_key.status_code, without.status_code) == (200, 401)
    assert (command.data_dir / "local.key").read_text() == kept
    assert len(command.json("keys", "list")["items"]) == 2


def test_key_that_is_not_there_cannot_be_revoked(guarded):
    refused = guarded.command("keys", "revoke", "0123456789abcdef", code=3)

    assert "There is no API key 0123456789abcdef. List the keys." in refused.err


def test_generation_that_is_not_there_is_told_with_where_they_are_listed(guarded):
    refused = guarded.command("index", "drop", "nowhere", code=3)

    assert "List the generations." in refused.err


def test_key_is_revoked_by_its_secret_which_is_not_shown(guarded):
    owner = guarded.command
    made = owner.json("keys", "create", "leaked")

    ran = owner("keys", "revoke", made["secret"])
    again = owner("keys", "revoke", f"mk_{'0' * 16}_{made['secret'][-43:]}", code=3)
    part = owner("keys", "revoke", "mk_" + made["secret"][-43:].replace("_", "x"), code=2)

    assert ran.out.strip() == f"revoked {made['key']['id']}"
    assert made["secret"][-20:].replace("_", "x") not in (ran.out + ran.err + again.err + part.err).replace(
        "_", "x"
    )
    assert owner("--url", guarded.url, "--api-key", made["secret"], "list", code=4)
