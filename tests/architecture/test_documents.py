"""The pages say what is there: every command, option, setting, metric and link."""

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.main import get_command

from mnemata.cli.main import app
from mnemata.cli.settings_page import page
from mnemata.observability.metrics import Metrics
from mnemata.store.migrate import newest, revisions

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROOT_COMMAND = get_command(app)


def commands():
    for name, command in ROOT_COMMAND.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {part}", command) for part, command in inner.items())


def options(command):
    return [
        option
        for item in command.params
        if item.param_type_name == "option"
        for option in (*item.opts, *item.secondary_opts)
    ]


def section_of(text, heading):
    """The part of a page under the heading that starts with `heading`."""
    found = re.search(rf"^#+ `{re.escape(heading)}[ `].*?(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group(0) if found else ""


def anchors(path):
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda item: item if isinstance(item, str) else "options"
)
def test_page_of_commands_shows_every_command_with_every_option(name, command):
    section = section_of((ROOT / "docs" / "cli.md").read_text("utf-8"), f"mnemata {name}")
    everywhere = set(options(ROOT_COMMAND)) | {"--help"}

    assert section, f"docs/cli.md has no heading for `mnemata {name}`"
    assert [
        option for option in options(command) if option not in everywhere and f"`{option}`" not in section
    ] == []


def test_page_of_commands_shows_the_options_that_all_take():
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")

    assert [option for option in options(ROOT_COMMAND) if f"`{option}`" not in text] == []


def test_page_of_commands_shows_no_option_that_is_not_there():
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    known = {option for _, command in commands() for option in options(command)} | set(options(ROOT_COMMAND))

    assert set(re.findall(r"`(--[a-z-]+)", text)) - known - {"--help"} == set()


def test_page_of_settings_is_what_the_command_prints():
    written = (ROOT / "docs" / "settings.md").read_text("utf-8")

    assert written == page(), "run: mnemata settings --markdown > docs/settings.md"


def test_page_of_metrics_names_every_metric():
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    names = {family.name for family in Metrics().registry.collect()}

    assert sorted(name for name in names if name not in text) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(path):
    broken = []
    for link in LINK.findall(path.read_text("utf-8")):
        if re.match(r"(https?|mailto):", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_on_a_page_exist_and_take_the_options_shown(path):
    known = dict(commands())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for line in shown_commands(path.read_text("utf-8")):
        words = shlex.split(line, comments=True)
        if words[0] == "make" and [word for word in words[1:] if "=" not in word and word not in targets]:
            wrong.append(line)
        if words[0] == "mnemata" and not understood(words[1:], known):
            wrong.append(line)

    assert wrong == []


def shown_commands(text):
    """The lines of shell blocks that call us: `$ mnemata ...`, `mnemata ...`, `make ...`."""
    for language, block in FENCE.findall(text):
        if language in {"sh", "bash", "console", "shell"}:
            for line in block.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").strip()
                if command.startswith(("mnemata ", "make ")) and (
                    language != "console" or line.startswith("$ ")
                ):
                    yield command.split(" | ")[0].split(" > ")[0]


def understood(words, known):
    everywhere = set(options(ROOT_COMMAND)) | {"--help"}
    names = [word for word in words if not word.startswith("-")]
    name = next((two for two in (" ".join(names[:2]), *names[:1]) if two in known), None)
    if name is None:
        return not names and set(words) <= everywhere
    allowed = set(options(known[name])) | everywhere
    return all(word.split("=")[0] in allowed for word in words if re.match(r"--?[a-z]", word))


def test_pages_show_the_schema_at_its_newest_revision():
    applied = f"Applied: {', '.join(revisions())}. The schema is at revision {newest()}."
    assert applied in (ROOT / "docs/operations-postgresql.md").read_text("utf-8")
    assert f'"schema_revision": "{newest()}"' in (ROOT / "docs/backup.md").read_text("utf-8")


def test_every_page_is_in_the_index_of_pages():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert [name for name in pages if name != "README.md" and f"({name})" not in index] == []


def test_readme_leads_to_the_index_and_to_how_to_work_here():
    text = (ROOT / "README.md").read_text("utf-8")

    assert "(docs/README.md)" in text
    assert "(CONTRIBUTING.md)" in text
