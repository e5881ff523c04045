"""Reading and changing the answers of upstreams."""
