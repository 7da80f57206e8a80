"""What long work calls as it goes; both may raise, which stops the work."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and what is being done in words."""
Share = Callable[[float], None]
"""Told the share done, 0 to 1."""
