"""`sfumato models` as a person or a script uses it: real processes against the loopback Hub."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from tests.support import hub_repos
from tests.support.hub_repo import Repo
from tests.support.hub_server import GOOD_TOKEN, HubServer
from tests.support.hub_shelf import STARTER
from tests.support.models_cli import Cli

STARTER_REPO = hub_repos.STARTER_REPO
PALETTIZED = "apple/coreml-stable-diffusion-v1-5-palettized"


@pytest.fixture
def server() -> Iterator[HubServer]:
    repos = [
        hub_repos.apple_v1_5_palettized(),
        hub_repos.apple_mixed_bits(),
        hub_repos.starter(),
        hub_repos.gated(),
        *hub_repos.pcuenq_zips(),
        *hub_repos.junk(),
    ]
    with HubServer(repos) as server:
        yield server


@pytest.fixture
def cli(tmp_path: Path, server: HubServer) -> Iterator[Cli]:
    cli = Cli(tmp_path, server.endpoint)
    yield cli
    for process in cli.started:
        if process.poll() is None:  # the test failed before it could end it
            process.kill()
            process.communicate()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def heard_of(
    process: subprocess.Popen[str], terminal: int, answers: Mapping[str, bytes] | None = None
) -> str:
    """All that a process says on a terminal; `answers`: what to type when it ends so."""
    heard = b""
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                heard += os.read(terminal, 65536)
            except OSError:  # Linux's way of saying the other end is closed
                break
        for prompt, answer in (answers or {}).items():
            if heard.endswith(prompt.encode()):
                os.write(terminal, answer)
    process.communicate(timeout=30)
    os.close(terminal)
    return heard.decode()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        f.relative_to(folder).as_posix(): f.read_bytes()
        for f in folder.rglob("*")
        if f.is_file() and f.name != "sfumato.json"
    }


STARTER_FILES = contents(STARTER)


# Search and show


def test_search(cli: Cli, server: HubServer) -> None:
    lines = cli.good("search").splitlines()
    assert lines[0].startswith(f"{PALETTIZED} ") and "72 likes" in lines[0]
    assert not [line for line in lines if "whisper" in line]
    found = cli.data("search", "--sort", "downloads", "--author", "apple", "--limit", "1")
    assert [m["id"] for m in found] == [PALETTIZED]
    # An untagged repository is found by its name or address.
    for text in ("pcuenq/coreml-dreamlike-2", f"{server.endpoint}/pcuenq/coreml-dreamlike-2"):
        assert cli.data("search", text)[0]["id"] == "pcuenq/coreml-dreamlike-2"
    assert "No model was found" in cli("search", "no such words").stderr


def test_search_filters_by_what_the_files_are(cli: Cli) -> None:
    found = cli.data("search", "--attention", "split_einsum_v2", "--compression", "palette")
    assert [m["id"] for m in found] == [PALETTIZED]
    small = cli.data("search", "--family", "sd1", "--max-size", "0.5MB")
    assert small == []


def test_search_without_a_connection(cli: Cli, server: HubServer) -> None:
    online = cli.data("search")
    server.close()
    done = cli("search", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == online
    assert "cannot be reached" in done.stderr
    done = cli("show", "no/body")
    assert done.returncode == 1 and "check the internet connection" in done.stderr


def test_show(cli: Cli, server: HubServer) -> None:
    text = cli.good("show", PALETTIZED)
    assert text.count("★") == 1
    for part in ("split_einsum_v2/packages", "6-bit palette", "to download", "licence Creative"):
        assert part in text
    data = cli.data("show", f"https://huggingface.co/{PALETTIZED}/tree/main")
    assert data["revision"] == server.repos[PALETTIZED].sha
    paths = {f["path"] for v in data["variants"] for f in v["files"]}
    assert paths <= set(server.repos[PALETTIZED].blobs) and len(paths) > 40
    assert sum(v["recommended"] for v in data["variants"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["show", "no/nope"], 1, "“no/nope” is not on the Hub"),
        (["show", "two words"], 1, "owner/name"),
        (["show", STARTER_REPO, "--revision", "v9"], 1, "This version"),
        (["get", STARTER_REPO, "--variant", "nope"], 1, "choose one of packages"),
        (["get", "talk/coreml-Llama-3-8B"], 1, "no variant for this computer"),
        (["get", "ada-lab/coreml-gated-diffusion"], 1, "accepted its terms"),
        (["verify", "no/nope"], 1, "no installed model"),
        (["remove", "no/nope", "--yes"], 1, "no installed model"),
        (["search", "--limit", "0"], 2, "whole number"),
        (["search", "--max-size", "big"], 2, "2.5GB"),
        (["search", "--sort", "beauty"], 2, "invalid choice"),
        ([], 2, "COMMAND"),
    ],
)
def test_what_is_refused(cli: Cli, arguments: list[str], code: int, part: str) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert part in done.stderr
    assert not list(cli.models.rglob("*.mlpackage"))


# Get


def test_from_search_to_a_picture(cli: Cli) -> None:
    """Find, get, list, generate: every step takes what the one before printed."""
    (found,) = cli.data("search", "fog")
    folder = Path(cli.good("get", found["id"]).strip())
    assert contents(folder) == STARTER_FILES
    (listed,) = cli.data("list")["models"]
    assert (listed["folder"], listed["repo"]) == (str(folder), STARTER_REPO)
    made = []
    for model in (listed["folder"], listed["repo"]):
        done = cli.run(
            "generate", "--prompt", "a red circle", "--model", model, "--steps", "2",
            "--seed", "7", "-o", str(cli.home / "out.png"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with Image.open(cli.home / "out.png") as image:
            made.append(image.tobytes())
            assert image.size == (512, 512)  # drawn at 128, enlarged by 4
            assert ImageStat.Stat(image.convert("L")).stddev[0] > 3
    assert made[0] == made[1], "named by its folder or its repository, it is the same model"


def test_one_of_several_sizes_is_called_as_it_is_listed(cli: Cli) -> None:
    for size in ("512x512", "768x512"):
        shutil.copytree(STARTER, cli.models / "My Model" / size)
    lines = cli.good("list").splitlines()
    assert [line.split("  ")[0] for line in lines] == ["My Model/512x512", "My Model/768x512"]
    done = cli.run(
        "generate", "--prompt", "a red circle", "--model", "My Model/768x512", "--steps", "1",
        "-o", str(cli.home / "out.png"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_model_that_is_not_installed_is_said_to_be_none(cli: Cli) -> None:
    for more, words in (
        ([STARTER_REPO], f"no installed model {STARTER_REPO}"),
        ([STARTER_REPO, "--variant", "nope"], f"no installed variant nope of {STARTER_REPO}"),
    ):
        done = cli.run("generate", "--prompt", "x", "--model", *more)
        assert done.returncode == 1
        assert words in done.stderr
        assert "models list" in done.stderr


def test_getting_what_is_there_fetches_nothing(cli: Cli, server: HubServer) -> None:
    first = cli.data("get", STARTER_REPO)
    assert first["state"] == "done" and first["revision"] == server.repos[STARTER_REPO].sha
    weights = server.sent(f"{STARTER_REPO}/packages")
    assert cli.data("get", STARTER_REPO)["folder"] == first["folder"]
    assert server.sent(f"{STARTER_REPO}/packages") - weights < 1_000_000


def test_variants_archives_and_revisions(cli: Cli, server: HubServer) -> None:
    repo = server.repos[STARTER_REPO]
    old = repo.sha
    repo.commit({"README.md": "gone"})
    folder = Path(cli.good("get", STARTER_REPO, "--revision", old).strip())
    assert contents(folder) == STARTER_FILES
    archive = "coreml-stable-diffusion-v1-5-palettized_split_einsum_v2_compiled.zip"
    unpacked = Path(cli.good("get", PALETTIZED, "--variant", archive).strip())
    assert (unpacked / "Unet.mlmodelc" / "metadata.json").is_file()
    assert not list(unpacked.rglob("*.zip")) and not list(unpacked.rglob("__MACOSX"))


def test_ctrl_c_keeps_what_was_fetched_and_says_how_to_go_on(cli: Cli, server: HubServer) -> None:
    slow = server.fault("/cdn/*", bytes_per_second=400_000)
    process = cli.start("models", "get", STARTER_REPO)
    until(lambda: server.sent(f"{STARTER_REPO}/packages") > 3_000_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert f"`sfumato models get {STARTER_REPO}` goes on from there" in err
    (left,) = cli.data("list")["downloads"]
    assert left["repo"] == STARTER_REPO and 0 < left["bytes_done"] < left["bytes_total"]
    server.faults.remove(slow)
    folder = Path(cli.good("get", STARTER_REPO).strip())
    assert contents(folder) == STARTER_FILES
    total = sum(map(len, STARTER_FILES.values()))
    # Each connection may lose what was under way, and probing reads a little of some files.
    assert server.sent(f"{STARTER_REPO}/packages") < total + 5_000_000
    assert cli.data("list")["downloads"] == []


def test_ctrl_c_does_not_wait_for_what_is_being_read(cli: Cli, server: HubServer) -> None:
    """To see what fits, the files of every model found are read, by several threads."""
    reading = threading.Event()
    server.fault("/api/models/*/tree/*", action=reading.set, delay=60)
    process = cli.start("models", "search", "--attention", "split_einsum_v2")
    assert reading.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "") and "Traceback" not in err


def test_what_is_half_there_goes_on_where_the_whole_would_not_fit(
    cli: Cli, server: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict counts the whole download against the free disk; part of it is there."""
    from gui.cli import main as program
    from gui.cli import models_hub as cli_models_hub

    slow = server.fault("/cdn/*", bytes_per_second=400_000)
    process = cli.start("models", "get", STARTER_REPO)
    until(lambda: server.sent(f"{STARTER_REPO}/packages") > 3_000_000)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    server.faults.remove(slow)
    for name in ("SFUMATO_HOME", "HF_HOME", "HF_ENDPOINT"):
        monkeypatch.setenv(name, cli.environment[name])
    full = replace(cli_models_hub.this_machine(), free_disk_bytes=17_000_000)
    monkeypatch.setattr(cli_models_hub, "this_machine", lambda: full)
    assert program.main(["models", "get", STARTER_REPO, "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert contents(Path(printed.out.strip())) == STARTER_FILES
    assert program.main(["models", "remove", STARTER_REPO, "--yes"]) == 0
    assert program.main(["models", "get", STARTER_REPO]) == 1
    assert "free on disk" in capsys.readouterr().err


def test_a_download_under_way_in_another_process_is_listed_and_left_alone(
    cli: Cli, server: HubServer
) -> None:
    slow = server.fault("/cdn/*", bytes_per_second=50_000)
    process = cli.start("models", "get", STARTER_REPO)
    until(lambda: any(f.stat().st_size for f in cli.models.glob(".downloads/*/journal")))
    listed = cli("list")
    assert listed.returncode == 0 and listed.stderr == ""
    assert STARTER_REPO in listed.stdout and "being downloaded: " in listed.stdout
    (status,) = cli.data("list")["downloads"]
    assert (status["repo"], status["state"]) == (STARTER_REPO, "fetching")
    for command in (["remove", "--yes"], ["get"]):
        done = cli(*command, STARTER_REPO)
        assert done.returncode == 1 and "Another Sfumato is downloading" in done.stderr
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    server.faults.remove(slow)
    assert "unfinished: " in cli.good("list")
    assert cli.good("remove", STARTER_REPO, "--yes").strip() == str(
        cli.models / ".downloads" / status["id"]
    )
    assert cli.data("list")["downloads"] == []
    assert list((cli.models / ".downloads").iterdir()) == []


def test_checkpoints_kept_for_conversion_are_listed_and_removed(cli: Cli) -> None:
    kept = cli.home / "cache" / "Sources" / "ada--fog"
    kept.mkdir(parents=True)
    (kept / "unet.safetensors").write_bytes(os.urandom(300_000))
    (kept / ".sfumato-source.json").write_text('{"repo": "ada/fog", "revision": "abc"}')
    (found,) = cli.data("list")["checkpoints"]
    assert (found["repo"], found["path"]) == ("ada/fog", str(kept))
    assert found["bytes"] >= 300_000
    line = cli.good("list")
    assert "ada/fog" in line and "checkpoint kept for conversion" in line and "30" in line
    assert cli("remove", "ada/mist", "--yes").returncode == 1
    assert cli("remove", "ada/fog").returncode == 1 and kept.is_dir()
    assert cli.good("remove", "ada/fog", "--yes").strip() == str(kept)
    assert not kept.exists()


def test_progress_on_a_terminal(cli: Cli, server: HubServer) -> None:
    server.fault("/cdn/*", bytes_per_second=2_000_000)
    ours, theirs = pty.openpty()
    process = cli.start("models", "get", STARTER_REPO, stderr=theirs)
    os.close(theirs)
    text = heard_of(process, ours)
    assert re.search(r"▕█*·*▏ \d+%, [\d.]+ MB of 18\.\d MB, [\d.]+ MB/s, \d+ s left", text), text
    assert text.endswith("\r")  # the bar goes away


# The library


def test_verify_repair_remove(cli: Cli, server: HubServer) -> None:
    folder = Path(cli.good("get", STARTER_REPO).strip())
    assert cli.good("verify").startswith("whole")
    (weight,) = folder.glob("*vae_encoder*/Data/*/weights/weight.bin")
    data = bytearray(weight.read_bytes())
    data[1000] ^= 1
    weight.write_bytes(data)
    (manifest,) = folder.glob("*unet*/Manifest.json")
    manifest.unlink()
    done = cli("verify", STARTER_REPO, "--json")
    assert done.returncode == 1
    problems = {p["path"]: p["what"] for p in json.loads(done.stdout)[0]["problems"]}
    assert problems == {
        weight.relative_to(folder).as_posix(): "hash",
        manifest.relative_to(folder).as_posix(): "missing",
    }
    sent = server.sent(f"{STARTER_REPO}/packages")
    assert cli.good("verify", str(folder), "--repair").startswith("repaired")
    assert contents(folder) == STARTER_FILES
    assert server.sent(f"{STARTER_REPO}/packages") - sent < 2 * len(data)

    done = cli("remove", STARTER_REPO)
    assert done.returncode == 1 and "--yes" in done.stderr and folder.is_dir()
    assert cli.good("remove", STARTER_REPO, "--yes").strip() == str(folder)
    assert not folder.exists() and not folder.parent.exists()
    assert not any(cli.data("list").values())


def test_only_what_was_named_is_removed(cli: Cli, server: HubServer) -> None:
    outside = cli.home / "precious" / "model.mlpackage"
    outside.mkdir(parents=True)
    assert cli("remove", str(outside.parent), "--yes").returncode == 1
    assert outside.is_dir()
    one = Path(cli.good("get", PALETTIZED, "--variant", "original/packages").strip())
    two = Path(cli.good("get", PALETTIZED, "--variant", "split_einsum_v2/packages").strip())
    done = cli("remove", PALETTIZED, "--yes")
    assert done.returncode == 1 and "--variant" in done.stderr
    done = cli("remove", PALETTIZED, "--variant", "nope", "--yes")
    assert done.returncode == 1 and f"no installed variant nope of {PALETTIZED}" in done.stderr
    cli.good("remove", PALETTIZED, "--variant", "original/packages", "--yes")
    assert not one.exists() and two.is_dir()


def test_updates(cli: Cli, server: HubServer) -> None:
    cli.good("get", STARTER_REPO)
    assert "update" not in cli.data("list", "--updates")["models"][0]
    repo = server.repos[STARTER_REPO]
    (name,) = [p for p in repo.files if "vae_encoder" in p and p.endswith("Manifest.json")]
    newer = repo.commit({**repo.files, name: '{"new": true}'})
    assert cli.data("list", "--updates")["models"][0]["update"] == newer
    assert "update available" in cli.good("list", "--updates")
    repo.commit({"README.md": "moved elsewhere"})
    listed = cli.data("list", "--updates")["models"][0]
    assert "update" not in listed
    assert "does not have this variant any more" in listed["update_problem"]
    assert listed["update_problem"] in cli.good("list", "--updates")


# Offline, and odd names


def test_what_is_only_remembered_says_so(cli: Cli, server: HubServer) -> None:
    cli.good("get", STARTER_REPO)
    assert "before" not in cli.good("show", STARTER_REPO)
    cli.good("search")
    server.close()
    assert "This is what the Hub said before.  The Hub cannot" in cli.good("show", STARTER_REPO)
    for words in (["zzz"], [STARTER_REPO], []):
        done = cli("search", *words)
        assert done.returncode == 0 and "cannot be reached" in done.stderr, words
    listed = cli.good("list")
    assert STARTER_REPO in listed
    done = cli("list", "--updates")
    assert (done.returncode, done.stdout) == (1, listed), "the list does not need the Hub"
    assert "cannot be reached" in done.stderr and done.stderr.count("\n") == 1
    done = cli("list", "--updates", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["models"][0]["repo"] == STARTER_REPO


def test_a_renamed_repository_is_known_by_both_names(cli: Cli, server: HubServer) -> None:
    old = "someone/their-old-name"
    server.renamed[old] = STARTER_REPO
    folder = cli.good("get", old).strip()
    assert STARTER_REPO in cli.good("list")
    assert cli.data("verify", old)[0]["folder"] == folder
    assert cli.data("verify", STARTER_REPO.upper())[0]["folder"] == folder
    server.close()
    for name in (old, STARTER_REPO):
        assert cli.data("verify", name)[0]["folder"] == folder, "offline too"
    done = cli("verify", "someone/else")
    assert done.returncode == 1 and "no installed model someone/else" in done.stderr
    cli.good("remove", old, "--yes")
    assert not Path(folder).exists()


def test_terms_are_accepted_at_the_hub_in_use(cli: Cli, server: HubServer) -> None:
    (gated,) = [name for name, repo in server.repos.items() if repo.gated]
    shown = cli.good("show", gated)
    assert f"terms to accept at {server.endpoint}/{gated}" in shown


def test_without_a_connection_nothing_is_waited_for(cli: Cli, server: HubServer) -> None:
    cli.good("show", STARTER_REPO)
    server.close()
    started = time.monotonic()
    done = cli("get", STARTER_REPO, "--quiet")
    assert time.monotonic() - started < 60  # all attempts would take minutes
    assert done.returncode == 1
    assert done.stderr == (
        "sfumato: The Hub cannot be reached; check the internet connection, and try again.\n"
    )
    assert cli.data("list")["downloads"] == []


@pytest.mark.parametrize("name", ["~nobody-here/x", "a" * 400, "", "/", "..", "ada/..", "日本/語"])
def test_names_of_no_model_are_one_sentence(cli: Cli, name: str) -> None:
    for command in (["verify"], ["remove", "--yes"], ["show"]):
        if name or command != ["verify"]:  # nothing means all
            done = cli(*command, name)
            assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
            assert done.stderr.startswith("sfumato: ")


# The account


def test_sign_in_and_out(cli: Cli, server: HubServer) -> None:
    assert cli("whoami").returncode == 1
    done = cli("login", answer="hf_wrong\n")
    assert done.returncode == 1 and "does not accept your token" in done.stderr
    assert not (cli.home / "keychain.json").exists()
    assert "ada" in cli.good("login", answer=f"{GOOD_TOKEN}\n")
    assert cli.data("whoami") == {
        "signed_in": True, "name": "ada", "source": "keychain", "problem": "",
    }  # fmt: skip
    folder = Path(cli.good("get", "ada-lab/coreml-gated-diffusion").strip())
    assert list(folder.glob("*.mlpackage"))
    assert not [r for r in server.log if r.cdn and r.authorization]
    cli.good("logout")
    assert cli("whoami").returncode == 1
    # A token in the environment counts as well, and is told apart.
    assert "environment" in cli.good("whoami", HF_TOKEN=GOOD_TOKEN)


def test_no_token_after_all(cli: Cli) -> None:
    """Ctrl-D where a token is to be typed."""
    ours, theirs = pty.openpty()
    process = cli.start("models", "login", stdin=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    text = heard_of(process, ours, {"Token: ": b"\x04"})
    assert process.returncode == 1
    assert "No token was given; type or paste one." in text and "Traceback" not in text


def test_a_terminal_without_every_character_is_no_error(cli: Cli) -> None:
    done = cli("show", PALETTIZED, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "? original/packages" in done.stdout, done.stderr


def test_names_cannot_steer_the_terminal(cli: Cli, server: HubServer) -> None:
    server.add(
        Repo(
            "evil/coreml-sd", {"README.md": "A text \x1b[2J that clears the screen."},
            tags=("coreml", "text-to-image"), pipeline_tag="text-to-image",
            licence="\x1b[31mred", likes=10_000,
        )
    )  # fmt: skip
    for command in (["search"], ["show", "evil/coreml-sd"]):
        assert "\x1b" not in cli.good(*command)
