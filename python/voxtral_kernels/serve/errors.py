"""What is refused, as HTTP and WebSocket clients read it."""

from __future__ import annotations

import math
from typing import Any

# Of OpenAI's errors, by status.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refused(Exception):  # noqa: N818 - it is what became of a request
    """A request that is not served.

    Args:
        status: HTTP's; 4xx: the client must change something, 5xx: it may come again.
        message: A sentence for people.
        code: The same for programs.
        param: The field that it is about.
        retry_s: When it may come again.
    """

    def __init__(
        self, status: int, message: str, *, code: str, param: str | None = None, retry_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_s = status, message, code, param, retry_s

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's form."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        wait = {} if self.retry_s is None else {"retry-after": str(math.ceil(self.retry_s))}
        return wait | ({"www-authenticate": "Bearer"} if self.status == 401 else {})
