#!/bin/sh
# tests/deps.sh GROUP...: installs the missing packages of these groups of tests/deps.txt. Silent when nothing is missing.
set -eu

list=$(dirname "$0")/deps.txt
wanted=
for group in "$@"; do
    wanted="$wanted $(sed -n "s/^$group //p" "$list" | tr '\n' ' ')"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "make deps: not a Debian system; with its own packages this one needs what Debian 12 calls:$wanted" >&2
    exit 0
fi

# The words after dpkg-query's format are package names: they must be split.
# shellcheck disable=SC2086
have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p' | tr '\n' ' ') "
missing=
for package in $wanted; do
    case $have in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

run=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "make deps: missing:$missing; as root: apt-get install$missing" >&2
        exit 1
    fi
    run="sudo"
fi

apt() {
    $run env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

echo "make deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $missing >"$log" 2>&1; then
    # Package lists that are missing or stale: fetch them and try once more.
    if ! { apt update && apt install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "make deps: apt-get could not install:$missing" >&2
        exit 1
    fi
fi
