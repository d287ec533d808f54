"""The Batcher over the real model where vectors matter, and over a model held by hand where time does."""

import asyncio
import threading

import numpy as np
import pytest

from mnemata.domain.errors import EmbedderUnavailable
from mnemata.embedding.hashing import HashingEmbedder
from mnemata.embedding.onnx import OnnxEmbedder


class HeldEmbedder(HashingEmbedder):
    """A hashing embedder whose document calls stand until they are let go, and which remembers its calls."""

    def __init__(self):
        self.let_go = threading.Event()
        self.calls = []
        self.query_calls = []
        self.closed = False

    def embed_documents(self, texts):
        self.calls.append(list(texts))
        assert self.let_go.wait(240)
        if "poison" in texts:
            raise EmbedderUnavailable(what="The model", reason="poison", retry_after_s=1.0)
        return super().embed_documents(texts)

    def embed_queries(self, texts):
        self.query_calls.append(list(texts))
        return HashingEmbedder.embed_documents(HashingEmbedder(), texts)

    def close(self):
        self.closed = True


@pytest.fixture
def held():
    embedder = HeldEmbedder()
    yield embedder
    embedder.let_go.set()


async def begun(embedder, calls=1):
    async with asyncio.timeout(60):
        while len(embedder.calls) < calls:
            await asyncio.sleep(0.001)


async def test_concurrent_writers_get_their_own_rows_in_order(make_batcher, minilm):
    # The batcher closes what it is given: it has a model of its own.
    batcher = make_batcher(OnnxEmbedder(threads=1), batch_size=16)
    texts = [[f"writer {writer} says {number}" for number in range(7)] for writer in range(5)]
    found = await asyncio.gather(*(batcher.embed_documents(own) for own in texts))
    for own, vectors in zip(texts, found, strict=True):
        assert (vectors * minilm.embed_documents(own)).sum(axis=1).min() > 1 - 1e-5


async def test_calls_that_run_at_once_share_out_what_waits(make_batcher, held):
    batcher = make_batcher(held, document_calls=2)
    texts = [f"text {number}" for number in range(32)]
    asked = asyncio.create_task(batcher.embed_documents(texts))
    await begun(held, calls=2)
    assert [len(call) for call in held.calls] == [16, 8]
    held.let_go.set()
    assert (await asked == HashingEmbedder().embed_documents(texts)).all()


async def test_what_comes_as_the_last_call_ends_is_embedded_too(make_batcher, held):
    held.let_go.set()
    batcher = make_batcher(held, document_calls=2)
    async with asyncio.timeout(60):
        for number in range(200):
            await batcher.embed_documents([f"text {number}"])
    assert len(held.calls) == 200


async def test_writers_that_wait_share_the_next_call(make_batcher, held):
    batcher = make_batcher(held)
    first = asyncio.create_task(batcher.embed_documents(["first"]))
    await begun(held)
    others = [asyncio.create_task(batcher.embed_documents([f"text {number}"])) for number in range(20)]
    await asyncio.sleep(0)
    held.let_go.set()
    await asyncio.gather(first, *others)
    assert [len(call) for call in held.calls] == [1, 20]


async def test_equal_texts_of_a_call_are_embedded_once(make_batcher, held):
    held.let_go.set()
    vectors = await make_batcher(held).embed_documents(["a", "b", "a", "a"])
    assert held.calls == [["a", "b"]]
    np.testing.assert_array_equal(vectors, HashingEmbedder().embed_documents(["a", "b", "a", "a"]))


async def test_a_large_request_goes_in_calls_of_the_batch_size(make_batcher, held):
    held.let_go.set()
    vectors = await make_batcher(held, batch_size=8).embed_documents([f"t{n}" for n in range(20)])
    assert [len(call) for call in held.calls] == [8, 8, 4]
    assert vectors.shape == (20, 256)


async def test_long_texts_make_shorter_calls(make_batcher, held):
    held.let_go.set()
    await make_batcher(held).embed_documents([f"{number}" * 40_000 for number in range(3)])
    assert [len(call) for call in held.calls] == [1, 1, 1]


