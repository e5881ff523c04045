"""Measures this server beside the older one, in the same run, on the same machine."""
