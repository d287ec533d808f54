"""What a person sees when the fleet runs: where everything is, and what to try."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.fleet.fleet import Fleet


def first_screen(fleet: Fleet) -> str:
    members = "\n".join(f"  {member.name:<10} {member.url:<46} pid {member.pid}" for member in fleet.members)
    mnemata = f"{Path(sys.executable).with_name('mnemata')} --url {fleet.url}"
    return f"""
The fleet is ready at {fleet.url}

{members}

  logs       {fleet.logs}

Try, in another terminal:

  {mnemata} add "Ana prefers the window seat" --user ana
  {mnemata} search "where does Ana like to sit?"
  kill -9 {fleet.apis[0].pid}    # and search again: the other answers

Its servers trust whoever is on this machine. Ctrl-C ends it all; the data stay.
"""
