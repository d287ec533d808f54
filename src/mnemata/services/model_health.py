"""Whether the model worked when it was last asked."""

from __future__ import annotations

from mnemata.domain.errors import MnemataError


class ModelHealth:
    """Told by everybody who asks the model; read by status and readiness."""

    def __init__(self, *, there: bool) -> None:
        self._state = "not asked yet" if there else "none: memories are found by their words only"

    @property
    def state(self) -> str:
        """'ok', or what is the matter and what to do."""
        return self._state

    def worked(self) -> None:
        self._state = "ok"

    def failed(self, error: MnemataError) -> None:
        self._state = f"{error.code}: {error}"
