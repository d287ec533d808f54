"""Many ids looked up at once give what they give one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mnemata.index.local.column_ids import IdSlots

# Few values for each half, so that ids share their lower half often.
_KEYS = st.builds(
    lambda high, low: high << 64 | low, st.integers(0, 3), st.sampled_from([0, 1, 2**63, 2**64 - 1])
)


@given(st.sets(_KEYS), st.sets(_KEYS), st.sets(_KEYS), st.lists(_KEYS))
def test_ids_looked_up_at_once_are_found_as_one_by_one(sealed, later, dropped, asked):
    ids = IdSlots()
    keys = sorted(sealed)
    high = np.array([key >> 64 for key in keys], np.uint64)
    low = np.array([key & (2**64 - 1) for key in keys], np.uint64)
    ids.seal(high, low, np.arange(len(keys), dtype=np.int64))
    for slot, key in enumerate(sorted(later), start=len(keys)):
        ids.put(key, slot)
    for key in dropped:
        ids.drop(key)
    one_by_one = [ids.find(key) for key in asked]
    assert ids.slots(asked).tolist() == [-1 if slot is None else slot for slot in one_by_one]
