"""A tenant's memories: everything that can be done with them in one transaction, one kind of thing per parent."""

from __future__ import annotations

from mnemata.store.listing import Listing
from mnemata.store.reading import Reading
from mnemata.store.search import Search
from mnemata.store.sessions import Sessions
from mnemata.store.traits import TraitsOfMemories
from mnemata.store.writing import Writing


class Memories(Writing, Reading, Listing, Sessions, Search, TraitsOfMemories):
    """Store, read, list, and search the memories of one tenant."""
