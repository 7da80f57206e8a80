"""A process whose threads compute ends with its main thread, within a second, without an abort."""

from __future__ import annotations

import subprocess
import sys
import time

COMPUTES = """
import threading, torch, sys
def work():
    value = torch.randn(900, 900)
    while True:
        value = torch.tanh(value @ value / 900)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
{call}
import time; time.sleep(0.3)
print("main is done", flush=True)
"""
CALL = "from core.compute.clean_end import end_with_main_thread as end; end(); end()"


def run(call: str, timeout_s: float) -> int | None:
    """Exit code, or None where it had to be killed."""
    process = subprocess.Popen([sys.executable, "-c", COMPUTES.format(call=call)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "main is done\n"
    end = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    code = process.poll()
    process.kill()
    process.wait()
    return code


def test_it_ends_with_its_main_thread() -> None:
    assert run(CALL, 10) == 0


def test_without_it_the_process_waits_for_its_threads() -> None:
    assert run("", 2) is None
