#!/usr/bin/env python3
"""The test runner behind `make test`.

    tests/run.py all | SUITE... [FOLDER...] [--seeds A-B] [--jobs N] [--no-build]

Suites: unit, unit-asan, bytes, sim, sim-asan, integration; by hand alone bench and soak, the simulators with 10,000 seeds
(`tests/run.py unit fec lane` runs one suite).
The last line is always `N passed, N failed, N skipped`; the exit status is 1 when anything failed.

A suite without a single test counts as a failure, and so does a program that dies, hangs, or says nothing.
Every process started here, and whatever those start, is killed when its test ends or the runner is interrupted:
each test is a process group of its own, and the runner is the subreaper of everything below it. A test that is cut
short has a moment to remove what it made. GX_TEST_PORT names the kinds of
ports that the integration tests run on.
"""

import argparse
import concurrent.futures
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("B") or "build"
ASAN = BUILD + "/asan"
MAKE = os.environ.get("MAKE") or "make"

ALL = ["unit", "unit-asan", "bytes", "sim", "sim-asan", "integration"]
SEEDS, SEEDS_ASAN, SEEDS_SOAK = (1, 1000), (1, 100), (1, 10000)
SEEDS_A_JOB, SEEDS_A_JOB_ASAN = 50, 10
SEEDED = ["gx-sim", "links_sim"]
SCENES = ["rate_sim", "scene_sim"]
TIMEOUT_S = {"unit": 120, "unit-asan": 300, "bytes": 120, "sim": 600, "sim-asan": 600, "integration": 600, "bench": 900,
             "soak": 1800}
TOTAL_S = 840  # a run within 15 minutes on two cores, and a hang, end here
TOTAL_SOAK_S = 12 * 3600
GRACE_S = 5
SHOWN_LINES = 80
# Integration tests mostly wait, so two at once; those that look at times get the machine for themselves.
INTEGRATION_JOBS = 2
ALONE = ["test_ports.py", "test_wan.py", "test_wan_dpdk.py"]

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
libc = ctypes.CDLL(None, use_errno=True)

stopping = threading.Event()
running = {}
running_lock = threading.Lock()


# ---- processes ----


def child_setup():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def children_of(pid):
    pids = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                stat = f.read()
        except OSError:
            continue
        if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
            pids.append(int(stat.split(" ", 1)[0]))
    return pids


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill_strays():
    """Processes that left their test's group end up as our children; nothing of ours is running when this is called."""
    while True:
        strays = children_of(os.getpid())
        if not strays:
            return
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def run(argv, timeout_s, env=None):
    """Runs argv; returns (exit status or a word, output). The whole group is dead when it returns."""
    with tempfile.TemporaryFile() as out:
        with running_lock:
            if stopping.is_set():
                return "interrupted", ""
            proc = subprocess.Popen(
                argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=child_setup)
            running[proc.pid] = proc
        try:
            status = proc.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = f"no end after {timeout_s} s"
            end(proc)
        kill_group(proc.pid)
        proc.wait()
        with running_lock:
            del running[proc.pid]
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    if stopping.is_set():
        status = "interrupted"
    elif isinstance(status, int) and status < 0:
        status = f"killed by {signal.Signals(-status).name}"
    return status, text


def end(proc):
    """Asks it to end; returns when it has, or does not."""
    proc.terminate()
    try:
        proc.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass


def stop(*_):
    """The second time, nobody is asked any more."""
    again = stopping.is_set()
    stopping.set()
    for proc in list(running.values()):
        if again:
            kill_group(proc.pid)
        else:
            threading.Thread(target=end, args=[proc]).start()


# ---- results ----


class Result:
    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []
        self.output = ""
        self.seconds = 0.0


def parse(text, result):
    """TAP as cmocka 1.1 prints it, and the lines of tests/integration. Returns how many tests were announced."""
    planned, said = 0, []
    for line in text.splitlines():
        plan = re.match(r"1\.\.(\d+)$", line)
        tap = re.match(r"(ok|not ok) \d+ (?:- )?(# SKIP )?(.*)$", line)
        own = re.match(r"(ok|not ok|skip) (?!\d+ )([^:]+)(?:: *(.*))?$", line)
        if plan:
            planned += int(plan[1])
        elif tap and tap[2]:
            result.skipped.append((tap[3], " ".join(said).strip() or "no reason given"))
        elif tap:
            (result.passed if tap[1] == "ok" else result.failed).append((tap[3], ""))
        elif own:
            {"ok": result.passed, "not ok": result.failed, "skip": result.skipped}[own[1]].append((own[2], own[3] or ""))
        else:
            if not line.startswith("#"):  # in TAP, a remark on the test before
                said = [*said[-1:], re.sub(r"^skip: *", "", line)]
            continue
        said = []
    return planned


