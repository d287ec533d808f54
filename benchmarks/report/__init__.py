"""The page of all measurements, made of the JSON that the benches leave."""
