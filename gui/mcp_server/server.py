"""The protocol's side, on the official SDK: tools, pictures as resources, progress, cancelling."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import mimetypes
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from gui import __version__
from gui.errors import SfumatoError, as_sfumato_error
from gui.files import read_bytes
from gui.mcp_server.arguments import checked
from gui.mcp_server.contents import BUDGET, LONGEST, small_jpeg
from gui.mcp_server.desk import Desk, Shown
from gui.mcp_server.tools import ToolText, tools
from gui.serve.messages import ServiceOptions

log = logging.getLogger(__name__)
Context = ServerRequestContext[Any, Any]
_LISTED = 20
"""Pictures that are listed as resources, the newest."""
_MOST_BYTES = 48 * 2**20
"""Of a file that is handed over whole."""
INSTRUCTIONS = (
    "Sfumato makes pictures on this computer with Stable Diffusion. Describe what is to be seen, "
    "as for a caption. Show the person the pictures that come back, and tell their paths."
)


class Assistant:
    """One client's server.

    Args:
        options: tells what the person has set.
    """

    def __init__(self, options: Callable[[], ServiceOptions]) -> None:
        self._options = options
        self._desk: Desk | None = None
        self._tools = {tool.name: tool for tool in tools()}
        self._does: dict[str, Callable[[Context, dict[str, Any]], Awaitable[Any]]] = {
            "generate": self._generate,
            "upscale": self._upscale,
            "search_history": self._search,
            "show_picture": self._show,
            "list_models": self._list_models,
        }

    def server(self) -> Server[Any]:
        return Server(
            "sfumato",
            version=__version__,
            title="Sfumato",
            instructions=INSTRUCTIONS,
            lifespan=self._life,
            on_list_tools=self._list_tools,
            on_call_tool=self._call,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
        )

    @property
    def desk(self) -> Desk:
        assert self._desk is not None
        return self._desk

    @asynccontextmanager
    async def _life(self, _server: Server[Any]):  # type: ignore[no-untyped-def]
        self._desk = Desk(self._options)
        await self._desk.start()
        try:
            yield {}
        finally:
            with anyio.CancelScope(shield=True):
                await self._desk.close()

    # -- tools --------------------------------------------------------------------------------

    async def _list_tools(self, _context: Context, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(each) for each in self._tools.values()])

    async def _call(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool called {params.name[:60]!r}.")
        try:
            return await self._does[tool.name](context, checked(tool, params.arguments))
        except SfumatoError as error:
            return _refused(error)
        except MCPError:
            raise
        except Exception as error:
            log.exception("%s failed", tool.name)
            return _refused(as_sfumato_error(error))

    async def _generate(self, context: Context, given: dict[str, Any]) -> types.CallToolResult:
        return await _pictures(await self.desk.generate(given, context.session.report_progress))

    async def _upscale(self, context: Context, given: dict[str, Any]) -> types.CallToolResult:
        return await _pictures(await self.desk.upscale(given, context.session.report_progress))

    async def _search(self, _context: Context, given: dict[str, Any]) -> types.CallToolResult:
        shown, found = await self.desk.search(given)
        return _answer({"pictures": [each.facts for each in shown], "found": found})

    async def _show(self, _context: Context, given: dict[str, Any]) -> types.CallToolResult:
        shown = await self.desk.picture(given["picture"])
        return await _pictures([shown], given.get("longest", LONGEST))

    async def _list_models(self, _context: Context, _given: dict[str, Any]) -> types.CallToolResult:
        return _answer(await self.desk.installed())

    # -- pictures as resources ----------------------------------------------------------------

    async def _list_resources(self, _context: Context, _params: Any) -> types.ListResourcesResult:
        shown = await self.desk.newest(_LISTED)
        return types.ListResourcesResult(
            resources=[types.Resource(**_resource(each)) for each in shown]
        )

    async def _read_resource(
        self, _context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """The whole file of a picture of the gallery; nothing else is opened."""
        try:
            parts = urlsplit(str(params.uri))
            local = parts.scheme == "file" and parts.netloc in ("", "localhost")
            path = await self.desk.gallery_file(unquote(parts.path) if local else "")
            data = await asyncio.to_thread(read_bytes, path, _MOST_BYTES)
        except (SfumatoError, OSError, ValueError) as error:
            told = as_sfumato_error(error)
            raise MCPError(types.INVALID_PARAMS, told.message) from error
        blob = base64.b64encode(data).decode("ascii")
        content = types.BlobResourceContents(
            uri=str(params.uri), mime_type=_mime(path.name), blob=blob
        )
        return types.ReadResourceResult(contents=[content])


def serve(options: Callable[[], ServiceOptions]) -> None:
    """Answer a client on stdin and stdout until it goes.

    Raises:
        SfumatoError: the queue cannot be used.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)

    async def talk() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        server = Assistant(options).server()
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(talk())


def _tool(text: ToolText) -> types.Tool:
    return types.Tool(
        name=text.name,
        title=text.title,
        description=text.description,
        input_schema=text.inputs,
        output_schema=text.outputs,
        annotations=types.ToolAnnotations(
            read_only_hint=not text.changes, destructive_hint=False, open_world_hint=False
        ),
    )


def _refused(error: SfumatoError) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=error.message)], is_error=True)


def _answer(data: dict[str, Any], *more: types.ContentBlock) -> types.CallToolResult:
    """An answer in both forms: clients that do not read structures read the text."""
    text = types.TextContent(text=json.dumps(data, ensure_ascii=False))
    return types.CallToolResult(content=[text, *more], structured_content=data)


async def _pictures(shown: list[Shown], longest: int = LONGEST) -> types.CallToolResult:
    more: list[types.ContentBlock] = []
    budget = BUDGET // max(1, len(shown))
    for each in shown:
        data = await asyncio.to_thread(small_jpeg, Path(each.path), longest, budget)
        more.append(types.ImageContent(data=data, mime_type="image/jpeg"))
        more.append(types.ResourceLink(**_resource(each)))
    return _answer({"pictures": [each.facts for each in shown]}, *more)


def _resource(shown: Shown) -> dict[str, Any]:
    path = Path(shown.path)
    prompt = " ".join(str(shown.facts.get("prompt") or "").split())
    return {
        "uri": path.as_uri(),
        "name": path.name,
        "description": prompt[:200] or None,
        "mime_type": _mime(path.name),
    }


def _mime(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
