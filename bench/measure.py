"""What a process and its children cost, read from /proc (Linux only)."""

import os
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def process_tree(pid: int) -> list[int]:
    """Return `pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(stat_fields(int(entry.name))[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    tree = [pid]
    for member in tree:
        tree.extend(children.get(member, []))
    return tree


def cpu_seconds(*pids: int) -> float:
    """Return the processor time that the trees of `pids` have used, user and system.

    Children that ended are counted through the parent that reaped them. The kernel counts in
    ticks (usually 10 ms), so take differences over a second or more.
    """
    ticks = 0
    for pid in pids:
        for member in process_tree(pid):
            try:
                ticks += sum(int(field) for field in stat_fields(member)[11:15])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return ticks / TICKS_PER_SECOND


def wait_until_idle(*pids: int, timeout_seconds: float = 10) -> None:
    """Return once the trees of `pids` use less than a tenth of a core, or the time is up.

    Load ends with requests in flight, whose work would otherwise count for the next sample.
    """
    deadline = time.monotonic() + timeout_seconds
    used = cpu_seconds(*pids)
    while time.monotonic() < deadline:
        time.sleep(0.2)
        before, used = used, cpu_seconds(*pids)
        if used - before <= 0.02:
            return


def memory_mib(pid: int) -> float:
    """Return the proportional set size of the tree of `pid`: shared pages count in part."""
    kib = 0
    for member in process_tree(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third (state) on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
