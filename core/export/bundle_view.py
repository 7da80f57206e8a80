"""The part of a model bundle that an export reads."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from core.records import Task


class BundleView(Protocol):
    """task; fusion name; SHA-256 of the bundle; trained on virtual patients?; training Kaplan-Meier."""

    @property
    def task(self) -> Task: ...

    @property
    def fusion(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def virtual(self) -> bool: ...

    @property
    def baseline(self) -> pd.DataFrame: ...
