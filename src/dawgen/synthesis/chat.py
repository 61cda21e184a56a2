"""A client for OpenAI-style chat completions, with the standard library only.

The key is read from the environment, sent to no other host, and is in no message and no file.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from dawgen.errors import UserError, first_line
from dawgen.machine.offline import is_offline
from dawgen.terminal.harmless import without_secrets
from dawgen.terminal.progress import say, warn

KEYS = ("DAWGEN_API_KEY", "OPENAI_API_KEY")
"""Environment variables of the key, the first that is set."""
_PATH = "/chat/completions"
_TRIES, _LONGEST_WAIT = 6, 60.0
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_MOST_BYTES = 32 << 20
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Answer:
    """What a model wrote, and the tokens that it took."""

    content: str
    prompt_tokens: int
    completion_tokens: int


class _Again(Exception):
    """A failure that may be over soon; ``wait``: seconds that the server asks for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could carry the key to another host."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        return None


@dataclass
class Chat:
    """A model behind an endpoint.

    Attributes:
        url: of the endpoint, with or without ``/chat/completions``.
        retries: how many requests had to be repeated.
        wait: seconds before the first repetition; each further wait is twice as long.
    """

    url: str
    model: str
    timeout: float = 300.0
    wait: float = 1.0
    pause: Callable[[float], object] = sleep
    retries: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, half of an IPv6 address
            sound = False
        if not sound:
            raise UserError(
                f"--teacher {without_secrets(self.url)} is no address of an API; write it as "
                "https://HOST/v1, such as http://localhost:8000/v1."
            )
        if parts.username or parts.password or parts.query:
            raise UserError(
                f"The address of the teacher, {self.address}, holds a name, a password or a "
                f"query; put the key into the environment variable {KEYS[0]} instead."
            )
        if not self.model.strip():
            raise UserError("The name of the teacher's model is empty; name it in --teacher-model.")
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise UserError(
                f"The key in {KEYS[0]} or {KEYS[1]} cannot be sent as it is; copy it again."
            )
        if self._key and parts.scheme == "http" and parts.hostname not in _LOCAL:
            warn(f"{self.address} is not encrypted, so others on the network can read the key.")

    @property
    def address(self) -> str:
        """The address without name, password and query, as it may be shown and written."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    @property
    def host(self) -> str:
        """Of the address."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def _key(self) -> str | None:
        return next((value for name in KEYS if (value := os.environ.get(name, "").strip())), None)

    def ask(self, text: str) -> Answer:
        """The model's answer to one message; failures that may be over soon are waited out.

        Raises:
            UserError: the endpoint refuses, cannot be reached, or answers no chat completion.
        """
        if is_offline():
            raise UserError("--offline and --teacher exclude each other; leave one out.")
        for number in range(_TRIES):
            try:
                return self._ask(text)
            except _Again as trouble:
                if number == _TRIES - 1:
                    raise UserError(
                        f"The teacher at {self.address} failed {_TRIES} times ({trouble}); its "
                        "answers so far are kept, and the same command goes on from there."
                    ) from None
                wait = min(max(trouble.wait or 0.0, self.wait * 2**number), _LONGEST_WAIT)
                say(f"  teacher: {trouble}; trying again in {wait:,.0f} s")
                self.retries += 1
                self.pause(wait)
        raise AssertionError

    def _ask(self, text: str) -> Answer:
        tree = self._send({"model": self.model, "messages": [{"role": "user", "content": text}]})
        try:
            content = tree["choices"][0]["message"]["content"]
            usage = tree.get("usage") or {}
            counts = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise _Again("the answer is no chat completion") from None
        if not isinstance(content, str):
            raise _Again("the answer holds no text")
        return Answer(content, *counts)

    def _send(self, body: Mapping[str, Any]) -> Any:
        path = self.url.rstrip("/")
        headers = {"Content-Type": "application/json", "User-Agent": "dawgen"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            request = urllib.request.Request(
                path if path.endswith(_PATH) else path + _PATH,
                data=json.dumps(body).encode(),
                headers=headers,
                method="POST",
            )
            opener = urllib.request.build_opener(_NoRedirect)
            with opener.open(request, timeout=self.timeout) as response:
                raw = response.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Again(f"it cannot be reached: {self._without_key(first_line(error))}") from None
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise _Again("the answer is not JSON") from None

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        """What an HTTP status means: another try, or an error of the user."""
        status = error.code
        if status in _AGAIN:
            return _Again(f"HTTP {status}", _seconds(error.headers.get("Retry-After")))
        if status in (401, 403):
            return UserError(
                f"The teacher at {self.address} refuses the key (HTTP {status}); set {KEYS[0]} or "
                f"{KEYS[1]} to a valid one."
            )
        if 300 <= status < 400:
            return UserError(
                f"The teacher at {self.address} has moved (HTTP {status}); name its new address."
            )
        return UserError(
            f"The teacher at {self.address} refuses the request (HTTP {status}"
            f"{self._reason(error)}); check the address and --teacher-model {self.model}."
        )

    def _reason(self, error: urllib.error.HTTPError) -> str:
        try:
            text = str(json.loads(error.read(_MOST_BYTES))["error"]["message"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return ""
        return f": {self._without_key(' '.join(text.split()))[:_LONGEST_REASON].rstrip('.')}"

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _seconds(text: str | None) -> float | None:
    """A Retry-After header in seconds; None for a date."""
    try:
        seconds = float(text) if text else None
    except ValueError:
        return None
    return seconds if seconds is not None and isfinite(seconds) else None
