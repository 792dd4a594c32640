"""The command line as a person or a script uses it, as a real process on the real engine with a
stand-in pipeline."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gui import __version__
from gui.library.picture_record import read_record
from gui.request import PictureRequest, described_fields, value_of
from tests.support.cli_zygote import run_command

ROOT = Path(__file__).parents[2]


class Cli:
    """Runs `sfumato` from an empty folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "here"
        self.folder.mkdir()
        self.environment = {
            **os.environ,
            "SFUMATO_HOME": str(home),
            "SFUMATO_ENGINE_STANDIN": "tests.engine.standins:backend",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gui.cli.main", *arguments],
            text=True, env=self.environment, cwd=self.folder,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )  # fmt: skip

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(arguments, self.environment, self.folder)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def one_sentence(text: str) -> bool:
    lines = text.strip().splitlines()
    return len(lines) == 1 and lines[0].startswith("sfumato") and "Traceback" not in text


SWIFT = ("--seed", "7", "--step-count", "3", "--xl", "--reduce-memory", "--unet-batch-one")


class TestGenerate:
    def test_default_place_random_seed_and_path_on_stdout(self, cli: Cli) -> None:
        seeds = set()
        for _ in range(2):
            done = cli("generate", "--prompt", "a red apple", "--quiet")
            assert done.returncode == 0
            path = Path(done.stdout.strip())
            assert path.is_relative_to(cli.home / "Pictures")
            record = read_record(path)
            assert record is not None
            seeds.add(record.request.seed)
        assert len(seeds) == 2

    def test_every_flag_arrives(self, cli: Cli) -> None:
        Image.new("RGB", (8, 8)).save(cli.folder / "start.png")
        done = cli(
            "generate", "--prompt", "p", "--negative-prompt", "n", "--model", "../m",
            "--seed", "4294967295", "--steps", "7", "--guidance-scale", "3.5",
            "--scheduler", "euler A", "--compute-unit", "CPU_AND_NE", "--image", "start.png",
            "--strength", "0.25", "--count", "2", "--rng", "torch", "--disable-safety",
            "--json", "--quiet", "-o", "out/dir",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [Path(line["path"]).parent for line in lines] == [cli.folder / "out" / "dir"] * 2
        request = lines[0]["record"]["request"]
        assert [line["record"]["request"]["seed"] for line in lines] == [4294967295, 0]
        assert request["prompt"] == "p" and request["negative_prompt"] == "n"
        assert request["steps"] == 7 and request["guidance_scale"] == 3.5
        assert request["scheduler"] == "Euler a"
        assert request["compute_unit"] == "CPU_AND_NE" and request["random_source"] == "torch"
        start = request["start_image"]
        assert (start["path"], start["strength"]) == (str(cli.folder / "start.png"), 0.25)
        assert request["safety_checker"] is False
        assert Path(request["model"]).resolve() == cli.home / "m"

    def test_masks_and_frames(self, cli: Cli) -> None:
        for name in ("start.png", "mask.png", "depth.png"):
            Image.new("RGB", (8, 8)).save(cli.folder / name)
        base = ("generate", "--prompt", "p", "--json", "--quiet", "--image", "start.png")

        def start(*options: str) -> dict[str, Any]:
            done = cli(*base, *options)
            assert done.returncode == 0, done.stderr
            found: dict[str, Any] = json.loads(done.stdout)["record"]["request"]
            return {**found["start_image"], "depth_map": found["depth_map"]}

        said = start(
            "--mask", "mask.png", "--mask-feather", "4", "--mask-inverted", "--masked-content",
            "fill", "--inpaint-area", "masked", "--depth-map", "depth.png",
        )  # fmt: skip
        assert said["mask"] == str(cli.folder / "mask.png")
        assert said["depth_map"] == str(cli.folder / "depth.png")
        assert (said["mask_feather"], said["mask_inverted"]) == (4, True)
        assert (said["masked_content"], said["inpaint_area"]) == ("filled", "masked")
        assert start("--mask", "alpha")["mask"] == "alpha"
        sides = ("left", "top", "right", "bottom")
        for text, wanted in (
            ("left=128,right=64", (128, 0, 64, 0)), ("top=8, bottom=16", (0, 8, 0, 16)),
            ("96", (96, 96, 96, 96)), ("left=-64,right=128", (-64, 0, 128, 0)),
            ("-32", (-32, -32, -32, -32)),
        ):  # fmt: skip
            assert start("--outpaint", text)["outpaint"] == dict(zip(sides, wanted, strict=True))

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--mask", "m.png"), "--mask needs --image"),
            (("--outpaint", "64"), "--outpaint needs --image"),
            (("--image", "s.png", "--outpaint", "left=128;right=3"), "must be like left=128"),
            (("--image", "s.png", "--outpaint", "lift=128"), "must be like left=128"),
            (
                ("--image", "s.png", "--outpaint", "left=99999"),
                "must be a whole number from -32768",
            ),
            (("--image", "s.png", "--mask-feather", "999"), "must be a whole number from 0 to 256"),
            (("--image", "s.png", "--masked-content", "blue"), "must be one of original, filled"),
        ],
    )
    def test_masks_that_make_no_sense(self, cli: Cli, options: tuple[str, ...], says: str) -> None:
        done = cli("generate", "--prompt", "p", *options)
        assert done.returncode == 2 and says in done.stderr
        assert one_sentence(done.stderr)

    def test_every_parameter_that_is_a_number_has_an_option(self, cli: Cli) -> None:
        fields = [(f, f.range) for f in described_fields().values() if f.range is not None]
        values = {f.name: f.kind(r.low + (r.high - r.low) / 4) for f, r in fields}
        Image.new("RGB", (8, 8)).save(cli.folder / "start.png")
        arguments = ["generate", "--prompt", "p", "--image", "start.png", "--json", "--quiet"]
        for field, _ in fields:
            value = 2 if field.name == "count" else values[field.name]
            arguments += [field.parameter.flags[0], str(value)]
        done = cli(*arguments)
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout.splitlines()[0])["record"]
        request = PictureRequest.from_json(record["request"])
        for name in values.keys() - {"count"}:
            assert value_of(request, name) == pytest.approx(values[name]), name

    def test_apples_flag_names(self, cli: Cli) -> None:
        python = cli(
            "generate", "--prompt", "p", "-i", "m", "-o", "x.png", "--compute-unit", "CPU_AND_GPU",
            "--seed", "93", "--num-inference-steps", "9", "--scheduler", "DPMSolverMultistep",
            "--model-version", "runwayml/stable-diffusion-v1-5", "--json",
        )  # fmt: skip
        swift = cli(
            "generate", "--prompt", "p", "--resource-path", "m", "--output-path", "x.png",
            "--compute-units", "cpuAndGPU", "--seed", "93", "--step-count", "9",
            "--scheduler", "dpmpp", "--image-count", "1", "--rng", "numpy", "--json",
        )  # fmt: skip
        assert python.returncode == swift.returncode == 0, python.stderr + swift.stderr
        assert "--model-version is not needed" in python.stderr
        requests = [json.loads(done.stdout)["record"]["request"] for done in (python, swift)]
        assert requests[0] == requests[1]
        assert requests[0]["scheduler"] == "DPM++ 2M"
        assert requests[0]["compute_unit"] == "CPU_AND_GPU"

    def test_the_swift_tools_command_line(self, cli: Cli) -> None:
        """The prompt stands by itself, before or after the options."""
        for arguments in (("a fox", *SWIFT), (*SWIFT, "a fox")):
            done = cli("generate", *arguments, "--json")
            assert done.returncode == 0, done.stderr
            request = json.loads(done.stdout)["record"]["request"]
            assert (request["prompt"], request["seed"]) == ("a fox", 7)
            assert request["reduce_memory"] is True
            for flag in ("--xl", "--unet-batch-one"):
                assert f"{flag} is not needed: " in done.stderr

    def test_previews_of_every_nth_step(self, cli: Cli) -> None:
        done = cli("generate", "steps=7", "--save-every", "3", "-o", "x.png")
        assert done.returncode == 0, done.stderr
        names = sorted(p.name for p in cli.folder.glob("x*.png"))
        assert names == ["x.png", "x.step003.png", "x.step006.png"]
        with Image.open(cli.folder / "x.step003.png") as preview:
            assert preview.mode == "RGB"
        assert [p.name for p in cli.folder.glob("*.tmp")] == []

    def test_an_exact_file_is_replaced(self, cli: Cli) -> None:
        (cli.folder / "a.png").write_text("old")
        done = cli("generate", "--prompt", "size=24", "-o", "a.png")
        assert done.stdout.strip() == str(cli.folder / "a.png")
        with Image.open(cli.folder / "a.png") as image:
            assert image.size == (24, 24)
        assert [p.name for p in cli.folder.iterdir()] == ["a.png"]

    def test_a_crash_is_retried_once_without_making_pictures_twice(self, cli: Cli) -> None:
        done = cli(
            "generate", "--prompt", f"crash_once={cli.home / 'marker'}", "--seed", "1",
            "--count", "3", "-o", "p.png",
        )  # fmt: skip
        assert done.returncode == 0
        assert [Path(p).name for p in done.stdout.split()] == ["p-1.png", "p-2.png", "p-3.png"]
        assert "once more" in done.stderr
        twice = cli("generate", "--prompt", "crash_at=1", "--quiet")
        assert twice.returncode == 1
        assert (
            twice.stderr.splitlines()[-1] == "sfumato: The engine stopped unexpectedly; try again."
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["generate"], "--prompt"),
            (["generate", "a", "--prompt", "b"], "once"),
            (["generate", "a", "--frobnicate"], "see sfumato generate --help"),
            (["models", "list", "--frobnicate"], "see sfumato models list --help"),
            (["inspect", ".", "--frobnicate"], "see sfumato inspect --help"),
            (["generate", "a", "--save-every", "-1"], "--save-every"),
            (["generate", "--prompt", "x", "--seed", "-1"], "4294967295"),
            (["generate", "--prompt", "x", "--seed", "4294967296"], "4294967295"),
            (["generate", "--prompt", "x", "--seed", "many"], "many"),
            (["generate", "--prompt", "x", "--steps", "0"], "steps"),
            (["generate", "--prompt", "x", "--guidance-scale", "nan"], "guidance"),
            (["generate", "--prompt", "x", "--count", "0"], "pictures"),
            (["generate", "--prompt", "x", "--strength", "0.5"], "--image"),
            (["generate", "--prompt", "x", "--image", "a.png", "--strength", "2"], "strength"),
            (["generate", "--prompt", "x", "--scheduler", "Eular"], "Euler"),
            (["generate", "--prompt", "x", "--compute-unit", "GPU"], "compute-unit"),
            (["generate", "--prompt", "x", "-o", "a.jpg"], "png"),
            (["generate", "--prompt", "x", "--promt", "y"], "--promt"),
            (["generate", "--prompt", "x", "--negative-prompt", "--seed", "5"], "one argument"),
            (["generate", "--prompt", "x", "--negative-prompt"], "one argument"),
            (["generate", "--prompt", "x", "--rng", "dice"], "numpy, torch, nvidia"),
            (["generate", "--branch-from", "a.png"], "--at-step"),
            (["generate", "--prompt", "x", "--at-step", "3"], "--branch-from"),
            (["generate", "--branch-from", "a.png", "--at-step", "x"], "'x'"),
            (["paint"], "paint"),
        ],
    )
    def test_a_wrong_command_line(self, cli: Cli, arguments: list[str], says: str) -> None:
        done = cli(*arguments)
        assert done.returncode == 2
        assert says in done.stderr and one_sentence(done.stderr)
        assert done.stdout == ""

    def test_what_cannot_be_branched_from(self, cli: Cli) -> None:
        Image.new("RGB", (8, 8)).save(cli.folder / "plain.png")
        done = cli("generate", "--branch-from", "plain.png", "--at-step", "3")
        assert done.returncode == 2 and one_sentence(done.stderr)
        assert "“plain.png” does not say how Sfumato made it" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--prompt", "error=bad-model"], "A sentence for a person."),
            (["--prompt", "raise=boom"], "inside Sfumato"),
            (["--prompt", "x", "-o", "file/sub/a.png"], "file/sub"),
            (["--prompt", "x", "-o", "file/"], "file"),
            (["--prompt", "x", "-i", "none", "--model-sources", "compiled"], "none"),
        ],
    )
    def test_an_error_is_one_sentence(self, cli: Cli, arguments: list[str], says: str) -> None:
        (cli.folder / "file").write_text("in the way")
        done = cli("generate", "--quiet", *arguments)
        assert done.returncode == 1
        assert says in done.stderr and one_sentence(done.stderr)
        assert done.stdout == ""
        assert [p.name for p in cli.folder.iterdir()] == ["file"]

    def test_verbose_adds_the_detail(self, cli: Cli) -> None:
        done = cli("generate", "--prompt", "raise=boom", "--verbose")
        assert "RuntimeError: boom" in done.stderr

    @pytest.mark.parametrize("prompt", ["word " * 500, "漢字 🦊\nzwei", "", "-- dashes"])
    def test_any_prompt_is_fine(self, cli: Cli, prompt: str) -> None:
        done = cli("generate", f"--prompt={prompt}", "--json", "--quiet")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["record"]["request"]["prompt"] == prompt

    @pytest.mark.parametrize("text", ["-blurry", "--", "-", "-1", "--no people, -dark", "-o x"])
    def test_any_text_may_begin_with_a_hyphen(self, cli: Cli, text: str) -> None:
        done = cli("generate", "--negative-prompt", text, "--prompt", text, "--json", "--quiet")
        if text == "--":  # by convention the end of all options
            assert done.returncode == 2 and one_sentence(done.stderr)
            return
        assert done.returncode == 0, done.stderr
        request = json.loads(done.stdout)["record"]["request"]
        assert request["negative_prompt"] == request["prompt"] == text

    def test_a_seed_that_was_drawn_is_told(self, cli: Cli) -> None:
        done = cli("generate", "--prompt", "x", "--json")
        seed = json.loads(done.stdout)["record"]["request"]["seed"]
        assert f"The seed is {seed}." in done.stderr
        assert "The seed is" not in cli("generate", "--prompt", "x", "--seed", "5").stderr


