"""The contestants: each is given the same vectors, texts and users, and asked the same questions."""
