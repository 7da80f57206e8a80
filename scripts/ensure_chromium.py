"""Find a system Chromium for the browser tests, or install Debian's; say loudly when there is none.

    python -m scripts.ensure_chromium

Exit status 0 where browser tests can run or may be skipped, 1 in CI without a browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of a system Chromium or Chrome, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    if find_chromium():
        return 0
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"], check=False
        )
    if find_chromium():
        return 0
    print(
        "NO CHROMIUM FOUND: browser tests will be SKIPPED. Install the package 'chromium' to run them.", file=sys.stderr
    )
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    raise SystemExit(main())
