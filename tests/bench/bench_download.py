"""Download throughput beside huggingface_hub's `snapshot_download`, from the same loopback server.

One large file and many small ones; the server is a process of its own.  Ours also verifies every
hash, journals every megabyte, writes the sidecar and flushes to the disk; `snapshot_download` does
none of these.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGE = 480 << 20
SMALL = 300 << 10
COUNT = 400
ROUNDS = 3
FOLDERS = ("packages", "packages/Unet.mlpackage/weights")
"""All of it, and the one large file alone."""
BUDGET = 1.0


def repository(folder: Path) -> Any:
    """The repository, its contents in files below `folder`."""
    from tests.support.hub_repo import Repo
    from tests.support.hub_shelf import generated_file

    package = f"{FOLDERS[0]}/Unet.mlpackage"
    files: dict[str, Any] = {f"{package}/weights/weight.bin": generated_file(folder, LARGE)}
    for k in range(COUNT):
        files[f"{package}/parts/{k:03}.bin"] = generated_file(folder, SMALL, seed=k + 1)
    return Repo("ada/large", files)


def serve(folder: Path) -> None:
    """In the server's process: serve until stdin ends; prints the endpoint."""
    from tests.support.hub_server import HubServer

    with HubServer([repository(folder)]) as server:
        print(server.endpoint, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_download", "--serve", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def run() -> list[dict[str, Any]]:
    """Measure; the ratio is their time ÷ ours, so that more is faster."""
    home = Path(tempfile.mkdtemp(prefix="sfumato-bench-"))
    os.environ["SFUMATO_HOME"] = os.environ["HF_HOME"] = str(home)
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    rows = []
    try:
        for folder, count in zip(FOLDERS, (COUNT + 1, 1), strict=True):
            ours, theirs = measure(home, folder)
            megabytes = (LARGE + (count - 1) * SMALL) / 1e6
            rows.append(
                {
                    "name": f"download time ÷ snapshot_download's, {count} files",
                    "value": round(ours / theirs, 3),
                    "unit": "",
                    "budget": BUDGET,
                    "note": f"{megabytes:.0f} MB; {megabytes / ours:.0f} MB/s verified, beside "
                    f"{megabytes / theirs:.0f} MB/s unverified: {theirs / ours:.2f} ×",
                }
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return rows


def measure(home: Path, folder: str) -> tuple[float, float]:
    """Seconds of ours and of theirs for a folder of the repository, medians of rounds that take
    turns."""
    from huggingface_hub import snapshot_download

    from gui.hub.downloads import Downloads
    from gui.hub.types import DownloadState, ModelSummary, RepoDetails
    from tests.support.hub_downloads import variant_of

    repo = repository(home / "files")
    variant = variant_of(repo, folder)
    about = RepoDetails(ModelSummary(repo.id), repo.sha)
    ours, theirs = [], []
    with _server(home / "files") as endpoint:
        for k in range(ROUNDS):
            os.sync()
            started = time.perf_counter()
            snapshot_download(
                repo.id,
                revision=repo.sha,
                local_dir=home / f"theirs-{k}",
                allow_patterns=f"{folder}/*",
                max_workers=8,
                endpoint=endpoint,
            )
            theirs.append(time.perf_counter() - started)
            shutil.rmtree(home / f"theirs-{k}")
            os.sync()
            started = time.perf_counter()
            with Downloads(home / f"ours-{k}", endpoint=endpoint) as downloads:
                status = downloads.start(repo.id, repo.sha, variant, about=about)
                status = downloads.wait(status.id)
            ours.append(time.perf_counter() - started)
            if status.state is not DownloadState.DONE:
                raise RuntimeError(f"the download went wrong: {status}")
            shutil.rmtree(home / f"ours-{k}")
    return statistics.median(ours), statistics.median(theirs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    else:
        for figure in run():
            print(figure)
