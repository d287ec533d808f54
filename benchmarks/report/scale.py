"""`python -m benchmarks.scale`: many memories in PostgreSQL and an index."""

from __future__ import annotations

from typing import Any

from benchmarks.report.markdown import number, paragraphs, stages, table

_TIMES = ("p50_ms", "p95_ms", "p99_ms")


def section(figures: dict[str, Any]) -> str:
    about, chunks = figures["about"], figures["ingest"]
    seconds = sum(chunk["seconds"] for chunk in chunks)
    return paragraphs(
        f"{about['count']:,} memories of one tenant: {about['corpus']}. A fifth belong to one user, the others to users of some "
        f"dozens of memories each. Stored in {seconds / 60:,.0f} minutes by batches with vectors, {number(about['count'] / seconds)} a "
        "second until all were found.",
        _ingest(chunks),
        _searches(figures["searches"]) if "searches" in figures else "",
        _sizes(figures),
        _behind(figures),
        _rebuilt(figures["rebuild"]) if "rebuild" in figures else "A rebuild was not measured.",
    )


def _ingest(chunks: list[dict[str, Any]]) -> str:
    node = any(chunk["node_cpu_s"] for chunk in chunks)
    head = [
        "stored",
        "a second",
        "server ms",
        "PostgreSQL ms",
        *(["search node ms"] if node else []),
        "resident MB",
        "load",
    ]
    rows = []
    for chunk in _some(chunks):
        memories = chunk["last"] - chunk["first"]
        spent = [
            round(chunk[key] * 1e3 / memories, 3) for key in ("server_cpu_s", "database_cpu_s", "node_cpu_s")
        ]
        rows.append(
            (
                chunk["last"],
                chunk["memories_per_s"],
                *spent[: 3 if node else 2],
                chunk["resident_mb"],
                chunk["load"],
            )
        )
    return paragraphs("Processor time is a memory's.", table(head, rows))


def _some(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ten rows or so, evenly spread, the last one among them."""
    stride = max(len(chunks) // 10, 1)
    return chunks[stride - 1 :: stride]


def _searches(searches: dict[str, Any]) -> str:
    rows = [
        (f"{scenario}, {kind}", *(row[key] for key in _TIMES), stages(row), row["load"])
        for scenario, kinds in searches.items()
        for kind, row in kinds.items()
    ]
    return table(("search over HTTP", "p50 ms", "p95 ms", "p99 ms", "inside, p50 ms by stage", "load"), rows)


def _sizes(figures: dict[str, Any]) -> str:
    count, base = figures["about"]["count"], figures["base"]
    rows: list[tuple[str, float | None, float | None]] = [
        ("the empty platform, resident", base["resident"] / 1e6, None)
    ]
    if sizes := figures.get("sizes"):
        rows += [
            ("PostgreSQL, tables and indexes", sizes["database_mb"], sizes["database_mb"] * 1e6 / count),
            ("search index on disk", sizes["index_mb"], sizes["index_mb"] * 1e6 / count),
        ]
    if memory := figures.get("memory"):
        beyond, private = memory["bytes_per_memory"], memory["private_bytes_per_memory"]
        rows += [
            ("resident beyond the empty platform, after a start and searches", beyond * count / 1e6, beyond),
            ("of it in no file", private * count / 1e6, private),
            ("PostgreSQL and cache, resident", memory["database"] / 1e6, None),
            ("search node, resident", memory.get("node_mb"), None),
        ]
    peaks = [chunk["peak_mb"] for chunk in figures["ingest"]]
    rows.append(("most that was resident while memories were stored", max(peaks), None))
    if rebuilt := figures.get("rebuild"):
        rows.append(("most that was resident in a rebuild", rebuilt["peak_mb"], None))
    told = [
        (name, round(mb), None if each is None else round(each)) for name, mb, each in rows if mb is not None
    ]
    return table(("what", "MB", "bytes a memory"), told)


def _behind(figures: dict[str, Any]) -> str:
    """What went on behind the writes, and how long a start takes."""
    told = list[str]()
    if settled := figures.get("settled"):
        told.append(
            f"The background was at rest {settled['seconds']:,.0f} s behind the last write (load {settled['load']})."
        )
        if compared := settled.get("compared"):
            told.append(f"{compared:,} vectors were in no graph then, and are compared one by one.")
    if start := figures.get("start"):
        told.append(
            f"A start is ready in {number(start['ready_s'])} s, and gives a whole answer in "
            f"{number(start['first_whole_answer_s'])} s (load {start['load']})."
        )
    return " ".join(told)


def _rebuilt(rebuilt: dict[str, Any]) -> str:
    return (
        f"A rebuild beside the live index takes {rebuilt['seconds']:,.0f} s ({rebuilt['documents_per_s']:,.0f} memories a second). "
        f"{rebuilt['searches']:,} searches meanwhile: p50 {number(rebuilt['searches_p50_ms'])} ms, p95 "
        f"{number(rebuilt['searches_p95_ms'])} ms, longest {number(rebuilt['searches_max_ms'])} ms, "
        f"{rebuilt['searches_not_whole']} not whole."
    )
