"""`sfumato mcp` as assistants use it: the official client, over real pipes, on the real engine."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent
from PIL import Image

from gui.library.job import JobStatus
from gui.library.picture_record import read_record
from gui.library.queue import PAUSED, JobStore
from gui.library.queue_file import is_run

ROOT = Path(__file__).parents[2]
STANDIN = "tests.engine.standins:backend"
Talk = Callable[[Client], Awaitable[Any]]


class Home:
    """A person's folders, and an assistant that is at home there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue = folder / "data" / "queue.sqlite3"

    def talk(self, talk: Talk, *, standin: bool = True) -> Any:
        """Have a client talk with a server of its own, which has ended afterwards."""
        environment = {
            **os.environ,
            "SFUMATO_HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "SFUMATO_ENGINE_STANDIN": STANDIN if standin else "",
        }
        server = StdioServerParameters(
            command=sys.executable, args=["-P", "-m", "gui", "mcp"], env=environment, cwd=ROOT
        )

        async def session() -> Any:
            async with Client(server) as client:
                return await talk(client)

        return asyncio.run(asyncio.wait_for(session(), 200))

    def store(self, *, own: bool = False) -> JobStore:
        self.queue.parent.mkdir(parents=True, exist_ok=True)
        return JobStore(self.queue, own=own)

    def jobs(self) -> list[tuple[str, JobStatus]]:
        store = self.store()
        found = [(job.request.prompt, job.status) for job in store.jobs()]
        store.close()
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def sentence(result: CallToolResult) -> str:
    """What a refused call says: one sentence or two, and nothing else."""
    (content,) = result.content
    assert result.is_error and isinstance(content, TextContent)
    assert content.text.endswith(".") and "\n" not in content.text, content.text
    assert "Traceback" not in content.text
    return content.text


