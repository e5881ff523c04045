"""People: registration, login, proofs of addresses, and changes of accounts."""