async def test_a_query_is_answered_while_documents_are_in_the_model(make_batcher, held):
    batcher = make_batcher(held)
    documents = asyncio.create_task(batcher.embed_documents(["a", "b"]))
    await begun(held)
    async with asyncio.timeout(60):
        vector = await batcher.embed_query("question")
    assert vector.shape == (256,)
    assert not documents.done()
    held.let_go.set()
    await documents


async def test_a_full_queue_refuses_with_when_to_come_again(make_batcher, held):
    batcher = make_batcher(held, queue_size=3)
    running = asyncio.create_task(batcher.embed_documents(["in the model"]))
    await begun(held)
    waiting = asyncio.create_task(batcher.embed_documents(["a", "b", "c"]))
    await asyncio.sleep(0)
    with pytest.raises(EmbedderUnavailable) as refused:
        await batcher.embed_documents(["d"])
    assert refused.value.retry_after_s is not None
    held.let_go.set()
    assert len(await waiting) == 3
    await running


async def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits(make_batcher, held):
    held.let_go.set()
    assert len(await make_batcher(held, queue_size=2).embed_documents(["a", "b", "c"])) == 3


async def test_a_failed_call_fails_those_in_it_and_nobody_else(make_batcher, held, metrics):
    batcher = make_batcher(held, batch_size=2)
    first = asyncio.create_task(batcher.embed_documents(["first"]))
    await begun(held)
    poisoned = asyncio.create_task(batcher.embed_documents(["poison", "b", "c", "d"]))
    later = asyncio.create_task(batcher.embed_documents(["later"]))
    await asyncio.sleep(0)
    held.let_go.set()
    with pytest.raises(EmbedderUnavailable, match="poison"):
        await poisoned
    assert len(await first) == len(await later) == 1
    assert held.calls == [["first"], ["poison", "b"], ["later"]]
    assert metrics.registry.get_sample_value("mnemata_embedding_failures_total") == 1


async def test_a_cancelled_request_leaves_the_queue(make_batcher, held):
    batcher = make_batcher(held)
    first = asyncio.create_task(batcher.embed_documents(["first"]))
    await begun(held)
    given_up = asyncio.create_task(batcher.embed_documents(["given up"]))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert batcher.waiting == 0
    held.let_go.set()
    await first
    assert held.calls == [["first"]]


async def test_cancelling_one_caller_of_a_call_leaves_the_other_its_answer(make_batcher, held):
    batcher = make_batcher(held)
    first = asyncio.create_task(batcher.embed_documents(["first"]))
    await begun(held)
    pair = [asyncio.create_task(batcher.embed_documents([text])) for text in ("stays", "goes")]
    await asyncio.sleep(0)
    held.let_go.set()
    await begun(held, calls=2)
    pair[1].cancel()
    assert len(await pair[0]) == 1
    await first


async def test_waiting_longer_than_the_limit_is_an_error_that_says_so(make_batcher, held):
    batcher = make_batcher(held)
    with pytest.raises(EmbedderUnavailable, match=r"no answer within 0\.05 s"):
        await batcher.embed_documents(["slow"], timeout_s=0.05)
    held.let_go.set()
    assert len(await batcher.embed_documents(["next"])) == 1


async def test_closing_answers_what_waits_and_takes_nothing_more(make_batcher, held):
    batcher = make_batcher(held, batch_size=1)
    waiting = asyncio.create_task(batcher.embed_documents(["a", "b", "c"]))
    await begun(held)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(EmbedderUnavailable, match="closing"):
        await batcher.embed_documents(["late"])
    assert not held.closed
    held.let_go.set()
    await closing
    assert len(await waiting) == 3
    assert held.closed


async def test_the_queue_and_the_texts_are_counted(make_batcher, held, metrics):
    batcher = make_batcher(held)
    first = asyncio.create_task(batcher.embed_documents(["first"]))
    await begun(held)
    second = asyncio.create_task(batcher.embed_documents(["a", "b"]))
    await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("mnemata_embedding_queue_texts") == 2
    held.let_go.set()
    await asyncio.gather(first, second)
    assert metrics.registry.get_sample_value("mnemata_embedding_queue_texts") == 0
    assert metrics.registry.get_sample_value("mnemata_embedding_texts_total", {"kind": "document"}) == 3
