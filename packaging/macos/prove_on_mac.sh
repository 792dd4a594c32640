#!/bin/sh
# Prove a finished Sfumato on this Mac, the way people meet it.  Each place runs the whole self-test;
# reports and logs are kept.  Ends with 1 where one of them failed.
#
#   packaging/macos/prove_on_mac.sh APP IMAGE OUT [PLACE…]
#
# APP    dist/Sfumato.app, or "-" where there is only the image
# IMAGE  dist/Sfumato-1.2.0.dmg
# OUT    folder for reports
# PLACE  build image applications quarantined odd-folder  (default: all)
#
#   build         the app where it was built
#   image         from the mounted, read-only disk image
#   applications  copied to /Applications, or to $APPLICATIONS; what is there already is kept
#   odd-folder    in a folder with a space and letters of other scripts, read-only
#   quarantined   as a browser would have left it, opened by Launch Services, so translocated; needs a
#                 notarised app, for Gatekeeper refuses any other
set -u
app=${1:?APP} image=${2:?IMAGE} out=${3:?OUT}
shift 3
[ $# -gt 0 ] || set -- build image applications odd-folder quarantined
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
volume=
failed=

clean() {
    [ -z "$volume" ] || hdiutil detach -quiet "$volume" || hdiutil detach -quiet -force "$volume"
    chmod -R u+w "$work" && rm -rf "$work"
}
trap clean EXIT

mounted() {
    [ -n "$volume" ] && return
    volume=$work/volume
    mkdir -p "$volume"
    hdiutil attach -quiet -nobrowse -readonly -mountpoint "$volume" "$image" || {
        volume=
        return 1
    }
}

tested() {  # PLACE APP
    SFUMATO_HOME=$work/home-$1 "$2/Contents/MacOS/Sfumato" --self-test \
        --report "$out/$1.json" > "$out/$1.log" 2>&1
}

build() { [ "$app" != - ] && tested build "$app"; }

image() { mounted && tested image "$volume/Sfumato.app"; }

applications() {
    target=${APPLICATIONS:-/Applications}/Sfumato.app
    if [ -e "$target" ]; then
        echo "$target is there already; set APPLICATIONS to another folder." >&2
        return 1
    fi
    mounted && ditto "$volume/Sfumato.app" "$target" || return 1
    tested applications "$target"
    ended=$?
    rm -rf "$target"
    return $ended
}

odd_folder() {
    folder="$work/Ωμέγα пример 写真"
    mkdir -p "$folder" && mounted && ditto "$volume/Sfumato.app" "$folder/Sfumato.app" || return 1
    chmod -R a-w "$folder"
    tested odd-folder "$folder/Sfumato.app"
}

quarantined() {
    copy=$work/Downloads/Sfumato.app
    mkdir -p "$work/Downloads" && mounted && ditto "$volume/Sfumato.app" "$copy" || return 1
    xattr -rw com.apple.quarantine "0081;$(printf %x "$(date +%s)");Safari;$(uuidgen)" "$copy"
    if ! spctl -a -t exec "$copy" 2>> "$out/quarantined.log"; then
        echo "Not notarised: Gatekeeper would ask a person." >> "$out/quarantined.log"
        [ -z "${REQUIRE_NOTARISED:-}" ]
        return
    fi
    # Started by Launch Services it gets neither our environment nor our terminal; -W waits for it.
    open -n -W --stdout "$out/quarantined.log" --stderr "$out/quarantined.log" \
        --env "SFUMATO_HOME=$work/home-quarantined" "$copy" \
        --args --self-test --report "$out/quarantined.json" || return 1
    grep -q "^self-test passed" "$out/quarantined.log" && grep -q AppTranslocation "$out/quarantined.log"
}

for place in "$@"; do
    case $place in
    build | image | applications | quarantined) check=$place ;;
    odd-folder) check=odd_folder ;;
    *) echo "unknown place: $place" >&2; exit 2 ;;
    esac
    if "$check"; then
        echo "ok      $place"
    else
        echo "FAILED  $place; see $out/$place.log"
        failed=yes
    fi
done
sw_vers > "$out/machine.txt"
sysctl -n machdep.cpu.brand_string >> "$out/machine.txt"
[ -z "$failed" ]
