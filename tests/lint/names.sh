#!/bin/sh
# tests/lint/names.sh BUILD: no two libraries define the same global name (a unit test links them all).
set -eu

twice=$(for lib in "$1"/lib/libgx*.a; do
    nm -g --defined-only "$lib" 2>/dev/null | awk -v lib="${lib##*/}" 'NF == 3 {print $3, lib}' | sort -u
done | sort | awk '$1 == last {print "  " $1 ": " lib " and " $2} {last = $1; lib = $2}')
if [ -n "$twice" ]; then
    echo "lint: defined twice:" >&2
    echo "$twice" >&2
    exit 1
fi
