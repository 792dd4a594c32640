#!/bin/sh
# Compile the layered icon for macOS 26: packaging/macos/icons/Assets.car, which may be committed, for
# icons rarely change.  Needs a Mac with Xcode 26 (DEVELOPER_DIR chooses one).
#
#   packaging/macos/compile_icon.sh [OUT]
set -eu
icons=$(cd "$(dirname "$0")/icons" && pwd)
out=${1:-$icons}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
xcrun actool "$icons/AppIcon.icon" --compile "$work" \
    --app-icon AppIcon --include-all-app-icons \
    --enable-on-demand-resources NO --development-region en \
    --target-device mac --platform macosx --minimum-deployment-target 14.0 \
    --output-partial-info-plist "$work/partial.plist" --errors --warnings
# actool tells of some failures in its output alone.
[ -s "$work/Assets.car" ] || { echo "actool made no Assets.car." >&2; exit 1; }
xcrun assetutil --info "$work/Assets.car" | grep -q '"Name" : "AppIcon"' || {
    echo "Assets.car holds no AppIcon." >&2
    exit 1
}
cp "$work/Assets.car" "$out/Assets.car"
echo "$out/Assets.car"
