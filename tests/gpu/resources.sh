#!/bin/bash
# tests/gpu/resources.sh NVCC FLAGS...: what ptxas gives each kernel, for each of $CUDA_ARCHS: registers, static shared memory,
# spills (bytes stored and loaded again). One line a kernel and architecture.
set -eu -o pipefail
nvcc=$1
shift
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT

echo "file kernel arch registers shared_bytes spill_stores spill_loads" | tr ' ' '\t'
for source in trainer/cuda/*.cu; do
    exact=
    case $source in */encode.cu | */outer.cu) exact=-fmad=false ;; esac
    for arch in $CUDA_ARCHS; do
        # $exact is empty or one flag.
        # shellcheck disable=SC2086
        "$nvcc" -std=c++17 -O3 "$@" $exact -arch="sm_$arch" -Xptxas -v -cubin -o "$scratch" "$source" 2>&1 |
            awk -v file="${source##*/}" -v arch="$arch" '
                /Compiling entry function/ { split($0, part, "\047"); name = part[2] }
                /spill stores/ { for (i = 2; i <= NF; i++) { if ($i == "spill" && $(i + 1) ~ /^stores/) s = $(i - 2)
                                                             if ($i == "spill" && $(i + 1) ~ /^loads/) l = $(i - 2) } }
                /Used [0-9]+ registers/ { shared = 0
                    for (i = 2; i <= NF; i++) if ($i ~ /^smem/) shared = $(i - 2)
                    for (i = 1; i <= NF; i++) if ($i == "Used") registers = $(i + 1)
                    print file "\t" name "\tsm_" arch "\t" registers "\t" shared "\t" s "\t" l }'
    done
done | c++filt -p
