"""Have Apple notarise what was signed, and staple its answer to it.  macOS only.

Usage: ``notarise.py dist/Sfumato.app``, then the disk image is made of it, then
``notarise.py dist/Sfumato-1.2.0.dmg --sign IDENTITY``, which signs it first.  Both are stapled, so
that the first start needs no network.

App Store Connect's key comes from the environment: ``NOTARY_KEY`` (the `.p8` file's path, or its
text), ``NOTARY_KEY_ID`` and ``NOTARY_ISSUER``.  The log of Apple's service is kept beside the
target, also when all went well: today's warnings are errors later.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KEY, KEY_ID, ISSUER = "NOTARY_KEY", "NOTARY_KEY_ID", "NOTARY_ISSUER"


class NotarisationError(Exception):
    """A sentence that says what to do."""


@contextlib.contextmanager
def credentials(environment: Mapping[str, str] = os.environ) -> Iterator[list[str]]:
    """notarytool's options; a key that is given as text lies in a file as long as they are used.

    Raises:
        NotarisationError: one of the variables is missing.
    """
    missing = [name for name in (KEY, KEY_ID, ISSUER) if not environment.get(name)]
    if missing:
        raise NotarisationError(f"Set {', '.join(missing)}; there is nobody to notarise for.")
    with tempfile.TemporaryDirectory() as folder:
        key = environment[KEY]
        if key.lstrip().startswith("-----BEGIN"):
            file = Path(folder) / "key.p8"
            file.touch(0o600)
            file.write_text(key)
            key = str(file)
        yield ["--key", key, "--key-id", environment[KEY_ID], "--issuer", environment[ISSUER]]


def possible(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a key at all; without one an app is for its builder alone."""
    return bool(environment.get(KEY))


def archive_command(app: Path, archive: Path) -> list[str]:
    """The service takes no folders; `ditto` keeps links and modes."""
    return ["ditto", "-c", "-k", "--sequesterRsrc", "--keepParent", str(app), str(archive)]


def accepted(answer: Mapping[str, Any], log: Mapping[str, Any]) -> bool:
    """Whether Apple accepted it; prints each of its remarks."""
    for issue in log.get("issues") or ():
        print(f"{issue.get('severity')}: {issue.get('path')}: {issue.get('message')}")
    return answer.get("status") == "Accepted"


def notarise(target: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Submit, wait, keep the log, staple.

    Raises:
        NotarisationError: Apple refused; the log says why.
        subprocess.CalledProcessError: one of the system's tools failed.
    """
    submitted = target
    if target.is_dir():
        submitted = target.with_suffix(".notarise.zip")
        subprocess.run(archive_command(target, submitted), check=True)
    tool = ["xcrun", "notarytool"]
    log = target.with_name(f"{target.name}.notarisation.json")
    with credentials(environment) as options:
        asked = [*tool, "submit", str(submitted), *options, "--wait", "--output-format", "json"]
        answer = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
        subprocess.run([*tool, "log", answer["id"], *options, str(log)], check=True)
    if submitted != target:
        submitted.unlink()
    if not accepted(answer, json.loads(log.read_text())):
        raise NotarisationError(f"Apple says “{answer.get('status')}”; read {log}.")
    subprocess.run(["xcrun", "stapler", "staple", str(target)], check=True)


def gates(target: Path) -> list[list[str]]:
    """What must hold of a finished app or image before anyone gets it."""
    if target.suffix == ".dmg":
        context = ["-t", "open", "--context", "context:primary-signature"]
        first = ["codesign", "--verify", "--verbose=2", str(target)]
    else:
        context = ["-t", "exec"]
        first = ["codesign", "--verify", "--strict", "--deep", "--verbose=2", str(target)]
    return [
        first,
        ["spctl", "-a", "-vv", *context, str(target)],
        ["xcrun", "stapler", "validate", str(target)],
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--sign", metavar="IDENTITY", help="sign an image first")
    parser.add_argument("--if-possible", action="store_true", help="without a key, leave it")
    options = parser.parse_args()
    try:
        if options.sign:
            signing = ["codesign", "--force", "--sign", options.sign, "--timestamp"]
            subprocess.run([*signing, str(options.target)], check=True)
        if options.if_possible and not possible():
            print(f"There is no {KEY}: {options.target.name} is not notarised.")
            return 0
        notarise(options.target)
        for command in gates(options.target):
            subprocess.run(command, check=True)
    except (NotarisationError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
