"""The cursor of the direct refresh: opaque to the caller, it holds the last user and the number of the next page."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from shared.edge.requests import RequestError
from shared.store.job_documents import is_document_id

NUMBER_MAX = 2**53  # many JSON readers lose precision beyond it


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The start of a page: it begins after the user `after`, and is the `number`-th page of a sequence."""

    after: str | None = None
    number: int = 1

    @classmethod
    def parse(cls, text: str | None) -> PagePosition:
        """Read a cursor that we gave out. Raises RequestError for any other text."""
        if text is None:
            return cls()
        try:
            number, user_id = json.loads(base64.urlsafe_b64decode(text.encode()))
            str(user_id).encode()  # Firestore refuses lone surrogates
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise _bad_cursor() from None
        numbered = type(number) is int and 2 <= number <= NUMBER_MAX
        if not numbered or not isinstance(user_id, str) or not is_document_id(user_id):
            raise _bad_cursor()
        return cls(user_id, number)

    def next_cursor(self, after: str) -> str:
        """The cursor of the page after that user."""
        return base64.urlsafe_b64encode(json.dumps([self.number + 1, after]).encode()).decode()


def _bad_cursor() -> RequestError:
    return RequestError(400, "invalid_value", "cursor: not one this function gave out; leave it out to begin", "cursor")
