"""People: how they come in, prove addresses, and change what is theirs."""
