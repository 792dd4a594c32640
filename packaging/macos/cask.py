"""Write Homebrew's cask of a release from its facts.

Usage: ``python packaging/macos/cask.py dist --download URL --home URL``; writes `dist/sfumato.rb`,
for ``Casks/sfumato.rb`` of a tap.  URL is the folder of the release's files, where ``{version}``
stands for the version.

Homebrew disables casks that Gatekeeper refuses, so there is none without notarisation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from macos import release

NAMES = {11: "big_sur", 12: "monterey", 13: "ventura", 14: "sonoma", 15: "sequoia", 26: "tahoe"}
"""Homebrew's names of macOS' versions."""

# Pictures and models are a person's own, even where the app made them: neither is zapped.
LEFTOVERS = (
    "~/Library/Application Support/Sfumato/Logs",
    "~/Library/Caches/Sfumato",
    "~/Library/Preferences/{identifier}.plist",
    "~/Library/Preferences/com.sfumato.Sfumato.plist",
    "~/Library/Saved Application State/{identifier}.savedState",
)


def cask(facts: release.Facts, download: str, home: str) -> str:
    """The cask's text.

    Args:
        download: folder of the release's files, with ``{version}`` in it.
        home: page about the app.

    Raises:
        ValueError: an address is none, or Homebrew has no name for the macOS.
    """
    for address in (download, home):
        if not address.startswith("https://") or any(c in address for c in ' "\\#\n'):
            raise ValueError(f"{address!r} is no address for a cask; begin it with https://")
    if "{version}" not in download:
        raise ValueError("The download's address needs {version} in it, or no update is found")
    (image,) = [one for one in facts.files if one.name.endswith(".dmg")]
    if facts.version not in image.name:
        raise ValueError(f"{image.name} does not name version {facts.version}")
    major = int(facts.minimum_macos.split(".")[0])
    if major not in NAMES:
        raise ValueError(f"Homebrew's name of macOS {major} is not known here; add it")
    name = image.name.replace(facts.version, "#{version}")
    url = f"{download.rstrip('/').replace('{version}', '#{version}')}/{name}"
    places = sorted(path.format(identifier=facts.identifier) for path in LEFTOVERS)
    leftovers = ",\n    ".join(f'"{place}"' for place in places)
    return f'''\
cask "sfumato" do
  version "{facts.version}"
  sha256 "{image.sha256}"

  url "{url}"
  name "Sfumato"
  desc "Pictures from words with Core ML Stable Diffusion, offline"
  homepage "{home}"

  livecheck do
    url :url
    strategy :github_latest
  end

  depends_on arch: :arm64
  depends_on macos: ">= :{NAMES[major]}"

  app "Sfumato.app"

  zap trash: [
    {leftovers},
  ]
end
'''


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--download", required=True)
    parser.add_argument("--home", required=True)
    options = parser.parse_args()
    facts = release.read(options.dist / "release.json")
    text = cask(facts, options.download, options.home)
    (options.dist / "sfumato.rb").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
