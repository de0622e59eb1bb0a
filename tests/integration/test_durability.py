#!/usr/bin/env python3
"""Nobody sees a record before it is durable: the coordinator's fdatasync has returned before the first STATUS with the
record is on the wire."""
import re
import shutil
import struct
import subprocess
import sys

import gxtest
from gxtest import Lab, Skip, check, remark

CONTROL, STATUS = 3, 3
DECIDED_OFFSET = 65  # in a STATUS, dataplane/wire/state.h


def strace():
    path = shutil.which("strace")
    if not path:
        raise Skip("strace is not installed")
    tried = subprocess.run([path, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise Skip("strace may not trace here: %s" % (tried.stderr.strip().splitlines() or ["no reason given"])[-1])
    return path


def syncs(path):
    """When each fdatasync that succeeded returned, in seconds of CLOCK_REALTIME."""
    returned = []
    with open(path) as f:
        for line in f:
            whole = re.match(r"\d+ +(\d+\.\d+) fdatasync\(\d+\) += 0 <([\d.]+)>", line)
            resumed = re.match(r"\d+ +(\d+\.\d+) <\.\.\. fdatasync resumed>.* = 0 <[\d.]+>", line)
            if whole:
                returned.append(float(whole[1]) + float(whole[2]))
            elif resumed:
                returned.append(float(resumed[1]))
    return returned


def first_statuses(path):
    """{round: when the first STATUS that carries its record entered the relay}, of those that site 0 sent."""
    first = {}
    with open(path) as f:
        for line in f:
            time, source, _, _, kind, _, _, *content = line.split()
            if source != "0" or kind != str(CONTROL) or not content:
                continue
            data = bytes.fromhex(content[0])
            if data[0] == STATUS:
                decided = struct.unpack_from("<Q", data, DECIDED_OFFSET)[0]
                first.setdefault(decided, float(time))
    return first


def test_fdatasync_before_the_first_status():
    rounds = 6
    tracer = strace()
    with Lab("a", "b", wan=["--rate", "200Mbit", "--delay", "5ms", "--log", "packets"], start=False) as lab:
        a, b = lab.sites
        log, trace = lab.path("packets"), lab.path("trace")
        a.start(wrapper=[tracer, "-f", "-ttt", "-T", "-e", "trace=fdatasync", "-o", trace])
        b.start()
        lab.wait_up()
        lab.perf_all("durable", "--bytes", "100K", "--rounds", str(rounds))
        lab.wan_counters()  # ends it: then its log is whole
        a.gxd.kill()
        returned, first = syncs(trace), first_statuses(log)
    check(set(first) >= set(range(1, rounds + 2)), "STATUS was seen for rounds %s only" % sorted(first))
    margins = []
    for round in range(1, rounds + 2):
        # Round r is offered only after r - 1 was decided, so its record was written in between.
        between = [t for t in returned if first.get(round - 1, 0) < t <= first[round]]
        late = [t for t in returned if t > first[round]]
        check(between, "round %d: no fdatasync returned before the first STATUS with its record; the next one %s" %
              (round, "%.6f s after it" % (late[0] - first[round]) if late else "never"))
        margins.append(first[round] - between[-1])
    remark("from fdatasync's return to the first STATUS with the record on the wire: %s us" %
           " ".join("%.0f" % (1e6 * m) for m in margins))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
