"""A cluster that asks who one is, over TLS: with the least role, by password and by key, and with credentials that are refused."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from deploy.servers import artifacts
from deploy.servers.ports import free_ports
from deploy.servers.search_node import SearchNode, SearchNodeOptions, java_home
from tests.contract.test_search_index import SPACE, Maker, at

from mnemata.domain.clock import SystemClock
from mnemata.domain.errors import IndexUnavailable
from mnemata.domain.facet import ValueFacet
from mnemata.domain.filter import EVERYTHING, Field
from mnemata.domain.ids import TenantId
from mnemata.domain.query import Mode, Words
from mnemata.index.cluster.drivers import connected
from mnemata.index.cluster.engine import ClusterIndex
from mnemata.index.cluster.options import Access, ClusterKind, ClusterOptions
from mnemata.index.marks import Span
from mnemata.index.protocol import GenerationState, IndexQuery, Remove

MAKER = Maker()
PASSWORD = "mnemata password"
ROLE = json.loads(Path("deploy/search/role.json").read_text("utf-8"))
ADMINISTRATOR = ("administrator", "administrator password")
NUMBERS = itertools.count()
KEYS_ANALYSIS = Path(__file__).with_name("KeysAnalysis.java")


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
def keeps_keys() -> Iterator[Path]:
    """An installation that can make the index for API keys: see `KeysAnalysis.java`."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-keys-"))
    folder.chmod(0o755)
    home = folder / "elasticsearch"
    shutil.copytree(artifacts.elasticsearch(), home, ignore=shutil.ignore_patterns("logs"))
    (home / "logs").mkdir()
    add_keys_module(home)
    yield home
    shutil.rmtree(folder, ignore_errors=True)


def add_keys_module(home: Path) -> None:
    java, module = java_home() / "bin", home / "modules" / "keys-analysis"
    classes = module / "classes"
    classes.mkdir(parents=True)
    made = ["-d", classes, KEYS_ANALYSIS]
    subprocess.run([java / "javac", "--release", "17", "-cp", home / "lib" / "*", *made], check=True)
    packed = ["--create", "--file", module / "keys-analysis.jar", "-C", classes, "."]
    subprocess.run([java / "jar", *packed], check=True)
    shutil.rmtree(classes)
    descriptor = {
        "name": "keys-analysis",
        "description": "what the index of API keys is analysed with",
        "version": artifacts.ELASTICSEARCH,
        "elasticsearch.version": artifacts.ELASTICSEARCH,
        "java.version": "17",
        "classname": "mnemata.KeysAnalysis",
    }
    lines = (f"{key}={value}\n" for key, value in descriptor.items())
    (module / "plugin-descriptor.properties").write_text("".join(lines))


