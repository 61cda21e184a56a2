"""Requests whose bodies are too large, or come too slowly, end before they are looked at."""

from __future__ import annotations

import asyncio
from typing import Any

from dawgen.serving.limits import Limits, Refused


class WholeBodies:
    """ASGI middleware that reads each body within the limits and then hands it on.

    Raises:
        Refused: from ``receive``, to whoever handles it.
    """

    def __init__(self, app: Any, limits: Limits, refuse: Any) -> None:
        """
        Args:
            refuse: makes an ASGI response of a :class:`Refused`.
        """
        self.app, self.limits, self.refuse = app, limits, refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except Refused as error:
            await self.refuse(error)(scope, receive, send)
            return
        if body is None:  # the client has gone
            return
        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Any:
            return next(parts, None) or await receive()

        await self.app(scope, replay, send)

    async def _read(self, scope: Any, receive: Any) -> bytes | None:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                return await self._parts(receive)
        except TimeoutError:
            raise Refused(
                408, f"The request did not arrive in {self.limits.body_seconds:g} seconds."
            ) from None

    async def _parts(self, receive: Any) -> bytes | None:
        body = bytearray()
        while True:
            part = await receive()
            if part["type"] == "http.disconnect":
                return None
            body += part.get("body", b"")
            if len(body) > self.limits.body_bytes:
                raise self._too_large()
            if not part.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> Refused:
        most = self.limits.body_bytes / 1e6
        return Refused(413, f"A request may have at most {most:g} MB; send fewer rows at once.")