class TestModelSources:
    def make(self, cli: Cli, *names: str) -> None:
        for name in names:
            (cli.folder / name).mkdir(parents=True)

    def chosen(self, cli: Cli, sources: str) -> str:
        done = cli("generate", "--prompt", "x", "-i", ".", "--model-sources", sources, "--json")
        assert done.returncode == 0, done.stderr
        model = json.loads(done.stdout)["record"]["request"]["model"]
        return str(Path(model).resolve().relative_to(cli.folder))

    def test_apples_layout(self, cli: Cli) -> None:
        self.make(cli, "a_unet.mlpackage", "Resources/Unet.mlmodelc")
        assert self.chosen(cli, "packages") == "."
        assert self.chosen(cli, "compiled") == "Resources"

    def test_the_hubs_layout(self, cli: Cli) -> None:
        self.make(cli, "original/packages/a.mlpackage", "original/compiled/b.mlmodelc")
        assert self.chosen(cli, "packages") == "original/packages"
        assert self.chosen(cli, "compiled") == "original/compiled"

    def test_several_must_be_chosen_from(self, cli: Cli) -> None:
        self.make(cli, "original/packages/a.mlpackage", "split_einsum/packages/a.mlpackage")
        done = cli("generate", "--prompt", "x", "-i", ".", "--model-sources", "packages", "--quiet")
        assert done.returncode == 1
        assert "original/packages, split_einsum/packages" in done.stderr


