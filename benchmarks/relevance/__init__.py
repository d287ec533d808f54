"""How well searches find what was judged relevant, measured through the REST door of a real platform."""
