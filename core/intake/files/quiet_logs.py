"""Keep libraries from writing what files say to logs and warnings, where it would carry identifiers."""

from __future__ import annotations

import logging
import traceback
import warnings

from pydicom import config


def silence_pydicom() -> None:
    """Drop pydicom's log records and warnings, process-wide; problems reach the user as refusals and notes instead."""
    config.settings.reading_validation_mode = config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
    logger = logging.getLogger("pydicom")
    logger.propagate = False
    logger.handlers = [logging.NullHandler()]


class _WithoutTexts(logging.Filter):
    """Leaves of an error its kind and the lines of code it passed through; its text may quote a file."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__))
            record.exc_info, record.exc_text = None, f"{frames}{type(error).__name__} (its text is not logged)"
        return True


def keep_texts_of_errors_out_of_logs() -> None:
    """Log errors that no page foresaw without their texts, process-wide. Streamlit writes them to the server's log."""
    logger = logging.getLogger("streamlit.error_util")
    if not any(isinstance(found, _WithoutTexts) for found in logger.filters):
        logger.addFilter(_WithoutTexts())
