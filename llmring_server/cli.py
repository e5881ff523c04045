"""`python -m llmring_server.cli`, which is `llmring-server`."""

from llmring_site.cli import server

if __name__ == "__main__":
    server()