def test_program(argv, timeout_s, env):
    """A program of several tests: cmocka's or one of tests/integration."""
    result = Result()
    status, result.output = run(argv, timeout_s, env)
    planned = parse(result.output, result)
    count = len(result.passed) + len(result.failed) + len(result.skipped)
    if status == 77 and count == 0:
        result.skipped.append((os.path.basename(argv[0]), (result.output.strip().splitlines() or ["exit status 77"])[-1]))
    elif status != 0 and not result.failed and not (status == 77 and result.skipped and not result.passed):
        result.failed.append((os.path.basename(argv[0]), f"exit: {status}"))
    elif count == 0:
        result.failed.append((os.path.basename(argv[0]), "ran no test"))
    elif planned > count:
        result.failed.append((os.path.basename(argv[0]), f"announced {planned} tests, ran {count}"))
    return result


def one_test(name):
    """A program that is one test: its exit status decides."""

    def test(argv, timeout_s, env):
        result = Result()
        status, result.output = run(argv, timeout_s, env)
        if status == 0:
            result.passed.append((name, ""))
        elif status == 77:
            result.skipped.append((name, (result.output.strip().splitlines() or ["exit status 77"])[-1]))
        else:
            result.failed.append((name, f"exit: {status}"))
        return result

    return test


def failure(name, why, output=""):
    result = Result()
    result.failed.append((name, why))
    result.output = output
    return result


# ---- building ----


def make(*args, timeout_s=600):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SAN", "B", "O")}
    return run([MAKE, "-s", f"-j{jobs}", "--no-print-directory", *args], timeout_s, env)


def build(what, *args):
    started = time.monotonic()
    status, text = make(*args)
    if status == 0:
        print(f"built {what} in {time.monotonic() - started:.0f} s", flush=True)
        return True
    report("build", what, failure(what, f"make {' '.join(args)}: {status}", text))
    return False


# ---- suites: each gives (name, function, argv, environment) ----


def environment(san=False):
    env = dict(os.environ)
    env["CMOCKA_MESSAGE_OUTPUT"] = "TAP"
    env["GX_BIN"] = os.path.join(ROOT, ASAN if san else BUILD, "bin")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["OMP_WAIT_POLICY"] = "passive"
    env["OPENBLAS_NUM_THREADS"] = "1"
    if san:
        env["ASAN_OPTIONS"] = "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    return env


def programs(pattern):
    return [p for p in sorted(glob.glob(os.path.join(ROOT, pattern))) if os.path.isfile(p) and os.access(p, os.X_OK)]


def unit_tests(build_dir, folders, san):
    for path in programs(f"{build_dir}/tests/unit/*/test_*"):
        source = os.path.relpath(path, os.path.join(ROOT, build_dir))
        folder = source.split("/")[2]
        if not glob.glob(os.path.join(ROOT, source + ".c*")) or (folders and folder not in folders):
            continue
        yield f"{folder}/{os.path.basename(path)}", test_program, [path], environment(san)


def sim_tests(build_dir, seeds, san):
    first, last = seeds
    count = SEEDS_A_JOB_ASAN if san else SEEDS_A_JOB
    # Every process gets neighbouring seeds: a slow kind of seed is then spread over all of them.
    for program in SEEDED:
        path = os.path.join(ROOT, build_dir, "bin", program)
        if not os.path.exists(path):
            yield program, None, [path], None
            continue
        for a in range(first, last + 1, count):
            b = min(a + count - 1, last)
            yield f"{program} seeds {a}-{b}", one_test(f"seeds {a}-{b}"), [path, "--seeds", f"{a}-{b}"], environment(san)
    if not san:
        for program in SCENES:
            yield program, one_test("every scene"), [os.path.join(ROOT, build_dir, "bin", program)], environment()


def integration_tests():
    scripts = [p for p in programs("tests/integration/*") if not p.endswith((".c", ".h"))]
    compiled = [p for p in programs(f"{BUILD}/tests/integration/*")
                if os.path.exists(os.path.join(ROOT, "tests/integration", os.path.basename(p) + ".c"))]
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/integration/test_*"))):
        if not path.endswith((".c", ".h")) and path not in scripts:
            yield os.path.basename(path), one_test("can be run"), ["test", "-x", path], environment()
    for path in scripts + compiled:
        yield os.path.basename(path), test_program, [path], environment()


def bytes_tests():
    """The same bytes from every compiler and every optimisation: tests/bytes prints digests, they must be equal."""
    base = os.path.join(ROOT, BUILD, "tests/bytes/bytes")
    compilers = [("gcc", "-O3 -march=native"), ("clang", "-O2"), ("clang", "-O3 -march=native")]

    def variant(cc, flags):
        def test(argv, timeout_s, env):
            name, result = f"{cc} {flags}", Result()
            if not shutil.which(cc):
                result.skipped.append((name, f"{cc} is not installed (make lint installs it)"))
                return result
            directory = f"{BUILD}/variant/{re.sub('[^a-z0-9A-Z]+', '-', cc + flags)}"
            status, text = make("bytes", f"B={directory}", f"CC={cc}", f"O={flags}")
            if status != 0:
                return failure(name, f"build: {status}", text)
            status, got = run([os.path.join(ROOT, directory, "tests/bytes/bytes")], timeout_s, env)
            wanted_status, wanted = run([base], timeout_s, env)
            if status != 0 or wanted_status != 0:
                return failure(name, f"exit: {status}, {wanted_status}", got + wanted)
            if not wanted or got != wanted:
                return failure(name, "other bytes than gcc -O2", f"gcc -O2:\n{wanted}{name}:\n{got}")
            result.passed.append((name, ""))
            return result

        return test

    for cc, flags in compilers:
        yield f"{cc} {flags}", variant(cc, flags), [base], environment()


