#!/bin/sh
# Put what was built and proved where people get it: a draft of the release, which a person looks at and
# publishes, with disk image, checksums, cask and the signed list of releases.
#
#   packaging/macos/publish.sh TAG       dist/ as `make dmg release-facts` left it; gh signed in
#
# The list goes on from the one of the latest release; it names the new one, which is there for
# everyone once the draft is published, for the app asks for …/releases/latest/download/updates.json.
set -eu
cd "$(dirname "$0")/../.."
tag=${1:?TAG}
python=${PYTHON:-python3}
site=${GITHUB_SERVER_URL:-https://github.com}/${GITHUB_REPOSITORY:-$(gh repo view --json nameWithOwner --jq .nameWithOwner)}
page=$site/releases/tag/$tag

"$python" packaging/macos/release.py dist --verify
"$python" -m venv build/publish-venv
build/publish-venv/bin/pip install --quiet "$(grep '^cryptography==' packaging/locks/bundle.txt)"
build/publish-venv/bin/python packaging/macos/cask.py dist --home "$site" \
    --download "$site/releases/download/v{version}"
set -- dist/*.dmg dist/SHA256SUMS dist/release.json dist/sfumato.rb
if [ -n "${SFUMATO_UPDATE_KEY:-}" ]; then
    gh release download --pattern updates.json --dir dist --clobber || echo "This is the first list."
    build/publish-venv/bin/python packaging/macos/update_feed.py add dist \
        --page "$page" --feed dist/updates.json
    set -- "$@" dist/updates.json
else
    echo "There is no SFUMATO_UPDATE_KEY: no copy of Sfumato will hear of this release."
fi
gh release create "$tag" "$@" --draft --title "Sfumato ${tag#v}" --notes-file dist/notes.md
