"""What a request asks for, and what of it goes upstream."""
