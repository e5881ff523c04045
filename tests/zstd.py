"""The module `zstd` of Python 3.14, or what earlier ones install for it."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