def bench_tests():
    for path in programs("tests/bench/*") + programs(f"{BUILD}/tests/bench/*"):
        if not path.endswith((".c", ".h", ".md")):
            yield os.path.basename(path), one_test(os.path.basename(path)), [path], environment()


def suite(name, options):
    if name == "unit":
        return unit_tests(BUILD, options.folders, False)
    if name == "unit-asan":
        return unit_tests(ASAN, options.folders, True)
    if name == "bytes":
        return bytes_tests()
    if name == "sim":
        return sim_tests(BUILD, options.seeds or SEEDS, False)
    if name == "sim-asan":
        return sim_tests(ASAN, options.seeds or SEEDS_ASAN, True)
    if name == "soak":
        return sim_tests(BUILD, options.seeds or SEEDS_SOAK, False)
    if name == "integration":
        return integration_tests()
    return bench_tests()


# ---- reporting ----

totals = Result()
print_lock = threading.Lock()


def report(suite_name, name, result, show=False):
    with print_lock:
        totals.passed += result.passed
        totals.failed += [(f"{suite_name} {name}: {t}", why) for t, why in result.failed]
        totals.skipped += [(f"{suite_name} {name}: {t}", why) for t, why in result.skipped]
        word = "FAIL" if result.failed else "skip" if not result.passed else "ok  "
        skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
        print(f"{word} {suite_name} {name}: {len(result.passed)} passed{skipped} ({result.seconds:.1f} s)", flush=True)
        for test, why in result.skipped:
            print(f"     skip {test}: {why}", flush=True)
        for test, why in result.failed:
            print(f"     not ok {test}{': ' + why if why else ''}", flush=True)
        if result.failed or show:
            lines = result.output.rstrip().splitlines()
            if len(lines) > SHOWN_LINES:
                lines = [f"({len(lines) - SHOWN_LINES} lines before)"] + lines[-SHOWN_LINES:]
            for line in lines:
                print(f"     | {line}", flush=True)


def run_one(suite_name, name, test, argv, env):
    started = time.monotonic()
    if test is None:
        result = failure(name, f"{os.path.relpath(argv[0], ROOT)} does not exist")
    else:
        result = test(argv, TIMEOUT_S[suite_name], env)
    result.seconds = time.monotonic() - started
    if not stopping.is_set():
        report(suite_name, name, result, show=suite_name == "bench")
    return result


def parse_seeds(text):
    a, _, b = text.partition("-")
    seeds = int(a), int(b or a)
    if seeds[0] > seeds[1]:
        raise ValueError(text)
    return seeds


def main():
    global jobs
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip())
    parser.add_argument("suite", choices=ALL + ["all", "bench", "soak"])
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--seeds", type=parse_seeds)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    jobs = options.jobs
    suites = ALL if options.suite == "all" else [options.suite]

    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    total_s = TOTAL_SOAK_S if options.suite == "soak" else TOTAL_S
    timer = threading.Timer(total_s, stop)
    timer.daemon = True
    timer.start()

    built = True
    if not options.no_build:
        built = build("all", f"B={BUILD}", "build", "tests", "bytes")
        if any(s.endswith("asan") for s in suites):
            built = build("all with sanitizers", "SAN=asan", f"B={ASAN}", "build", "tests") and built

    later = ("integration", "bench")
    work = {s: list(suite(s, options)) for s in suites} if built else {}
    for name, tests in work.items():
        if not tests:
            report(name, "suite", failure("suite", "has no test"))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # The slow ones first, so that none is alone at the end.
        order = sorted((s for s in work if s not in later), key=lambda s: -TIMEOUT_S[s])
        for future in [pool.submit(run_one, s, *test) for s in order for test in work[s]]:
            future.result()
    kill_strays()
    with concurrent.futures.ThreadPoolExecutor(INTEGRATION_JOBS) as pool:
        together = [test for test in work.get("integration", []) if test[0] not in ALONE]
        for future in [pool.submit(run_one, "integration", *test) for test in together]:
            future.result()
    kill_strays()
    for name in later:
        for test in work.get(name, []):
            if not stopping.is_set() and (name == "bench" or test[0] in ALONE):
                run_one(name, *test)
                kill_strays()
    kill_strays()

    if stopping.is_set():
        late = timer.finished.is_set()
        totals.failed.append(("runner", f"no end after {total_s} s" if late else "interrupted"))
    for label, results in (("skipped", totals.skipped), ("failed", totals.failed)):
        for test, why in results:
            print(f"{label}: {test}{': ' + why if why else ''}")
    print(f"{len(totals.passed)} passed, {len(totals.failed)} failed, {len(totals.skipped)} skipped", flush=True)
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
