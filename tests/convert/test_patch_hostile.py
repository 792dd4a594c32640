"""Bad input to patching: one sentence, the original as it was, and nothing half made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gui.convert.patch.variant import make_variant
from gui.convert.types import Compression, ImageSize, Lora
from gui.coreml.model import ComponentKind as K
from gui.errors import ErrorKind, SfumatoError
from gui.library.models.folders import model_folders
from tests.convert.conftest import refusal
from tests.support import patched

KILLS = int(os.environ.get("SFUMATO_KILLS", "2"))
LORA = patched.lora_file("sd1-safety")


def source() -> Path:
    return patched.model("sd1").folder


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def before() -> dict[str, str]:
    return state(source())


def refused(folder: Path, before: dict[str, str], lora: Path) -> SfumatoError:
    with pytest.raises(SfumatoError) as error:
        make_variant(source(), folder / "made", [Lora(str(lora))])
    refusal(error)
    assert not [p for p in folder.iterdir() if p.name == "made" or p.name.startswith(".sfumato")]
    assert state(source()) == before
    return error.value


def test_a_lora_that_is_cut_short(tmp_path: Path, before: dict[str, str]) -> None:
    """In its header, and in its numbers."""
    data = LORA.read_bytes()
    for length in (4, 200, len(data) - 1000):
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(data[:length])
        error = refused(tmp_path, before, path)
        assert error.kind is ErrorKind.BAD_MODEL
        assert path.name in error.message


def test_five_gigabytes_of_nothing(tmp_path: Path, before: dict[str, str]) -> None:
    """As zeros, and behind a header that is sound: neither is read into memory."""
    path = tmp_path / "zeros.safetensors"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    started = time.process_time()
    assert path.name in refused(tmp_path, before, path).message
    path = tmp_path / "wide.safetensors"
    tensor = {"dtype": "F16", "shape": [1 << 20, 2560], "data_offsets": [0, 5 << 30]}
    header = json.dumps({"lora_unet_conv_in.diff": tensor}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + (5 << 30))
    assert path.name in refused(tmp_path, before, path).message
    assert time.process_time() - started < 5


def test_a_million_keys(tmp_path: Path, before: dict[str, str]) -> None:
    path = tmp_path / "keys.safetensors"
    names = (f'"lora_unet_x{n}.alpha":{{"dtype":"F16","shape":[0],"data_offsets":[0,0]}}'
             for n in range(1_000_000))  # fmt: skip
    header = ("{" + ",".join(names) + "}").encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert path.name in refused(tmp_path, before, path).message


FULL = """
import resource, sys
from pathlib import Path
from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize, Lora
from gui.errors import SfumatoError

limit = int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    make_variant(Path(sys.argv[1]), Path(sys.argv[2]), [Lora(sys.argv[3])], ImageSize(128, 64))
except SfumatoError as error:
    print(error.kind.value, error.message)
"""


def test_a_disk_that_takes_no_more(tmp_path: Path, before: dict[str, str]) -> None:
    """For real: the system refuses to let any file grow beyond 100 KB."""
    arguments = [str(source()), str(tmp_path / "made"), str(LORA), "100000"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("storage “made” could not be written: "), done.stderr[-500:]
    assert done.stdout.strip().endswith("then try again.")
    assert list(tmp_path.iterdir()) == []
    assert state(source()) == before


MAKE = """
import os, sys
from pathlib import Path
from gui.convert.patch.variant import make_variant
from gui.convert.types import ImageSize, Lora

for _ in sys.stdin:  # each time in a process of its own, which need not import all that again
    if not (pid := os.fork()):
        os.write(1, f"{os.getpid()}\\n".encode())
        make_variant(Path(sys.argv[1]), Path(sys.argv[2]), [Lora(sys.argv[3])], ImageSize(128, 64))
        os._exit(0)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


def test_kills_at_any_point(tmp_path: Path, before: dict[str, str]) -> None:
    """Of a model with LoRA and size: there is none, or a whole one.  ``SFUMATO_KILLS`` of them."""
    chance = random.Random(5)
    whole: dict[str, str] = {}
    length = 0.0
    place = tmp_path / "made"
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKE, str(source()), str(place), str(LORA)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with maker:
        assert maker.stdin is not None and maker.stdout is not None
        for number in range(KILLS + 1):
            maker.stdin.write("\n")
            maker.stdin.flush()
            pid = int(maker.stdout.readline())
            started = time.monotonic()
            if number:
                time.sleep(chance.uniform(0, 1.2) * length)
                with contextlib.suppress(ProcessLookupError):  # it was done already
                    os.kill(pid, signal.SIGKILL)
            assert maker.stdout.readline() == "ended\n"
            length = length or time.monotonic() - started
            found = list(model_folders(tmp_path))
            assert found in ([], [place]) and (found or number)
            if found:
                made = state(place)
                whole = whole or made
                assert made == whole
                shutil.rmtree(place)
        maker.stdin.close()
    assert state(source()) == before
    make_variant(source(), tmp_path / "made", [Lora(str(LORA))], ImageSize(128, 64))
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_compressed_weights_in_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few bits are refused with the reason and what to do; more are told with the noise added."""
    from gui.cli.main import main

    kinds = (K.TEXT_ENCODER, K.UNET, K.VAE_DECODER)
    few = patched.variant_of(
        "patch-packed-2", "sd1", compression=Compression.PALETTE_2, components=kinds
    ).folder
    asked = ["patch", str(few), "--lora", str(LORA), "-o", str(tmp_path / "few")]
    assert main(asked) != 0
    said = capsys.readouterr().err
    assert "palettes of 2 bits, in which a LoRA would be lost" in said
    assert "convert it anew with the LoRA" in said
    six = patched.variant_of(
        "patch-packed-6", "sd1", compression=Compression.PALETTE_6, components=kinds
    ).folder
    assert main(["patch", str(six), "--lora", str(LORA), "-o", str(tmp_path / "six")]) == 0
    said = capsys.readouterr().err
    assert "compressed tensors were compressed again" in said
    assert "dB or more below the weights" in said
