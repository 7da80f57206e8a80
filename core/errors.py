"""The one error a person may see."""

from __future__ import annotations


class UserFacingError(Exception):
    """Bad input or state, told in three plain sentences.

    The sentences never hold a patient identifier, a file's content, a Python type or a traceback.

    >>> error = UserFacingError("The folder holds no CT image.", "at least two CT slices", "Choose another folder.")
    >>> print(error)
    The folder holds no CT image. Expected: at least two CT slices. Choose another folder.
    """

    def __init__(self, found: str, expected: str, next_step: str) -> None:
        self.found = found
        self.expected = expected
        self.next_step = next_step
        super().__init__(f"{found.rstrip('.')}. Expected: {expected.rstrip('.')}. {next_step.rstrip('.')}.")

    def where(self, place: str) -> UserFacingError:
        """The same error, what was found told of a place: "One of 2 tables: the table holds no event."."""
        return UserFacingError(f"{place}: {self.found[:1].lower()}{self.found[1:]}", self.expected, self.next_step)