@pytest.fixture(scope="module")
def secured(authority: Path, keeps_keys: Path) -> Iterator[SearchNode]:
    """A node of Elasticsearch with its security module, https, an administrator, and a user who has the role of the file."""
    folder = Path(tempfile.mkdtemp(prefix="mnemata-secured-"))
    folder.chmod(0o755)
    http, transport = free_ports(2)
    tls = "xpack.security.http.ssl"
    node = SearchNode(
        SearchNodeOptions(
            engine="elasticsearch",
            folder=folder,
            http_port=http,
            transport_port=transport,
            short_lived=True,
            secure=True,
            tls=True,
            files={
                "ca.pem": (authority / "ca.pem").read_text(),
                "key.pem": (authority / "key.pem").read_text(),
                "users": f"mnemata:{pbkdf2(PASSWORD)}\n{ADMINISTRATOR[0]}:{pbkdf2(ADMINISTRATOR[1])}\n",
                "users_roles": f"mnemata:mnemata\nsuperuser:{ADMINISTRATOR[0]}\n",
                "roles.yml": f"mnemata: {json.dumps(ROLE)}\n",
            },
            home=keeps_keys,
            settings={
                f"{tls}.enabled": "true",
                f"{tls}.certificate": "ca.pem",
                f"{tls}.key": "key.pem",
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


@pytest.fixture
def administer(secured: SearchNode, authority: Path) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    with httpx.Client(base_url=secured.url, auth=ADMINISTRATOR, verify=context, timeout=60) as client:
        yield client


@pytest.fixture
def api_key(administer: httpx.Client) -> dict[str, str]:
    """A key as the page on clusters says to make one."""
    asked = {"name": "mnemata", "role_descriptors": {"mnemata": ROLE}}
    return administer.post("/_security/api_key", json=asked).raise_for_status().json()


def access(node: SearchNode, ca_file: Path | None, **credential: str) -> Access:
    return Access(urls=(node.url,), ca_file=ca_file, search_timeout_s=60, write_timeout_s=120, **credential)


def index_on(chosen: Access, **options_too: float) -> ClusterIndex:
    options = ClusterOptions(shards=1, access=chosen, **options_too)
    return ClusterIndex(
        ClusterKind.ELASTICSEARCH, epoch="e", space=SPACE, options=options, clock=SystemClock()
    )


@pytest.fixture(params=["password", "key"])
async def index(request, secured, authority) -> AsyncIterator[ClusterIndex]:
    credential = {"user": "mnemata", "password": PASSWORD}
    if request.param == "key":
        credential = {"api_key": request.getfixturevalue("api_key")["encoded"]}
    engine = index_on(access(secured, authority / "ca.pem", **credential))
    await engine.open()
    yield engine
    for generation in await engine.generations():
        if generation.state is not GenerationState.LIVE:
            await engine.discard(generation.name)
    await engine.close()


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(f"tenant-{next(NUMBERS)}")


async def test_the_least_role_is_enough_to_write_and_to_find(index, tenant):
    keeper = MAKER.upsert("the lighthouse keeper", axis=0, tenant=tenant, tags=("harbour",))
    lamp = MAKER.upsert("the lighthouse lamp", axis=1, tenant=tenant)
    await index.apply([keeper, lamp], position=at(1), ticket=1)
    removing = Remove(tenant=tenant, memory_id=lamp.memory.id)
    await index.apply([removing], position=at(2), ticket=2)

    words, id_ = Words(text="lighthouse"), keeper.memory.id
    asked = IndexQuery(tenant=tenant, mode=Mode.HYBRID, words=words, vector=keeper.vector.vector)
    legs = await index.search(asked)
    assert (legs.degraded, legs.total) == ((), 1)
    assert [one.memory_id for one in (*legs.lexical, *legs.vector)] == [id_, id_]
    (facet,) = await index.facets(asked, [ValueFacet(field=Field(name="tags"))])
    assert [(bucket.value, bucket.count) for bucket in facet.buckets] == [("harbour", 1)]
    assert (await index.vectors(tenant, [id_])).keys() == {id_}
    assert await index.matching(tenant, EVERYTHING, leg="vector") == {id_}
    assert (await index.statistics(tenant)).documents == 1
    assert await index.completions(tenant, "lightho")
    assert [one.word for one in await index.spellings(tenant, "lighthouze")] == ["lighthouze"]
    assert (await index.correction(tenant, "lighthouze")).text == "lighthouse"


async def test_the_least_role_is_enough_to_list_what_it_holds(index, tenant):
    keeper = MAKER.upsert("the lighthouse keeper", tenant=tenant)
    await index.apply([keeper], position=at(1), ticket=1)
    key = (tenant, keeper.memory.id)
    assert [held.key for held in await index.held([key])] == [key]
    listing = await index.listing()
    assert key in {held.key for held in await listing.held(Span(), limit=100)}
    (digest,) = await listing.digests([Span()])
    assert digest.count > 0


async def test_the_least_role_is_enough_to_build_switch_go_back_and_do_away(index):
    first = index.name
    staged = await index.stage()
    await staged.apply([MAKER.upsert("beside")], position=at(4), ticket=4)
    await index.note(staged.name, {"done": 1})
    await index.adopt(staged)
    second = index.name
    again = await index.beside(first)
    await again.apply([MAKER.upsert("again")], position=at(5), ticket=5)
    await index.adopt(again)
    states = {one.name: one.state for one in await index.generations()}
    assert states == {first: GenerationState.LIVE, second: GenerationState.OLD}
    await index.discard(second)


async def test_the_least_role_is_enough_to_sweep_and_to_lift_a_block(index, secured, authority):
    first = index.name
    await index.adopt(await index.stage())
    chosen = access(secured, authority / "ca.pem", user="mnemata", password=PASSWORD)
    other = index_on(chosen, keep_old_s=0.0, switch_s=0.0)
    await other.open()
    assert first not in {one.name for one in await other.generations()}

    blocked = {"index": {"blocks": {"write": True}}}
    await index._connection.send("PUT", f"/{index.name}/_settings", blocked)
    await other.open()
    await other.apply([], position=at(9))
    await other.close()


@pytest.mark.parametrize("kind", ["password", "key"])
async def test_the_least_role_reaches_nothing_else(secured, authority, api_key, kind):
    by_key, by_password = {"api_key": api_key["encoded"]}, {"user": "mnemata", "password": PASSWORD}
    chosen = access(secured, authority / "ca.pem", **(by_key if kind == "key" else by_password))
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


async def test_a_key_that_was_withdrawn_is_told_as_such_from_the_next_call_on(
    secured, authority, administer, api_key, tenant
):
    index = index_on(access(secured, authority / "ca.pem", api_key=api_key["encoded"]))
    await index.open()
    await index.apply([MAKER.upsert("the lighthouse keeper", tenant=tenant)], position=at(1), ticket=1)
    withdrawn = administer.request("DELETE", "/_security/api_key", json={"ids": [api_key["id"]]})
    assert withdrawn.raise_for_status().json()["invalidated_api_keys"] == [api_key["id"]]
    with pytest.raises(IndexUnavailable, match="credential"):
        await index.apply([MAKER.upsert("its lamp", tenant=tenant)], position=at(2), ticket=2)
    await index.close()


async def test_a_certificate_of_an_unknown_authority_is_not_spoken_to(secured):
    index = index_on(access(secured, None, user="mnemata", password=PASSWORD))
    with pytest.raises(IndexUnavailable, match="reached"):
        await index.open()
    await index.close()
