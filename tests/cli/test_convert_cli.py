"""`sfumato convert` as a person or a script uses it, as a real process over the real converter
process with a stand-in inside."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_zygote import run_command
from tests.support.hub_repo import Repo
from tests.support.hub_server import HubServer

ROOT = Path(__file__).parents[2]


class Cli:
    """Runs `sfumato convert` from an empty folder."""

    server: HubServer
    """The Hub, where there is one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "here"
        self.folder.mkdir()
        self.environment = {
            **os.environ,
            "SFUMATO_HOME": str(home),
            "SFUMATO_CONVERTER_STANDIN": "tests.support.fake_converter:backend",
            "PYTHONPATH": str(ROOT),
        }

    def source(self, text: str = "", name: str = "dream.safetensors") -> str:
        (self.folder / name).write_text(text)
        return name

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gui.cli.main", "convert", *arguments],
            text=True, env=self.environment, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(("convert", *arguments), self.environment, self.folder)

    def request(self, *arguments: str) -> dict[str, Any]:
        """What a command line means, by a dry run."""
        done = self(*arguments, "--dry-run", "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["request"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def one_sentence(text: str) -> bool:
    lines = text.strip().splitlines()
    return len(lines) == 1 and lines[0].startswith("sfumato") and "Traceback" not in text


def test_a_conversion_prints_its_folder_and_says_how_alike_the_parts_are(cli: Cli) -> None:
    done = cli(cli.source(), "-o", "out/Dream")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{cli.folder}/out/Dream\n"
    assert "sfumato: UNet: matches the original: 72 dB." in done.stderr
    assert [p.name for p in (cli.folder / "out").iterdir()] == ["Dream"]


def test_below_an_existing_folder_and_in_the_library(cli: Cli) -> None:
    source = cli.source()
    (cli.folder / "out").mkdir()
    assert cli.request(source, "-o", "out")["output"] == str(cli.folder / "out" / "dream")
    assert cli.request(source)["output"] == str(cli.home / "data" / "Models" / "dream")
    named = cli.request(source, "--name", "A/b: c")
    assert named["name"] == "A/b: c"
    assert Path(named["output"]).parent == cli.home / "data" / "Models"


def test_a_finished_model_is_not_converted_into(cli: Cli) -> None:
    (cli.folder / "made" / "x_unet.mlpackage").mkdir(parents=True)
    assert cli.request(cli.source(), "-o", "made")["output"] == str(cli.folder / "made")
    (cli.folder / "sizes" / "512x512").mkdir(parents=True)
    (cli.folder / "sizes" / "conversion.json").write_text("{}")
    assert cli.request(cli.source(), "-o", "sizes")["output"] == str(cli.folder / "sizes")


def test_an_unfinished_conversion_of_other_settings_is_not_said_to_go_on(cli: Cli) -> None:
    (cli.folder / "made.partial").mkdir()
    done = cli(cli.source("error=bad-request"), "-o", "made", "--quiet")
    assert done.returncode == 1
    assert "Finished parts are kept" not in done.stderr


def test_json_and_quiet(cli: Cli) -> None:
    done = cli(cli.source(), "-o", "made", "--json", "--quiet")
    report = json.loads(done.stdout)
    assert report["folders"] == [str(cli.folder / "made")]
    assert [p["psnr"] for p in report["parities"]] == [80.0, 72.0, 80.0, 80.0]
    assert done.stderr == ""


def test_a_dry_run_tells_facts_and_estimate_and_makes_nothing(cli: Cli) -> None:
    done = cli(cli.source(), "-o", "made", "--dry-run")
    assert done.returncode == 0
    for fact in ("Stable Diffusion 1", "1.1 billion weights", "512 × 512", "2.60 GB", "7 GB",
                 "7 min"):  # fmt: skip
        assert fact in done.stdout
    assert not (cli.folder / "made").exists()
    assert cli(cli.source(), "-o", "far/away/made", "--dry-run").returncode == 0
    assert not (cli.folder / "far").exists()


def test_names_become_folders(cli: Cli) -> None:
    root = cli.home / "data" / "Models"
    names = {
        "n" * 300: "n" * 80,
        "Fog.mlpackage": "Fog",
        "a/b: c.partial": "a b c",
        "...": "model",
    }
    for name, folder in names.items():
        assert cli.request(cli.source(), "--name", name)["output"] == str(root / folder)


def test_a_refusal_is_one_sentence_before_any_work(cli: Cli) -> None:
    done = cli(cli.source("refuse=There_is_no_room."), "-o", "made", "--quiet")
    assert (done.returncode, done.stderr) == (1, "sfumato: There is no room.\n")
    assert list(cli.folder.glob("made*")) == []


def test_every_flag_arrives(cli: Cli) -> None:
    request = cli.request(
        cli.source(), "--attention", "original", "--size", "512x512", "512x768", "--compression",
        "linear-8", "--lora", "a.safetensors:0.5", "--lora", "b.safetensors", "--no-check",
        "--min-deployment-target", "macOS15", "--convert-controlnet", "canny", "--compiled",
        "--prediction-type", "v_prediction",
    )  # fmt: skip
    assert request["attention"] == "original" and request["compression"] == "linear-8"
    assert request["sizes"] == [{"width": 512, "height": 512}, {"width": 512, "height": 768}]
    assert request["loras"] == [
        {"path": str(cli.folder / "a.safetensors"), "scale": 0.5, "text_scale": None},
        {"path": str(cli.folder / "b.safetensors"), "scale": 1.0, "text_scale": None},
    ]
    assert request["controlnets"] == [str(cli.folder / "canny")]
    assert request["check"] is False and request["compiled"] is True
    assert request["target"] == "macOS15" and request["unet_batch"] == 2
    assert request["prediction_type"] == "v_prediction"


def test_the_command_of_apples_readme(cli: Cli) -> None:
    done = cli(
        "--convert-unet", "--convert-text-encoder", "--convert-vae-decoder",
        "--convert-safety-checker", "--model-version", cli.source(), "-o", "made",
        "--attention-implementation", "SPLIT_EINSUM_V2", "--quantize-nbits", "6", "--chunk-unet",
        "--unet-batch-one", "--unet-support-controlnet", "--latent-h", "96", "--latent-w", "64",
        "--compute-unit", "CPU_AND_NE", "--check-output-correctness", "--dry-run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    chosen = "sfumato: --compute-unit is not needed: it is chosen when pictures are made.\n"
    assert done.stderr == chosen
    request = json.loads(done.stdout)["request"]
    assert request["components"] == ["text_encoder", "unet", "vae_decoder"]
    assert request["attention"] == "split_einsum_v2" and request["compression"] == "palette-6"
    assert request["chunked"] and request["control_ready"] and request["unet_batch"] == 1
    assert request["keep_whole"] and request["evenly"]  # as Apple's converter does both
    assert request["sizes"] == [{"width": 512, "height": 768}]


def test_further_flags_of_apples_converter(cli: Cli) -> None:
    for name in ("vae", "refiner"):
        (cli.folder / name).mkdir()
    done = cli(
        "--model-version", cli.source(), "-o", "made", "--min-deployment-target", "iOS17",
        "--latent-w", "96", "--custom-vae-version", "vae", "--refiner-version", "refiner",
        "--dry-run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    request, size = answer["request"], answer["source"]["size"]
    assert request["target"] == "macOS14"
    assert request["sizes"] == [{"width": 768, "height": size["height"]}]
    assert request["vae"] == str(cli.folder / "vae")
    assert request["refiner"] == str(cli.folder / "refiner")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a source"),
        (("--size", "512x512", "dream.safetensors"), "before the options"),
        (("dream.safetensors", "--model-version", "a/b"), "once"),
        (("dream.safetensors", "--size", "500x512"), "multiples of 64"),
        (("dream.safetensors", "--size", "big"), "not a picture size"),
        (("dream.safetensors", "--latent-h", "63", "--latent-w", "64"), "multiples of 8"),
        (("dream.safetensors", "--quantize-nbits", "3"), "invalid choice"),
        (("dream.safetensors", "--quantize-nbits", "6", "--compression", "none"), "the same"),
        (("dream.safetensors", "--sd3-version"), "Stable Diffusion 3"),
        (("dream.safetensors", "--unknown"), "unrecognized"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    cli.source()
    done = cli(*arguments)
    assert done.returncode == 2 and one_sentence(done.stderr) and words in done.stderr


@pytest.mark.parametrize(
    ("source", "words"), [("absent", "no file or folder absent"), ("flux.safetensors", "Flux")]
)
def test_a_source_that_will_not_do(cli: Cli, source: str, words: str) -> None:
    cli.source("foreign", "flux.safetensors")
    done = cli(source, "-o", "made", "--quiet")
    assert done.returncode == 1 and one_sentence(done.stderr) and words in done.stderr


def begun(cli: Cli, *arguments: str) -> subprocess.Popen[str]:
    """A conversion that has finished one part and is busy with the next."""
    process = cli.start(*arguments, "-o", "made")
    first = cli.folder / "made.partial" / "text_encoder.mlpackage"
    deadline = time.monotonic() + 20
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("text", ["sleep=0.5", "hang_at=2"])
def test_ctrl_c_leaves_nothing(cli: Cli, text: str) -> None:
    process = begun(cli, cli.source(text))
    for _ in range(2 if "hang" in text else 1):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and out == ""
    assert err.splitlines()[-1] == "sfumato: Cancelled; nothing was kept."
    assert "Traceback" not in err
    assert list(cli.folder.glob("made*")) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_kill_the_same_command_goes_on(cli: Cli, number: signal.Signals) -> None:
    process = begun(cli, cli.source("hang_at=2"))
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode != 0
    time.sleep(0.3)  # the converter follows
    done = cli(cli.source(""), "-o", "made")
    assert done.returncode == 0, done.stderr
    assert "sfumato: Text encoder: already converted." in done.stderr
    assert [p.name for p in cli.folder.glob("made*")] == ["made"]


def models(cli: Cli, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sfumato models`."""
    return subprocess.run(
        [sys.executable, "-m", "gui.cli.main", "models", *arguments],
        env=cli.environment, cwd=cli.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_an_interrupted_conversion_is_listed_and_removed(cli: Cli) -> None:
    work = cli.home / "data" / "Models" / "Dusk.partial"
    process = cli.start(cli.source("hang_at=2"), "--name", "Dusk")
    deadline = time.monotonic() + 20
    while not (work / "text_encoder.mlpackage").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with (work / "lock").open("w") as lock:  # the stand-in holds none
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = models(cli, "remove", "Dusk", "--yes")
        assert (busy.returncode, one_sentence(busy.stderr)) == (1, True)
        assert "Dusk is being converted" in busy.stderr
    process.kill()
    process.communicate(timeout=20)
    assert "Dusk  unfinished conversion" in models(cli, "list").stdout
    (listed,) = json.loads(models(cli, "list", "--json").stdout)["conversions"]
    assert listed["name"] == "Dusk" and listed["folder"] == str(work) and listed["bytes"] > 0
    asked = models(cli, "remove", "Dusk")
    assert asked.returncode == 1 and work.exists()
    done = models(cli, "remove", "Dusk", "--yes")
    assert (done.returncode, done.stdout) == (0, f"{work}\n")
    assert list(work.parent.iterdir()) == []
    assert json.loads(models(cli, "list", "--json").stdout)["conversions"] == []


def test_a_converter_that_dies_says_how_to_go_on(cli: Cli) -> None:
    done = cli(cli.source("kill_at=2"), "-o", "made", "--quiet")
    assert done.returncode == 1
    assert "for want of memory (it needs about 7 GB)" in done.stderr
    assert "give the same command again" in done.stderr


class TestFromTheHub:
    """Names on the Hub, with a Hub on the loopback interface."""

    @pytest.fixture
    def online(self, cli: Cli) -> Iterator[Cli]:
        folder = {
            "model_index.json": "{}",
            "unet/config.json": "{}",
            "unet/diffusion_pytorch_model.safetensors": bytes(5000),
            "unet/diffusion_pytorch_model.bin": bytes(6000),
        }
        single = {"README.md": "# Dreams", "dreams.safetensors": b"psnr=50"}
        repos = [Repo("maker/folder", folder), Repo("maker/single", single)]
        with HubServer([*repos, Repo("maker/pickles", {"weights.ckpt": bytes(10)})]) as server:
            cli.server = server
            cli.environment |= {
                "HF_ENDPOINT": server.endpoint,
                "HF_HOME": str(cli.home / "hf"),
                "HF_HUB_DISABLE_XET": "1",
                "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            }
            yield cli

    @pytest.mark.parametrize(
        ("name", "source"), [("maker/folder", "maker--folder"), ("https://hf.co/maker/single",
                                                                 "dreams.safetensors")]
    )  # fmt: skip
    def test_a_model_on_the_hub_is_fetched_and_converted(
        self, online: Cli, name: str, source: str
    ) -> None:
        done = online(name, "--json", "--quiet")
        assert done.returncode == 0, done.stderr
        request = json.loads(done.stdout)["request"]
        repo = name.removeprefix("https://hf.co/")
        assert request["source_repo"] == repo and len(request["source_revision"]) == 40
        assert Path(request["source"]).name == source
        assert request["name"] == repo.partition("/")[2]
        pickles = list(online.home.rglob("*.bin"))
        assert pickles == [], "what cannot be used is not fetched"

    def test_ctrl_c_while_fetching_keeps_what_came(self, online: Cli) -> None:
        large = Repo("maker/single", {"dreams.safetensors": bytes(4_000_000)})
        online.server.add(large)
        slow = online.server.fault("/cdn/*", bytes_per_second=200_000)
        process = online.start("maker/single", "-o", "made")
        deadline = time.monotonic() + 30
        while online.server.sent("maker/single") < 400_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, ""), err
        assert "what was fetched is kept: give the same command again to go on" in err
        assert "Traceback" not in err
        online.server.faults.remove(slow)
        (left,) = json.loads(models(online, "list", "--json").stdout)["downloads"]
        assert left["repo"] == "maker/single" and 0 < left["bytes_done"] < left["bytes_total"]

    @pytest.mark.parametrize("news", ["a newer commit", "no connection"])
    def test_what_was_begun_goes_on_with_what_was_fetched(self, online: Cli, news: str) -> None:
        slow = Repo("maker/single", {"dreams.safetensors": b"hang_at=2"})
        online.server.add(slow)
        process = begun(online, "maker/single")
        process.kill()
        process.communicate(timeout=20)
        (source,) = online.home.rglob("dreams.safetensors")
        source.write_text("")  # whatever was wrong is over
        if news == "a newer commit":
            online.server.add(Repo("maker/single", {"dreams.safetensors": b"psnr=20"}))
        else:
            online.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
        done = online("maker/single", "-o", "made", "--json")
        assert done.returncode == 0, done.stderr
        assert "Text encoder: already converted." in done.stderr
        request = json.loads(done.stdout)["request"]
        assert (request["source"], request["source_revision"]) == (str(source), slow.sha)

    @pytest.mark.parametrize(
        ("name", "words"), [("maker/absent", "maker/absent"), ("maker/pickles", "pickle")]
    )
    def test_what_is_not_there_is_one_sentence(self, online: Cli, name: str, words: str) -> None:
        done = online(name, "--quiet")
        assert done.returncode == 1 and one_sentence(done.stderr) and words in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\ntry:\n import gui.cli.main; gui.cli.main.main(['convert', '--help'])\n"
        "except SystemExit as e: assert not e.code\n"
        "heavy = {'torch','numpy','diffusers','coremltools','PIL','PySide6','subprocess'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--attention-implementation" in done.stdout


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    from tests.support.tiny_checkpoints import kept_single

    return kept_single("sd1")


class TestForReal:
    """With the converter itself, on a tiny checkpoint."""

    @pytest.fixture
    def real(self, cli: Cli, checkpoint: Path) -> Cli:
        del cli.environment["SFUMATO_CONVERTER_STANDIN"]
        (cli.folder / "tiny.safetensors").symlink_to(checkpoint)
        return cli

    COMMAND = ("tiny.safetensors", "-o", "made", "--size", "64x64", "--no-check")

    def test_killed_half_way_the_same_command_goes_on(self, real: Cli) -> None:
        command = (*self.COMMAND, "--convert-vae-encoder", "--convert-vae-decoder")
        process = self.until_first_part(real, *command)
        process.kill()
        process.communicate(timeout=20)
        done = real(*command)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("already converted") == 1
        assert [p.name for p in real.folder.glob("made*")] == ["made"]
        parts = {p.stem.partition("_tiny_")[2] for p in (real.folder / "made").glob("*.mlpackage")}
        assert parts == {"vae_encoder", "vae_decoder"}

    def test_cancelled_half_way_nothing_is_left(self, real: Cli) -> None:
        process = self.until_first_part(real, *self.COMMAND)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert err.splitlines()[-1] == "sfumato: Cancelled; nothing was kept."
        assert list(real.folder.glob("made*")) == []

    def until_first_part(self, cli: Cli, *command: str) -> subprocess.Popen[str]:
        process = cli.start(*command)
        journal = cli.folder / "made.partial" / "journal.json"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and json.loads(journal.read_text())["done"]:
                return process
            time.sleep(0.02)
        raise AssertionError(process.communicate(timeout=10))
