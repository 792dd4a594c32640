"""What the tests of installed models share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gui.hub.downloads import Downloads
from gui.hub.types import DownloadState
from tests.support.hub_downloads import (
    random_bytes,
)
from tests.support.hub_repo import Repo

WEIGHT = "Unet.mlpackage/Data/weights/weight.bin"


def get_model(downloads: Downloads, repo: Repo, variant: Any) -> Path:
    status = downloads.wait(downloads.start(repo.id, repo.sha, variant).id, 60)
    assert status.state is DownloadState.DONE, status
    return Path(status.folder)


def fog() -> Repo:
    return Repo(
        "ada/fog",
        {
            "README.md": "---\nlicense: mit\n---\n# Fog\n",
            "packages/Unet.mlpackage/Manifest.json": '{"v": 1}',
            f"packages/{WEIGHT}": random_bytes(2_500_000),
            "packages/VAE.mlpackage/Data/weights/weight.bin": random_bytes(300_000, 1),
        },
    )
