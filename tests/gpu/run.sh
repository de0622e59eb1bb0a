#!/bin/bash
# tests/gpu/run.sh BUILD: the kernels' tests on a GPU, then under compute-sanitizer, a short training run against the CPU's,
# and timings; a short table last. Without a GPU it says why and ends well. At most eight minutes.
set -u
build=$1
here=$(dirname "$0")
end=$((SECONDS + 470))
log=$build/test-gpu.log
: >"$log"
failed=0

row() { echo "row|$1|$2|${3:-}" >>"$log"; }

# Seconds that a part may take: its share, or what is left.
share() {
    local left=$((end - SECONDS))
    echo $(($1 < left ? $1 : left > 1 ? left : 1))
}

# part NAME SECONDS COMMAND...: its output goes to the log, and is shown when it fails. A part that takes longer hangs, unless
# $slow says that it is only slow.
slow=
part() {
    local name=$1 seconds out status
    seconds=$(share "$2")
    shift 2
    out=$(timeout -k 5 "$seconds" "$@" 2>&1)
    status=$?
    echo "$out" >>"$log"
    case $status in
    0) echo "ok   $name" ;;
    77)
        out=$(tail -n 1 <<<"$out")
        echo "skip $name: ${out#skip: }"
        ;;
    124 | 137)
        echo "${slow:-FAIL} $name: more than $seconds s"
        [ -n "$slow" ] || failed=$((failed + 1))
        ;;
    *)
        echo "FAIL $name (exit status $status)"
        tail -n 15 <<<"$out" | sed 's/^/     | /'
        failed=$((failed + 1))
        ;;
    esac
    return $status
}

out=$(timeout -k 5 120 "$build/train" 2>&1)
status=$?
if [ $status -eq 77 ]; then
    echo "skip test-gpu: ${out##*skip: }"
    exit 0
fi
echo "$out" | tee -a "$log" | grep -v '^row'
if [ $status -eq 0 ]; then
    echo "ok   training against the CPU"
else
    echo "FAIL training against the CPU (exit status $status)"
    failed=$((failed + 1))
fi

passed=0 tests=0 skipped=0
for test in "$build"/test_*; do
    tests=$((tests + 1))
    part "${test##*/}" 60 "$test"
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    esac
done
row "kernel tests on the GPU" "$passed of $tests programs pass, $skipped skipped"

part "timings of a step" 90 "$build/step"
part "timings of kernels" 60 "$build/kernels"
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    part "PyTorch beside it" 120 python3 "$here/torch_step.py"
else
    row "PyTorch" "not installed"
fi

# What is left of the time; cuDNN's kernels are not ours to look into.
sanitizer=
for candidate in "$(command -v compute-sanitizer)" "${CUDA_HOME:-}/bin/compute-sanitizer" /usr/local/cuda/bin/compute-sanitizer; do
    [ -z "$sanitizer" ] && [ -x "$candidate" ] && sanitizer=$candidate
done
slow=skip
for tool in memcheck racecheck; do
    if [ -z "$sanitizer" ]; then
        row "$tool" "not run: compute-sanitizer is not installed (it comes with the CUDA toolkit)"
        continue
    fi
    clean=0 tests=0
    for test in "$build"/test_*; do
        [ "${test##*/}" = test_attention_cudnn ] && continue
        tests=$((tests + 1))
        part "$tool ${test##*/}" 40 "$sanitizer" --tool "$tool" --error-exitcode 9 "$test" && clean=$((clean + 1))
    done
    row "$tool" "clean in $clean of $tests programs"
done

echo
grep '^row|' "$log" | awk -F '|' '{printf "%-52s %-58s %s\n", $2, $3, $4}'
echo
echo "$failed failed, $((SECONDS)) s; everything is in $log"
[ $failed -eq 0 ]
