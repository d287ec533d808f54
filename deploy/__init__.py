"""How Mnemata is deployed."""
