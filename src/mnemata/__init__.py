"""Mnemata: a memory platform. `import mnemata` loads nothing heavy."""

__version__ = "0.1.0"
