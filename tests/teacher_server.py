"""A server of this machine that answers chat completions."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-do-not-show-me"


class Server:
    """Answers chat completions; ``faults`` go out first: a status, or a raw body."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, Any], str | None]] = []
        self.faults: list[int | bytes] = []
        self.retry_after = "0"
        self.answer = self.good
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((body, self.headers["Authorization"]))
                fault = server.faults.pop(0) if server.faults else 200
                status = fault if isinstance(fault, int) else 200
                text = body["messages"][0]["content"]
                reply = json.dumps(
                    {
                        "choices": [{"message": {"content": server.answer(text)}}],
                        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
                    }
                ).encode()
                if status != 200:
                    why = f"no key {KEY} here"
                    reply = json.dumps({"error": {"message": why}}).encode()
                if isinstance(fault, bytes):
                    reply = fault
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                if status == 429:
                    self.send_header("Retry-After", server.retry_after)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def good(self, text: str) -> str:
        """As many rows as are asked for, of the label that is asked for."""
        found = re.search(r'Write (\d+) new rows? with the label "(\w+)"', text)
        assert found
        n = len(self.requests)
        lines = (
            {"text": f"row {n} {i} which is {found[2]} and new", "mood": found[2]}
            for i in range(int(found[1]))
        )
        return "\n".join(json.dumps(line) for line in lines)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
