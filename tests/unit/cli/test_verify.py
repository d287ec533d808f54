"""How `mnemata verify` ends, by what a server reports."""

import contextlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mnemata.cli.main import run

SOUND = {"checked": {"memories": 3}, "faults": 0, "repaired": 0, "left": 0, "undecided": 0, "named": []}


@pytest.fixture
def verified(tmp_path, monkeypatch):
    """Runs the command against a server that gives this report: the exit code, and what was written."""

    def verified(report):
        class Reports(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                body = json.dumps(report).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        monkeypatch.setenv("MNEMATA_DATA_DIR", str(tmp_path))
        with HTTPServer(("127.0.0.1", 0), Reports) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            out = io.StringIO()
            try:
                with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
                    run(["verify", "--url", f"http://127.0.0.1:{server.server_port}"])
            finally:
                server.shutdown()
                thread.join()
        return ended.value.code or 0, out.getvalue()

    return verified


def test_what_is_sound_ends_with_0(verified):
    code, out = verified(SOUND)
    assert (code, "undecided" in out) == (0, False)


def test_what_is_wrong_and_was_mended_ends_with_0(verified):
    code, _ = verified(SOUND | {"faults": 2, "repaired": 2})
    assert code == 0


@pytest.mark.parametrize("found", [{"faults": 1, "left": 1}, {"undecided": 2}])
def test_what_is_left_or_undecided_ends_with_1(verified, found):
    code, out = verified(SOUND | found)
    assert code == 1
    assert ("2 memories undecided" in out) is ("undecided" in found)
