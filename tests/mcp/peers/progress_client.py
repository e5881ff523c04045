"""The official SDK's client follows a call: `python progress_client.py VERSION URL KEY`.

VERSION is `1` or `2`. Prints the steps that were reported, and the text of the result.
"""

import asyncio
import json
import sys

from sdk_session import connected

version, url, key = sys.argv[1:]
steps: list[list[float]] = []


async def note(progress: float, total: float | None, message: str | None) -> None:
    steps.append([progress, total])


async def main() -> None:
    async with connected(version, url, key) as client:
        result = await client.call_tool("calc__steps", {"count": 3}, progress_callback=note)
    print(json.dumps({"steps": steps, "text": result.content[0].text}))


asyncio.run(main())
