"""Reading requests. A bad request is refused before anything is done; the answer names the field and the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from flask import Request
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected

from shared.core.errors import CreditRefreshError
from shared.edge.bodies import Body

B = TypeVar("B", bound=Body)

BODY_BYTES_MAX = 2_000_000  # enough for a thousand of the longest user ids


class RequestError(CreditRefreshError):
    """A request is refused. `code` is stable, `field` names what is wrong in it, `headers` are those of the answer."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.field = field
        self.headers = dict(headers or {})
        super().__init__(message)


def check_path(environ: Mapping[str, str]) -> None:
    """Refuse a path that begins with two slashes: a browser takes `//host/path` for an address on another host.

    Only the WSGI environment has both slashes; `request.path` has one. Raises RequestError.
    """
    if environ.get("PATH_INFO", "").startswith("//"):
        raise RequestError(404, "not_found", "a path begins with one slash")


def check_method(request: Request, methods: Sequence[str]) -> None:
    """Refuse any other method. Raises RequestError."""
    if request.method not in methods:
        message = f"{request.method} is not possible here; use {' or '.join(methods)}"
        raise RequestError(405, "method_not_allowed", message, headers={"Allow": ", ".join(methods)})


def read_body(request: Request, kind: type[B], *, emulated: bool) -> B:
    """Read the request's body as this kind. An empty body counts as {}. Raises RequestError.

    `emulated`: the database is an emulator, so the request may set the clock.
    """
    data = _read_bytes(request)
    return _validate(lambda: kind.model_validate_json(data if data.strip() else b"{}"), emulated=emulated)


def read_query(request: Request, kind: type[B], *, emulated: bool) -> B:
    """Read the request's query as this kind. If a key is repeated, its first value counts. Raises RequestError."""
    asked = request.args.to_dict()
    if "asOf" in asked:
        asked["asOf"] = asked["asOf"].replace(" ", "+")  # in a query a + that is not escaped, as in +00:00, is a space
    return _validate(lambda: kind.model_validate(asked), emulated=emulated)


def _validate(read: Callable[[], B], *, emulated: bool) -> B:
    """What `read` gives. Its errors, and a clock where none may be set, become a RequestError."""
    try:
        body = read()
    except ValidationError as exc:
        raise _request_error(exc) from exc
    if body.as_of is not None and not emulated:
        raise RequestError(400, "as_of_refused", "asOf is honoured on the emulator only; leave it out", "asOf")
    return body


def _read_bytes(request: Request) -> bytes:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise body_too_large()
    data = bytearray()
    try:
        while chunk := request.stream.read(BODY_BYTES_MAX + 1 - len(data)):
            data += chunk
    except ClientDisconnected:
        raise body_cut_off() from None
    if len(data) > BODY_BYTES_MAX:
        raise body_too_large()
    return bytes(data)


def body_too_large() -> RequestError:
    return RequestError(400, "body_too_large", f"the body is larger than {BODY_BYTES_MAX} bytes")


def body_cut_off() -> RequestError:
    return RequestError(400, "body_cut_off", "the body ended before its Content-Length")


_CODES = {
    "json_invalid": "invalid_json",
    "model_type": "not_an_object",
    "extra_forbidden": "unknown_field",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "too_short": "out_of_range",
    "too_long": "out_of_range",
    "string_too_long": "out_of_range",
    "string_too_short": "out_of_range",
    "value_error": "invalid_value",
    "timezone_aware": "invalid_value",
}


def _request_error(exc: ValidationError) -> RequestError:
    """The error for the first problem. Its message never repeats the body."""
    problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    code = _CODES.get(problem["type"], "wrong_type")
    field = ".".join(str(part) for part in problem["loc"])[:100] or None
    message = problem["msg"].removeprefix("Value error, ")[:300]
    text = {"invalid_json": "the body is not JSON", "not_an_object": "the body must be a JSON object"}.get(
        code, message
    )
    return RequestError(400, code, text if field is None else f"{field}: {text}", field)
