#!/bin/bash
# tests/gpu/run.sh BUILD [STARTED]: the kernels' tests on a GPU, then under compute-sanitizer, a short training run against the
# CPU's, and timings; a short table last. Without a GPU it says why and ends well. At most eight minutes from STARTED on (in
# seconds, as date +%s says them), when compiling began; five minutes of them in any case.
set -u
build=$1
here=$(dirname "$0")
left=$((470 - $(date +%s) + ${2:-$(date +%s)}))
end=$((SECONDS + (left > 300 ? left : 300)))
log=$build/test-gpu.log
libraries=$("$here/libraries.sh")
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
    local name=$1 seconds out
    seconds=$(share "$2")
    shift 2
    out=$(LD_LIBRARY_PATH=$libraries timeout -k 5 "$seconds" "$@" 2>&1)
    told "$name" "$seconds" $? "$out"
}

# told NAME SECONDS STATUS OUTPUT: what became of a part.
told() {
    local name=$1 seconds=$2 status=$3 out=$4
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
    return "$status"
}

out=$(LD_LIBRARY_PATH=$libraries timeout -k 5 120 "$build/train" 2>&1)
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
    slow=skip # what fails here is not ours
    libraries=${LD_LIBRARY_PATH:-} part "PyTorch beside it" 140 python3 "$here/torch_step.py" ||
        row "PyTorch" "no time taken: $log says why"
else
    row "PyTorch" "python3 has none that sees this GPU"
fi

# What is left of the time; cuDNN's kernels are not ours to look into.
sanitizer=
for candidate in "$(command -v compute-sanitizer)" "${CUDA_HOME:-}/bin/compute-sanitizer" /usr/local/cuda/bin/compute-sanitizer; do
    [ -z "$sanitizer" ] && [ -x "$candidate" ] && sanitizer=$candidate
done

# checked NUMBER TOOL TEST: its output to a file, its status last in it. Some run at once, each with ports of its own.
checked() {
    local seconds
    seconds=$(share 150)
    {
        LD_LIBRARY_PATH=$libraries timeout -k 5 "$seconds" "$sanitizer" --port $((49152 + 20 * $1)) --tool "$2" \
            --error-exitcode 9 "$3"
        echo "$seconds $?"
    } >"$build/$2-${3##*/}.out" 2>&1
}

# collect TOOL TEST: says what became of it; true if it is clean.
collect() {
    local file=$build/$1-${2##*/}.out seconds status
    read -r seconds status <<<"$(tail -n 1 "$file")"
    if grep -q 'Device not supported' "$file"; then
        status=77
        echo "skip: compute-sanitizer does not support this device" >>"$file"
    fi
    told "$1 ${2##*/}" "$seconds" "$status" "$(grep -v '^[0-9]* [0-9]*$' "$file")"
}

slow=skip # a check that takes longer has found nothing so far
checks=()
for tool in memcheck racecheck; do
    if [ -z "$sanitizer" ]; then
        row "$tool" "not run: compute-sanitizer is not installed (it comes with the CUDA toolkit)"
        continue
    fi
    for test in "$build"/test_*; do
        [ -x "$test" ] && [ "${test##*/}" != test_attention_cudnn ] && checks+=("$tool $test")
    done
done
number=0
for check in "${checks[@]}"; do
    read -r tool test <<<"$check"
    checked $number "$tool" "$test" &
    number=$((number + 1))
    [ $number -lt 4 ] || wait -n
done
wait
declare -A clean=() all=()
for check in "${checks[@]}"; do
    read -r tool test <<<"$check"
    all[$tool]=$((${all[$tool]:-0} + 1))
    collect "$tool" "$test" && clean[$tool]=$((${clean[$tool]:-0} + 1))
done
for tool in "${!all[@]}"; do
    row "$tool" "clean in ${clean[$tool]:-0} of ${all[$tool]} programs"
done

echo
grep '^row|' "$log" | awk -F '|' '{printf "%-52s %-58s %s\n", $2, $3, $4}'
echo
echo "$failed failed, $((SECONDS)) s; everything is in $log"
[ $failed -eq 0 ]
