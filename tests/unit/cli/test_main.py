import json

import pytest

import mnemata
from mnemata import settings as settings_module
from mnemata.cli import main
from mnemata.cli.main import run


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(settings_module.os, "environ", {"MNEMATA_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def mnemata_command(capsys):
    """Runs the command line: its exit code, stdout and stderr."""

    def invoke(*arguments):
        with pytest.raises(SystemExit) as ended:
            run(arguments)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return invoke


def setting(output, name):
    return next(row for row in json.loads(output)["settings"] if row["name"] == name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data-dir", "/a", "--json", "settings"),
        ("settings", "--json", "--data-dir", "/a"),
        ("--data-dir", "/b", "settings", "--json", "--data-dir", "/a"),
    ],
)
def test_options_may_stand_before_or_after_the_command_and_the_later_wins(mnemata_command, arguments):
    code, out, err = mnemata_command(*arguments)

    assert (code, err) == (0, "")
    assert setting(out, "data_dir")["value"] == "/a"
    assert setting(out, "data_dir")["source"] == "option"


def test_settings_say_where_each_value_comes_from(mnemata_command, monkeypatch, tmp_path):
    file = tmp_path / "mnemata.toml"
    file.write_text("[http]\nport = 9000\nhost = '127.0.0.1'\n")
    monkeypatch.setitem(settings_module.os.environ, "MNEMATA_HTTP__PORT", "9001")

    _, out, _ = mnemata_command("--config", str(file), "settings", "--json")

    assert setting(out, "http.port") == {
        "name": "http.port",
        "value": 9001,
        "unit": "",
        "source": "environment",
        "environment": "MNEMATA_HTTP__PORT",
    }
    assert setting(out, "http.host")["source"] == "file"
    assert setting(out, "log.level")["source"] == "default"
    assert setting(out, "client.timeout_s")["unit"] == "seconds"


def test_secrets_are_never_printed(mnemata_command, monkeypatch):
    monkeypatch.setitem(settings_module.os.environ, "MNEMATA_DATABASE__URL", "postgresql://u:hidden@h/d")

    outputs = mnemata_command("settings", "--api-key", "mk_hidden"), mnemata_command("settings", "--json")

    assert all("hidden" not in out + err for _, out, err in outputs)


def test_wrong_setting_is_named_with_the_nearest_known_one(mnemata_command, monkeypatch):
    monkeypatch.setitem(settings_module.os.environ, "MNEMATA_HTTP__PROT", "1")

    code, out, err = mnemata_command("settings")

    assert (code, out) == (2, "")
    assert "http.port" in err


@pytest.mark.parametrize(
    "names", [["MNEMATA_HTTP", "MNEMATA_HTTP__PORT"], ["MNEMATA_HTTP__PORT", "MNEMATA_HTTP"]]
)
def test_section_that_is_set_beside_what_is_in_it_is_named(mnemata_command, monkeypatch, names):
    for name in names:
        monkeypatch.setitem(settings_module.os.environ, name, "1")

    code, out, err = mnemata_command("settings", "--json")

    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["code"] == "configuration"
    assert "MNEMATA_HTTP and MNEMATA_HTTP__PORT are both set" in err


def test_section_that_is_set_itself_is_told_how_its_settings_are_named(mnemata_command, monkeypatch):
    monkeypatch.setitem(settings_module.os.environ, "MNEMATA_HTTP", "1")

    code, _, err = mnemata_command("settings", "--json")

    assert code == 2
    assert "MNEMATA_HTTP__<NAME>" in json.loads(err)["error"]["detail"]


def test_error_is_an_object_on_stderr_for_programs(mnemata_command):
    code, out, err = mnemata_command("--json", "forget")

    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["code"] == "invalid_field"


@pytest.mark.parametrize(
    "arguments", [("search", "--json"), ("--json", "serach", "x"), ("search", "x", "--limit", "no", "--json")]
)
def test_wrong_options_too_are_an_object_for_programs(mnemata_command, arguments):
    code, out, err = mnemata_command(*arguments)

    assert (code, out) == (2, "")
    assert (json.loads(err)["error"]["code"], json.loads(err)["error"]["kind"]) == ("usage", "invalid")


@pytest.mark.parametrize("command", ["search", "add"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_text_of_several_words_is_told_to_be_quoted(mnemata_command, command, options):
    code, out, err = mnemata_command(command, "green", "tea", *options)

    assert (code, out) == (2, "")
    assert "(tea). Put the text in quotation marks." in err


def test_error_that_nobody_foresaw_is_said_to_be_ours_with_where_it_happened(mnemata_command, monkeypatch):
    def broken(**_):
        raise LookupError("shelf")

    monkeypatch.setattr(main, "app", broken)

    code, out, err = mnemata_command("status")
    _, _, err_of_json = mnemata_command("status", "--json")

    assert (code, out) == (1, "")
    assert "Traceback" in err
    assert "a fault of Mnemata's (LookupError: shelf)" in err
    assert json.loads(err_of_json)["error"]["code"] == "internal"


def test_interrupted_command_says_so_with_an_exit_code_of_its_own(mnemata_command, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mnemata.cli.connection.running_server", interrupted)

    code, out, err = mnemata_command("rebuild")
    _, _, err_of_json = mnemata_command("rebuild", "--json")

    assert (code, out) == (130, "")
    assert err == "error: Interrupted before it was done.\n"
    assert json.loads(err_of_json)["error"]["code"] == "interrupted"


def test_server_that_is_not_there_is_unavailable(mnemata_command):
    code, out, err = mnemata_command("--url", "http://127.0.0.1:1", "status")

    assert (code, out) == (7, "")
    assert "http://127.0.0.1:1" in err
    assert "--url" in err


def test_import_to_a_server_that_is_not_there_ends_at_once(mnemata_command, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"content": "one"}\n')

    code, out, err = mnemata_command("--url", "http://127.0.0.1:1", "import", str(file))

    assert (code, out) == (7, "")
    assert "does not answer" in err


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MNEMATA_DATABASE__URL", "127.0.0.1/hidden", "postgresql://"),
        ("MNEMATA_DATABASE__DIRECT_URL", "mysql://hidden", "postgresql://"),
        ("MNEMATA_CACHE__URL", "hidden:6379", "redis://"),
        ("MNEMATA_CLIENT__URL", "127.0.0.1:8080", "http://"),
    ],
)
def test_url_of_another_kind_is_refused_without_being_shown(mnemata_command, monkeypatch, name, value, says):
    monkeypatch.setitem(settings_module.os.environ, name, value)

    code, out, err = mnemata_command("settings")

    assert (code, out) == (2, "")
    assert name in err
    assert says in err
    assert "hidden" not in err


def test_cache_may_be_switched_off(mnemata_command, monkeypatch):
    monkeypatch.setitem(settings_module.os.environ, "MNEMATA_CACHE__URL", "off")

    assert mnemata_command("settings")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "x", "--limit", "0"),
        ("search", "x", "--filter", "{"),
        ("nothing",),
        ("forget", "0197", "--user", "ana"),
        ("forget", "--undo", "--user", "ana"),
        ("forget", "--user", "ana", "--if-version", "1", "--yes"),
        ("add", "x", "--metadata", "[]"),
        ("import", "missing.jsonl"),
        ("import", "-", "--map", "colour=x"),
        ("import", "-", "--errors", "/dev/null/refused.jsonl"),
        ("--url", "localhost:8080", "status"),
    ],
)
def test_wrong_input_is_exit_code_two_before_anything_is_opened(mnemata_command, tmp_path, arguments):
    code, out, err = mnemata_command(*arguments)

    assert (code, out) == (2, "")
    assert err
    assert not (tmp_path / "data").exists()


def test_version_is_the_package_s(mnemata_command):
    assert mnemata_command("--version") == (0, f"mnemata {mnemata.__version__}\n", "")


def test_command_without_arguments_shows_the_help(mnemata_command):
    code, out, err = mnemata_command()

    assert code == 2
    assert "search" in out + err
