"""Keep pydicom from writing element values to logs and warnings, where they would carry identifiers."""

from __future__ import annotations

import logging
import warnings

from pydicom import config


def silence_pydicom() -> None:
    """Drop pydicom's log records and warnings, process-wide; problems reach the user as refusals and notes instead."""
    config.settings.reading_validation_mode = config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
    logger = logging.getLogger("pydicom")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]
