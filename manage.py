#!/usr/bin/env python
"""Django's command line, with the database of the settings running."""

from llmring_site.cli import manage

if __name__ == "__main__":
    manage()
