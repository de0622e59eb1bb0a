#!/usr/bin/env bash
# Applies each patch of tests/mutants/ to a copy of the tree and shows that the simulator catches it.
#
#   tests/mutants/run.sh [NAME...]        SEEDS=1-1000 JOBS=2
#
# A mutant is caught when gx-sim fails within the seeds, in whatever way: an invariant, an assertion, a bad memory access,
# a hang. A patch that does not apply, or a tree that does not build, is a failure of its own. The first tree is built
# without any patch and must pass; its objects are shared, so that each mutant compiles little.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
seeds=${SEEDS:-1-1000}
jobs=${JOBS:-2}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/gx-mutants.XXXXXX")
# make exports its flags to what it runs; a copy's build is its own.
unset MAKEFLAGS MFLAGS B
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

caught=0
missed=0

ok() {
    caught=$((caught + 1))
    printf 'ok %s %s\n' "$1" "$2"
}

not_ok() {
    missed=$((missed + 1))
    printf 'not ok %s %s\n' "$1" "$2"
}

copy_tree() {
    mkdir -p "$1"
    (cd "$root" && git ls-files -z -co --exclude-standard | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done | tar -cf - --null -T -) | tar -xf - -C "$1"
}

build() {
    make -s -C "$1" -j"$jobs" build/bin/gx-sim >"$1/build.log" 2>&1
}

# The line that says which seed and which invariant; empty when all seeds passed.
first_failure() {
    (cd "$1" && build/bin/gx-sim --seeds "$seeds" --jobs "$jobs" 2>&1 || true) | grep -a -m1 '^FAIL seed' || true
}

mutant() {
    local name=$1 tree=$tmp/mutant line
    rm -rf "$tree"
    cp -a "$tmp/base" "$tree"
    if ! patch -s -p1 -d "$tree" <"$root/tests/mutants/$name.patch" >"$tree/patch.log" 2>&1; then
        not_ok "$name" 'its patch does not apply'
        cat "$tree/patch.log"
    elif ! build "$tree"; then
        not_ok "$name" 'does not build'
        tail -n 20 "$tree/build.log"
    else
        line=$(first_failure "$tree")
        if [[ $line =~ ^FAIL\ seed\ ([0-9]+):\ ([A-Z0-9]+) ]]; then
            ok "$name" "caught at seed ${BASH_REMATCH[1]} (${BASH_REMATCH[2]})"
        else
            not_ok "$name" "survived seeds $seeds"
        fi
    fi
}

if [ $# -gt 0 ]; then
    names=("$@")
else
    names=()
    for patch in "$root"/tests/mutants/*.patch; do
        names+=("$(basename "$patch" .patch)")
    done
fi

copy_tree "$tmp/base"
if ! build "$tmp/base"; then
    echo 'not ok the tree without any mutant: does not build'
    tail -n 20 "$tmp/base/build.log"
    exit 1
fi
unmutated=$(cd "$tmp/base" && build/bin/gx-sim --seeds 1-20 --jobs "$jobs" 2>&1) || {
    echo 'not ok the tree without any mutant: fails'
    grep -a '^FAIL' <<<"$unmutated" || true
    exit 1
}
for name in "${names[@]}"; do
    mutant "$name"
done
printf '%d mutants, %d caught, %d not\n' "$((caught + missed))" "$caught" "$missed"
[ "$missed" -eq 0 ]
