"""The file server that the worked example of docs/storage.md talks to.

    python file_server.py PORT FOLDER SECRET

PUT and DELETE need the secret, GET a signature made with it. A file is replaced in one step, and keeps its headers.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import time
import uuid
from pathlib import Path

from aiohttp import web


class FileServer:
    """Files in a folder; which of them is which is known to this process only."""

    def __init__(self, folder: Path, secret: str) -> None:
        self._folder = folder
        self._secret = secret
        self._files: dict[str, tuple[Path, dict[str, str]]] = {}

    def app(self) -> web.Application:
        """Return the three routes."""
        app = web.Application()
        app.router.add_put("/{name}", self.put)
        app.router.add_delete("/{name}", self.delete)
        app.router.add_get("/{name}", self.get)
        return app

    async def put(self, request: web.Request) -> web.Response:
        """Take a file; with `If-None-Match: *`, only a new one."""
        self._check_caller(request)
        path = self._folder / uuid.uuid4().hex
        with path.open("wb") as file:
            async for chunk in request.content.iter_chunked(64 * 1024):
                file.write(chunk)
        if request.headers.get("If-None-Match") == "*" and request.match_info["name"] in self._files:
            raise web.HTTPPreconditionFailed
        kept = ("Content-Type", "Content-Disposition")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        self._files[request.match_info["name"]] = path, headers
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a file."""
        self._check_caller(request)
        if self._files.pop(request.match_info["name"], None) is None:
            raise web.HTTPNotFound
        return web.Response(status=204)

    async def get(self, request: web.Request) -> web.FileResponse:
        """Hand a file out, or a part of it."""
        self._check_signature(request)
        if request.match_info["name"] not in self._files:
            raise web.HTTPNotFound
        path, headers = self._files[request.match_info["name"]]
        return web.FileResponse(path, headers=headers)

    def _check_caller(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            raise web.HTTPUnauthorized

    def _check_signature(self, request: web.Request) -> None:
        signed = f"{request.match_info['name']}?expires={request.query.get('expires')}"
        signature = hmac.digest(self._secret.encode(), signed.encode(), hashlib.sha256).hex()
        if not hmac.compare_digest(signature, request.query.get("sig", "")):
            raise web.HTTPForbidden
        if int(request.query["expires"]) <= time.time():
            raise web.HTTPForbidden


if __name__ == "__main__":
    _, port, folder, secret = sys.argv
    web.run_app(FileServer(Path(folder), secret).app(), host="127.0.0.1", port=int(port))
