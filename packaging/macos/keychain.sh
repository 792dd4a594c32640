#!/bin/sh
# A keychain for signing on a machine that is thrown away: made, filled, removed.
#
#   packaging/macos/keychain.sh import   CERTIFICATE_P12 (base64) and CERTIFICATE_PASSWORD from the
#                                        environment; prints the identity's name, and in a
#                                        workflow sets SIGNING_IDENTITY for the steps that follow
#   packaging/macos/keychain.sh remove   always, also after a failure
set -eu
keychain=${KEYCHAIN:-${RUNNER_TEMP:-/tmp}/sfumato-signing.keychain-db}

case ${1:-} in
import)
    if [ -z "${CERTIFICATE_P12:-}" ]; then
        echo "There is no CERTIFICATE_P12: the app will be signed ad hoc." >&2
        exit 0
    fi
    : "${CERTIFICATE_PASSWORD:?}"
    password=$(openssl rand -hex 24)
    file=$(mktemp)
    trap 'rm -f "$file"' EXIT
    printf '%s' "$CERTIFICATE_P12" | base64 --decode > "$file"
    security create-keychain -p "$password" "$keychain"
    security set-keychain-settings -lut 21600 "$keychain"
    security unlock-keychain -p "$password" "$keychain"
    security import "$file" -k "$keychain" -f pkcs12 -P "$CERTIFICATE_PASSWORD" -T /usr/bin/codesign
    # codesign may use the key without a dialog that nobody sees.
    security set-key-partition-list -S apple-tool:,apple:,codesign: -s -k "$password" "$keychain" >/dev/null
    # shellcheck disable=SC2046  # a list of names
    security list-keychains -d user -s "$keychain" $(security list-keychains -d user | tr -d '"')
    identity=$(security find-identity -v -p codesigning "$keychain" |
        sed -n 's/.*"\(Developer ID Application: .*\)"$/\1/p' | head -n 1)
    [ -n "$identity" ] || { echo "The certificate is no Developer ID Application." >&2; exit 1; }
    echo "$identity"
    [ -z "${GITHUB_ENV:-}" ] || echo "SIGNING_IDENTITY=$identity" >> "$GITHUB_ENV"
    ;;
remove)
    security delete-keychain "$keychain" 2>/dev/null || true
    ;;
*)
    echo "usage: keychain.sh import|remove" >&2
    exit 2
    ;;
esac
