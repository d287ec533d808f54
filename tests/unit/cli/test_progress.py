import io

from rich.console import Console

from mnemata.cli.output import Output
from mnemata.cli.progress import bar


def shown(*, terminal, as_json=False):
    output = Output(as_json=as_json)
    output.aside = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    with bar(output, "importing", "memories") as progress:
        progress.at(50, 200, counted=1_500)
    return output.aside.file.getvalue()


def test_bar_on_a_terminal_says_what_is_done_and_of_how_much():
    text = shown(terminal=True)

    assert "importing" in text
    assert "1,500 memories" in text


def test_there_is_no_bar_where_nobody_looks():
    assert shown(terminal=False) == ""
    assert shown(terminal=True, as_json=True) == ""