class TestStopping:
    def stopped(self, cli: Cli, prompt: str, *signals: int) -> subprocess.CompletedProcess[str]:
        process = cli.start("generate", "--prompt", prompt, "--count", "9")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/")  # the first picture is there
        for number in signals:
            process.send_signal(number)
            time.sleep(0.2)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def test_ctrl_c(self, cli: Cli) -> None:
        done = self.stopped(cli, "steps=20 sleep=0.03", signal.SIGINT)
        assert done.returncode == 130
        assert done.stderr.splitlines()[-1] == "sfumato: Stopped."
        assert "Traceback" not in done.stderr
        log = (cli.home / "data" / "Logs" / "engine.log").read_text()
        assert "Traceback" not in log

    def test_ctrl_c_twice_ends_a_hung_engine(self, cli: Cli) -> None:
        started = time.monotonic()
        process = cli.start("generate", "--prompt", "hang_at=1")
        log = cli.home / "data" / "Logs" / "engine.log"
        while not log.exists():
            time.sleep(0.02)
        time.sleep(1.5)  # surely hanging by now
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        process.communicate()
        assert time.monotonic() - started < 20

    def test_terminate(self, cli: Cli) -> None:
        assert self.stopped(cli, "steps=20 sleep=0.03", signal.SIGTERM).returncode == 130


