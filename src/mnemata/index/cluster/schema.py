"""What an index is created with: the template files of this package, put together for one cluster and one space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from mnemata.domain.vector import Space
from mnemata.index.cluster.dialect import Dialect
from mnemata.index.cluster.document import VECTOR
from mnemata.index.cluster.options import ClusterOptions
from mnemata.index.cluster.texts import CLUSTER
from mnemata.index.local.stopwords import ENGLISH


def index_body(
    dialect: Dialect,
    options: ClusterOptions,
    space: Space,
    *,
    analysis: str,
    meta: Mapping[str, Any],
    alias: str,
) -> dict[str, Any]:
    """The body of a request that creates an index, with the alias that it is written by."""
    fields = _template("fields")
    fields["_meta"] = dict(meta)
    fields["properties"][VECTOR] = dialect.vector_field(space, options)
    chain = _template(f"analysis-{analysis}")
    for field in fields["properties"].values():
        for use in ("analyzer", "search_analyzer"):
            if use in field:
                field[use] = chain["analyzers"].get(field[use], field[use])
    settings = _template("settings") | dict(dialect.settings)
    settings["number_of_shards"] = options.shards
    settings |= _copies(options)
    settings["analysis"] = _analysis(chain["settings"], options) if analysis == CLUSTER else {}
    return {"settings": {"index": settings}, "mappings": fields, "aliases": {alias: {}}}


def _copies(options: ClusterOptions) -> dict[str, Any]:
    if options.replicas is None:
        return {"auto_expand_replicas": "0-1"}
    return {"number_of_replicas": options.replicas}


def _analysis(chain: dict[str, Any], options: ClusterOptions) -> dict[str, Any]:
    chain["filter"]["stop_words"]["stopwords"] = sorted(ENGLISH)
    if options.synonyms:
        rules = {"type": "synonym_graph", "synonyms": list(options.synonyms), "lenient": True}
        chain["filter"]["synonyms"] = rules
        filters = chain["analyzer"]["stemmed_query"]["filter"]
        # Before stop words and stems: the rules are written in whole words.
        filters.insert(filters.index("stop_words"), "synonyms")
    return chain


def _template(name: str) -> dict[str, Any]:
    path = files("mnemata.index.cluster") / "templates" / f"{name}.json"
    return json.loads(path.read_text("utf-8"))
