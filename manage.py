#!/usr/bin/env python
"""Django's command line, with the database of the settings running."""

import sys

from llmring_site import startup


def main() -> None:
    from django.core.management import execute_from_command_line

    with startup.exit_on_config_error():
        startup.use_database()
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
