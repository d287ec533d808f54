"""Many clients at once, more of them step by step: how much is answered, how quickly, and what is exhausted first."""
