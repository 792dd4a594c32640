#!/bin/sh
# Make a source checkout ready to run or to test: system libraries, .venv, locked packages, and
# Sfumato itself (editable).  A second call with nothing changed takes a fraction of a second.
#
#   packaging/setup_dev.sh run|test
#
# PYTHON           interpreter to use, 3.11 to 3.13 (default: the first that fits)
# TORCH_INDEX_URL  package index for torch alone, e.g. a CPU-only one on Linux
set -eu
cd "$(dirname "$0")/.."

purpose=${1:-run}
lock=packaging/locks/development.txt
stamp=.venv/.sfumato-setup

say() { printf '%s\n' "$*" >&2; }

fits() {  # is $1 a Python that every locked package has a build for?
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    # The machine's own python3 first: on Debian that is the one apt keeps current.
    for candidate in ${PYTHON:-python3 python3.12 python3.13 python3.11}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# What must be there beyond pip's reach, as "what:package".  A name with .so is a shared library,
# any other a program.
qt_libraries="libglib-2.0.so.0:libglib2.0-0 libGL.so.1:libgl1 libEGL.so.1:libegl1
    libfontconfig.so.1:libfontconfig1 libxkbcommon.so.0:libxkbcommon0 libdbus-1.so.3:libdbus-1-3"
x11_libraries="libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4
    libxcb-image.so.0:libxcb-image0 libxcb-keysyms.so.1:libxcb-keysyms1
    libxcb-render-util.so.0:libxcb-render-util0 libxcb-shape.so.0:libxcb-shape0
    libxcb-xkb.so.1:libxcb-xkb1 libxkbcommon-x11.so.0:libxkbcommon-x11-0"
test_programs="Xvfb:xvfb xauth:xauth openbox:openbox xdotool:xdotool
    exiftool:libimage-exiftool-perl"

missing_packages() {
    wanted=$qt_libraries
    if [ "$purpose" = test ]; then
        wanted="$wanted $x11_libraries $test_programs"
    elif [ -n "${DISPLAY:-}" ]; then
        wanted="$wanted $x11_libraries"
    fi
    present=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p || true)
    for item in $wanted; do
        name=${item%%:*}
        case $name in
            *.so*) case $present in *"$name "*) continue ;; esac ;;
            *) if command -v "$name" >/dev/null 2>&1; then continue; fi ;;
        esac
        printf '%s ' "${item##*:}"
    done
    if ! python=$(find_python); then
        printf '%s ' python3 python3-venv
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s ' "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
}

install_system_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        say "Missing on this system: $1"
        say "(Debian's package names.)  Install them with your package manager, then try again."
        exit 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
        # Without a terminal sudo cannot ask for a password.
        if ! command -v sudo >/dev/null 2>&1 || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            say "Some system packages are missing.  Install them, then try again:"
            say "    sudo apt-get update && sudo apt-get install --no-install-recommends $1"
            exit 1
        fi
    fi
    say "Installing system packages: $1"
    $as_root apt-get update -q
    # shellcheck disable=SC2086  # the list is meant to be split
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $1
}

fingerprint() {
    { cat "$lock" pyproject.toml packaging/build_with_resources.py gui/__init__.py "$0"; pwd; echo "${TORCH_INDEX_URL:-}"; } | cksum
}

install_python_packages() {
    if ! python=$(find_python); then
        say "Sfumato needs Python 3.11, 3.12 or 3.13, and none was found."
        say "Install one (on a Mac: from python.org, or \"brew install python@3.12\"), or name one:"
        say "    make setup PYTHON=/path/to/python3.12"
        exit 1
    fi
    if ! fits .venv/bin/python; then
        say "Creating .venv with $("$python" --version)"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install -qq"
    # torch goes first and alone: asked for exactly, a local or CPU-only build of it is taken
    # where one is offered, and the rest of the lock then leaves it be.
    torch=$(grep '^torch==' "$lock")
    # shellcheck disable=SC2086  # commands with their options
    $pip ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$torch"
    say "Installing the locked packages (a few minutes the first time)"
    # shellcheck disable=SC2086
    $pip --requirement "$lock"
    # shellcheck disable=SC2086
    $pip --no-deps --no-build-isolation --editable .
}

if [ "$(uname -s)" = Linux ]; then
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        install_system_packages "$missing"
    fi
fi
if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$(fingerprint)" ]; then
    install_python_packages
    fingerprint > "$stamp"
fi
