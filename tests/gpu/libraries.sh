#!/bin/sh
# Prints LD_LIBRARY_PATH with the folders behind it where pip puts cuBLAS, cuDNN and NCCL (PyTorch brings them): the loader does
# not look there by itself.
pip=$(python3 -c 'import glob, sys
print(*(f for p in sys.path for f in glob.glob(p + "/nvidia/*/lib")), sep=":")' 2>/dev/null)
echo "${LD_LIBRARY_PATH:-}${LD_LIBRARY_PATH:+${pip:+:}}$pip"