def opened(content: Any) -> Image.Image:
    assert isinstance(content, ImageContent)
    return Image.open(io.BytesIO(base64.b64decode(content.data)))


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_pictures_are_made_found_looked_at_and_started_from(home: Home) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def talk(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(listed) == {
            "generate", "upscale", "search_history", "show_picture", "list_models",
        }  # fmt: skip
        for tool in listed.values():
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.output_schema is not None and tool.description

        def answer(name: str, result: CallToolResult) -> Any:
            """In both forms, and as the schema says."""
            assert not result.is_error, result.content
            first = result.content[0]
            assert isinstance(first, TextContent)
            assert json.loads(first.text) == result.structured_content
            jsonschema.validate(result.structured_content, listed[name].output_schema or {})
            return result.structured_content

        models = answer("list_models", await client.call_tool("list_models"))
        assert models["models"] == [{"name": "Sfumato Starter", "in_use": True}]
        assert "Drawings x4" in models["upscalers"]

        wish = {"prompt": "a red apple", "steps": 3, "seed": 5, "scheduler": "Euler a"}
        made = await client.call_tool("generate", wish, progress_callback=hear)
        (apple,) = answer("generate", made)["pictures"]
        record = read_record(Path(apple["path"]))
        assert record is not None and record.request.scheduler == "Euler a"
        assert (apple["seed"], apple["number"], apple["prompt"]) == (5, 1, "a red apple")
        assert Path(apple["path"]).is_relative_to(home.folder / "Pictures")
        with Image.open(apple["path"]) as whole:
            assert opened(made.content[1]).size == whole.size == (apple["width"], apple["height"])
        link = made.content[2]
        assert isinstance(link, ResourceLink)
        assert (link.uri, link.mime_type) == (Path(apple["path"]).as_uri(), "image/png")

        begun = {"prompt": "a {blue|red} boat", "steps": 2, "start_picture": 1, "strength": 0.7}
        boats = answer("generate", await client.call_tool("generate", begun))["pictures"]
        assert [boat["prompt"] for boat in boats] == ["a blue boat", "a red boat"]
        record = read_record(Path(boats[0]["path"]))
        assert record is not None and record.request.start_image is not None
        assert record.request.start_image.strength == 0.7

        found = answer(
            "search_history", await client.call_tool("search_history", {"words": "boat"})
        )
        assert found["found"] == 2
        assert {each["prompt"] for each in found["pictures"]} == {"a red boat", "a blue boat"}
        shown = await client.call_tool("show_picture", {"picture": 1, "longest": 64})
        answer("show_picture", shown)
        assert max(opened(shown.content[1]).size) == 64

        # As resources: whole, and only what is in the gallery.
        resources = (await client.list_resources()).resources
        assert len(resources) == 3
        (read,) = (await client.read_resource(link.uri)).contents
        assert base64.b64decode(read.blob) == Path(apple["path"]).read_bytes()  # type: ignore[union-attr]
        for uri in ("file:///etc/passwd", Path(__file__).as_uri(), "http://localhost/x", "x"):
            with pytest.raises(MCPError, match="no picture of the gallery"):
                await client.read_resource(uri)

    home.talk(talk, standin=False)
    figures = [done for done, _, _ in told]
    assert figures == sorted(set(figures)) and {total for _, total, _ in told} == {1.0}
    assert any(re.fullmatch(r"step \d of 3", text or "") for *_, text in told)
    assert home.jobs() == [
        ("a red apple", JobStatus.DONE),
        ("a blue boat", JobStatus.DONE),
        ("a red boat", JobStatus.DONE),
    ]  # the person's own queue
    until(lambda: not is_run(home.queue))


def test_what_makes_no_sense_is_refused_in_one_sentence(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    noise = base64.b64encode(bytes(range(256)) * 4).decode()
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("generate", {}, "needs “prompt”"),
        ("generate", {"prompt": " "}, "There is no prompt"),
        ("generate", {"prompt": 7}, "The prompt must be text"),
        ("generate", {"prompt": "x", "steps": 0}, "“steps” must be from 1 to 150"),
        ("generate", {"prompt": "x", "steps": "many"}, "“steps” must be a whole number"),
        ("generate", {"prompt": "x", "width": 10**9}, "The width must be"),
        ("generate", {"prompt": "x", "scheduler": "no such"}, "no scheduler called “no such”"),
        ("generate", {"prompt": "x", "count": 9}, "“count” must be from 1 to 8"),
        ("generate", {"prompt": "{a|b|c}", "count": 4}, "more than 8 pictures"),
        ("generate", {"prompt": "x", "model": str(tmp_path)}, "no model called"),
        ("generate", {"prompt": "x", "model": "../m"}, "no model called"),
        ("generate", {"prompt": f"<lora:{secret}:1> x"}, "A LoRA is named by a path"),
        ("generate", {"prompt": "x", "output_file": str(secret)}, "no argument of generate"),
        ("generate", {"prompt": "x", "upscaler": str(secret)}, "no argument of generate"),
        ("generate", {"prompt": "x", "safety_checker": False}, "no argument of generate"),
        ("generate", {"prompt": "x", "start_picture": 9}, "no picture 9 in the gallery"),
        ("generate", {"prompt": "x", "start_picture": str(secret)}, "must be a whole number"),
        ("generate", {"prompt": "x", "start_picture_data": str(secret)}, "picture"),
        ("generate", {"prompt": "x", "start_picture_data": noise}, "no picture that Sfumato"),
        ("generate", {"prompt": "x", "strength": 0.5}, "needs a picture to start from"),
        ("generate", {"prompt": "x", "start_picture_data": noise, "strength": 2}, "from 0 to 1"),
        ("generate", {"prompt": "x" * 40_000}, "may have up to"),
        ("upscale", {}, "There is no picture"),
        ("upscale", {"picture": 1, "picture_data": noise}, "not both"),
        ("upscale", {"picture": 1, "factor": 3}, "“factor” must be 2 or 4"),
        ("upscale", {"picture_data": str(secret)}, "picture"),
        ("show_picture", {"picture": True}, "must be a whole number"),
        ("show_picture", {"picture": 10**30}, "no picture"),
        ("search_history", {"since": "soon"}, "is no day"),
        ("search_history", {"limit": 1000}, "“limit” must be from 1 to 50"),
        ("search_history", {"kind": "stolen"}, "“kind” must be"),
    ]  # fmt: skip

    async def talk(client: Client) -> None:
        for name, arguments, says in refusals:
            assert says in sentence(await client.call_tool(name, arguments)), (name, arguments)
        with pytest.raises(MCPError, match="no tool called 'draw'"):
            await client.call_tool("draw", {})
        store = home.store()
        store.set_option(PAUSED, True)
        store.close()
        assert "is paused" in sentence(await client.call_tool("generate", {"prompt": "x"}))

    home.talk(talk)
    assert home.jobs() == [] and not is_run(home.queue)
    assert secret.is_file()


def test_a_call_that_is_cancelled_leaves_nothing(home: Home) -> None:
    async def talk(client: Client) -> None:
        began = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            del total, message
            if progress > 0:
                began.set()

        wish = {"prompt": "steps=5000 sleep=0.02"}
        call = asyncio.create_task(client.call_tool("generate", wish, progress_callback=hear))
        await began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # What is asked for next does not wait for the five thousand steps.
        after = await client.call_tool("generate", {"prompt": "steps=1"})
        assert not after.is_error

    home.talk(talk)
    assert home.jobs()[-1] == ("steps=1", JobStatus.DONE)
    assert [status for _, status in home.jobs()[:-1]] in ([], [JobStatus.CANCELLED])
    assert len(list((home.folder / "Pictures").rglob("*.png"))) == 1


def test_an_assistant_that_goes_takes_its_requests_along(home: Home) -> None:
    async def talk(client: Client) -> None:
        began = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            del total, message
            if progress > 0:
                began.set()

        calls.extend(
            asyncio.create_task(
                client.call_tool("generate", {"prompt": prompt}, progress_callback=hear)
            )
            for prompt in ("steps=5000 sleep=0.02", "waits")
        )
        await began.wait()

    calls: list[asyncio.Task[CallToolResult]] = []
    home.talk(talk)
    assert all(isinstance(call.exception(), MCPError) for call in calls)
    until(lambda: not is_run(home.queue))
    assert {status for _, status in home.jobs()} <= {JobStatus.CANCELLED}


def test_where_the_window_is_open_it_makes_them(home: Home, tmp_path: Path) -> None:
    """The window is played here: it owns the queue, and nobody else may run it."""
    window = home.store(own=True)
    assert window.is_owner
    picture = tmp_path / "Pictures" / "made.png"
    picture.parent.mkdir()

    def play() -> None:
        job = until(lambda: next(iter(window.jobs()), None))
        claimed = window.claim(job.id)
        assert claimed is not None
        Image.new("RGB", (16, 8), "red").save(picture)
        window.update(replace(claimed, status=JobStatus.DONE, pictures=[str(picture)]))

    async def talk(client: Client) -> None:
        call = asyncio.create_task(client.call_tool("generate", {"prompt": "a fox"}))
        await asyncio.sleep(0)
        while not window.jobs():
            await asyncio.sleep(0.02)
        play()
        result = await call
        assert not result.is_error
        assert result.structured_content["pictures"][0]["path"] == str(picture)
        assert opened(result.content[1]).size == (16, 8)

    home.talk(talk)
    assert window.is_owner
    window.close()


def test_pictures_are_small_enough_for_clients(tmp_path: Path) -> None:
    from gui.mcp_server.contents import small_jpeg

    path = tmp_path / "noise.png"
    Image.effect_noise((1500, 1000), 100).convert("RGBA").save(path)
    for longest, budget in ((1024, 700_000), (1024, 40_000), (64, 700_000)):
        data = base64.b64decode(small_jpeg(path, longest, budget))
        with Image.open(io.BytesIO(data)) as small:
            assert max(small.size) <= longest and small.size[0] > small.size[1]
            assert len(data) <= budget


def test_the_configuration_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```json\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    shown = json.loads(block[1])["mcpServers"]["sfumato"]
    assert shown == {"command": "/usr/local/bin/sfumato", "args": ["mcp"]}
