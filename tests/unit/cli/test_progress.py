import io

from rich.console import Console

from mnemata.cli.output import Output
from mnemata.cli.progress import BYTES, bar


def shown(*updates, terminal=True, as_json=False, noun="memories"):
    """What the bar shows at the end of updates: when, in seconds since it began, then what it is told."""
    output = Output(as_json=as_json)
    output.aside = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    now = [1_000.0]
    with bar(output, "importing", noun, clock=lambda: now[0]) as progress:
        for at, done, total, counted in updates:
            now[0] = 1_000.0 + at
            progress.at(done, total, counted=counted)
    drawn = [line for line in output.aside.file.getvalue().splitlines() if "importing" in line]
    return drawn[-1] if drawn else output.aside.file.getvalue()


def test_bar_on_a_terminal_says_what_is_done_how_fast_and_how_long_it_will_take():
    text = shown((5, 50, 300, 1_500), (10, 100, 300, 3_000))

    assert "importing" in text
    assert "3,000 memories" in text
    assert "300/s" in text
    # At 10 of 300 a second.
    assert "0:00:20" in text
    assert "0:00:10" in text


def test_rate_and_remaining_time_are_dashes_until_they_can_be_told():
    for text in (shown((1, 0, 300, 0)), shown((0.2, 50, 300, 1_500))):
        assert " -/s -:--:-- " in text


def test_bytes_are_told_in_the_unit_that_fits():
    text = shown((5, 10_000_000, 40_000_000, 10_000_000), noun=BYTES)

    assert " 2 MB/s " in text


def test_there_is_no_bar_where_nobody_looks():
    assert shown((5, 50, 200, 1_500), terminal=False) == ""
    assert shown((5, 50, 200, 1_500), as_json=True) == ""
