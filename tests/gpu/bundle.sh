#!/bin/sh
# tests/gpu/bundle.sh BIN FOLDER: the programs of a site and the libraries they need, for a machine that has a GPU but none of
# tests/deps.txt, and a C library as new as this one's: make test-gpu-site GPU_SITE=FOLDER there.
set -eu
bin=$1 folder=$2
programs='gxd gxctl gx-train gx-wan gx-tokens'

mkdir -p "$folder/bin" "$folder/lib"
for program in $programs; do
    cp "$bin/$program" "$folder/bin/"
    strip "$folder/bin/$program"
    ldd "$bin/$program"
done | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u |
    grep -Ev '/(libc|libm|libdl|librt|libpthread|libresolv)\.so\.' | xargs cp -L -t "$folder/lib"
du -sh "$folder"
