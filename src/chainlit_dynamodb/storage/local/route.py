"""The route of the running Chainlit server that hands out the files of `LocalStorageClient`.

Chainlit answers every path it does not know with its page, so the route must stand in front of that. It is
set when a Chainlit server is already loaded in this process, and never loads one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from chainlit_dynamodb.storage.headers import checked_mime
from chainlit_dynamodb.storage.local.open_clients import FileServer, open_clients
from chainlit_dynamodb.storage.local.signed_urls import FILES_PATH

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROUTE_NAME: Final = "chainlit-dynamodb-files"

# What a browser may show without running anything in it; all else is only ever saved.
_SHOWN_TYPES: Final = {"application/json", "application/pdf", "text/csv", "text/markdown", "text/plain"}
_SHOWN_FAMILIES: Final = {"audio", "image", "video"}

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-cache",
    # Keeps Chainlit's gzip away, which would take the length from files and break ranges.
    "Content-Encoding": "identity",
}


def register_files_route() -> bool:
    """Set the route on the Chainlit server of this process, once.

    Returns:
        Whether the route is set; it is not while no Chainlit server is loaded.
    """
    server = sys.modules.get("chainlit.server")
    app = getattr(server, "app", None)
    if server is None or app is None:
        return False
    if any(getattr(route, "name", None) == ROUTE_NAME for route in app.router.routes):
        return True

    from starlette.routing import Route  # noqa: PLC0415 - comes with the server

    path = f"{server.config.run.root_path or ''}{FILES_PATH}/{{token}}"
    app.router.routes.insert(0, Route(path, serve_file, methods=["GET"], name=ROUTE_NAME))
    return True


async def serve_file(request: Request) -> Response:
    """Answer a read URL.

    Args:
        request: The request for `/chainlit-dynamodb/files/{token}`.

    Returns:
        The file or the asked range of it; 403 for a URL that is altered or expired, 404 for a file that is
        gone.
    """
    from starlette.responses import FileResponse, PlainTextResponse  # noqa: PLC0415 - comes with the server

    token = request.path_params["token"]
    for client in _clients():
        digest = await client.accepted_digest(token)
        if digest is None:
            continue
        file = await client.find(digest)
        if file is None:
            return PlainTextResponse("This file is gone.", 404, _HEADERS)
        disposition = _disposition(file.mime, file.content_disposition)
        headers = {**_HEADERS, "Content-Type": file.mime, **disposition}
        return FileResponse(file.path, headers=headers)
    return PlainTextResponse("This link has expired. Reload the chat.", 403, _HEADERS)


def _clients() -> list[FileServer]:
    if not open_clients():
        from chainlit.data import get_data_layer  # noqa: PLC0415 - only inside a Chainlit server

        # After a restart an old page may ask for a file before anything else has called the app's data layer
        # factory.
        get_data_layer()
    return open_clients()


def _disposition(mime: str, stored: str | None) -> dict[str, str]:
    if _may_be_shown(mime):
        return {"Content-Disposition": stored} if stored else {}
    _, separator, name = (stored or "").partition(";")
    return {"Content-Disposition": f"attachment{separator}{name}"}


def _may_be_shown(mime: str) -> bool:
    if checked_mime(mime) != mime:
        return False
    media_type = mime.partition(";")[0].strip().lower()
    family = media_type.partition("/")[0]
    return media_type in _SHOWN_TYPES or (family in _SHOWN_FAMILIES and "xml" not in media_type)