def read_terminal(cli: Cli, columns: int, *arguments: str) -> str:
    """What `sfumato` writes to a terminal of a given width on stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    cli.environment.pop("COLUMNS", None)
    process = cli.start(*arguments, stderr=theirs)
    os.close(theirs)
    heard = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.05)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux's way of saying the other end is closed
                break
            if not data:
                break
            heard += data
    process.communicate(timeout=30)
    os.close(ours)
    return heard.decode()


def test_a_terminal_gets_a_bar_that_goes_away(cli: Cli) -> None:
    text = read_terminal(cli, 100, "generate", "--prompt", "steps=4 sleep=0.05", "--count", "2")
    assert "loading UNet (2 of 3)" in text
    assert "▕████████████············▏ picture 1 of 2, step 2 of 4" in text
    assert re.search(r"step 4 of 4, \d+\.\d steps/s, 0 s left", text)
    assert all(len(line) <= 100 for line in re.split(r"[\r\n]+", text))
    assert "\r" in text and re.search(r"\r +\r", text)


def test_a_pipe_gets_few_plain_lines(cli: Cli) -> None:
    done = cli("generate", "--prompt", "steps=200", "--count", "2")
    assert "\r" not in done.stderr and "█" not in done.stderr
    assert len(done.stderr.splitlines()) < 10


class TestOther:
    def test_version(self, cli: Cli) -> None:
        assert cli("--version").stdout == f"Sfumato {__version__}\n"

    def test_help_imports_nothing_heavy(self, cli: Cli) -> None:
        code = (
            "import sys\ntry:\n import gui.cli.main; gui.cli.main.main(['generate', '--help'])\n"
            "except SystemExit as e: assert not e.code\n"
            "heavy = {'torch','numpy','diffusers','coremltools','PIL','PySide6','subprocess'}\n"
            "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "--guidance-scale" in done.stdout

    def test_no_arguments_open_the_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import types

        from gui.cli import main as cli

        opened: list[str] = []
        window = types.ModuleType("gui.app")
        window.main = lambda: opened.append("window") or 0  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "gui.app", window)
        assert cli.main([]) == 0
        assert opened == ["window"]
