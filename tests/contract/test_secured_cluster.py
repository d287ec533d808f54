"""A cluster that asks who one is, over TLS: with the least role, by password and by API key."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.servers.ports import free_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions

from mnemata.domain.change import Position
from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.ids import TenantId
from mnemata.domain.query import Mode, Words
from mnemata.domain.vector import Space
from mnemata.index.cluster.drivers import connected
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions
from mnemata.index.protocol import IndexQuery

SPACE = Space(name="test/1", dimensions=8)
PASSWORD = "mnemata password"
ROLE = json.loads(Path("deploy/search/role.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def authority() -> Iterator[Path]:
    """A folder with a certificate for 127.0.0.1 that signed itself, and its key."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-tls-"))
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here, which makes the certificate")
    asked = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *asked.split(), *extension], cwd=folder, check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def secured(authority: Path) -> Iterator[SearchNode]:
    """A node of Elasticsearch with its security module, https, and one user, who has the role of the file."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-secured-"))
    folder.chmod(0o755)
    http, transport = free_ports(2)
    ssl = "xpack.security.http.ssl"
    node = SearchNode(
        SearchNodeOptions(
            engine="elasticsearch",
            folder=folder,
            http_port=http,
            transport_port=transport,
            secure=True,
            tls=True,
            files={
                "ca.pem": (authority / "ca.pem").read_text(),
                "key.pem": (authority / "key.pem").read_text(),
                "users": f"mnemata:{pbkdf2(PASSWORD)}\n",
                "users_roles": "mnemata:mnemata\n",
                "roles.yml": f"mnemata: {json.dumps(ROLE)}\n",
            },
            settings={
                f"{ssl}.enabled": "true",
                f"{ssl}.certificate": "ca.pem",
                f"{ssl}.key": "key.pem",
                "xpack.license.self_generated.type": "basic",
            },
        )
    )
    try:
        node.launch()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"Elasticsearch cannot be started here: {error}")
    try:
        node.wait()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def pbkdf2(password: str) -> str:
    """As the file of users has it."""
    salt = b"the salt of a test, of 32 bytes!"
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, dklen=32)
    return "{PBKDF2}10000$" + "$".join(base64.b64encode(part).decode() for part in (salt, made))


def access(node: SearchNode, ca_file: Path | None, **credential: str) -> Access:
    return Access(urls=(node.url,), ca_file=ca_file, search_timeout_s=60, write_timeout_s=120, **credential)


def index_on(chosen: Access) -> ClusterIndex:
    options = ClusterOptions(shards=1, access=chosen)
    return ClusterIndex(
        ClusterKind.ELASTICSEARCH, epoch="e", space=SPACE, options=options, clock=SystemClock()
    )


async def test_the_least_role_is_enough_for_everything_an_index_does(secured, authority):
    index = index_on(access(secured, authority / "ca.pem", user="mnemata", password=PASSWORD))
    await index.open()
    await index.apply([], position=Position(xid=1, sequence=1), ticket=1)
    query = IndexQuery(tenant=TenantId("t"), mode=Mode.LEXICAL, words=Words(text="a"))
    assert (await index.search(query)).degraded == ()
    await index.adopt(await index.stage())
    await index.flush()
    assert (await index.statistics()).details["index"].startswith("mnemata-")
    await index.close()


async def test_the_least_role_reaches_nothing_else(secured, authority):
    chosen = access(secured, authority / "ca.pem", user="mnemata", password=PASSWORD)
    connection = connected(ClusterKind.ELASTICSEARCH, chosen)
    for method, target in (("PUT", "/others"), ("DELETE", "/others"), ("GET", "/_security/role")):
        with pytest.raises(IndexUnavailable, match="allow"):
            await connection.send(method, target)
    await connection.close()


@pytest.mark.parametrize(
    "credential", [{"user": "mnemata", "password": "wrong"}, {"api_key": "d3Jvbmc6d3Jvbmc="}]
)
async def test_a_wrong_credential_is_told_as_such(secured, authority, credential):
    index = index_on(access(secured, authority / "ca.pem", **credential))
    with pytest.raises(IndexUnavailable, match="credential"):
        await index.open()
    await index.close()


async def test_a_certificate_of_an_unknown_authority_is_not_spoken_to(secured):
    index = index_on(access(secured, None, user="mnemata", password=PASSWORD))
    with pytest.raises(IndexUnavailable, match="reached"):
        await index.open()
    await index.close()
