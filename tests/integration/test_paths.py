#!/usr/bin/env python3
"""Paths that change under a transfer, by a trace of gx-wan's: rounds go on, and are as quick as before when the path is."""
import os
import signal
import sys
import tempfile
import time

import gxtest
from gxtest import Lab, check, once, remark, report_of

RATE_BPS, BYTES, OVERHEAD = 40e6, 10**6, 90 / 1408
# seconds since gx-wan's start, rate, one-way delay
TENTH, WHOLE, LONGER, OUTAGE, AGAIN, END = 7, 10, 13, 16, 21, 26
TRACE = """
0       40Mbit  20ms  0.01
%d      4Mbit   -     -
%d      40Mbit  -     -
%d      -       40ms  -
%d      -       -     1
%d      -       -     0.01
""" % (TENTH, WHOLE, LONGER, OUTAGE, AGAIN)


def round_bound_s(delay_s, rate_bps=RATE_BPS):
    return 8 * BYTES * (1 + OVERHEAD) / rate_bps / 0.99 + 3 * delay_s


class Rounds:
    """Of one site: when each began and ended, in seconds since gx-wan's start."""

    def __init__(self, report, started):
        self.all = [(r["completed_ns"] / 1e9 - started - r["seconds"], r["completed_ns"] / 1e9 - started) for r in report["rounds"]]

    def within(self, begin, end):
        return [b - a for a, b in self.all if begin <= a and b <= end]

    def over(self, moment):
        return [b for a, b in self.all if a < moment < b]

    def quick(self, what, begin, end, delay_s):
        """The quickest round in that time is near the bound: the rate has found its way back. A machine that is too slow for a round
        shows nothing."""
        seconds = self.within(begin, end)
        remark("%s: %d rounds, the quickest %s s, bound %.2f s" % (
            what, len(seconds), "%.2f" % min(seconds) if seconds else "-", round_bound_s(delay_s)))
        check(not seconds or min(seconds) < 2 * round_bound_s(delay_s) + 0.2, "%s: %s s" % (what, seconds))


@once
def test_slower_longer_and_gone_for_a_while():
    """A tenth of the rate for 3 s, then twice the round trip, then nothing at all for 5 s: no round is lost, and none is wrong."""
    with tempfile.TemporaryDirectory(prefix="gx-test-") as folder:
        trace = os.path.join(folder, "trace")
        with open(trace, "w") as f:
            f.write(TRACE)
        started = time.monotonic()
        with Lab("a", "b", wan=["--trace", trace], rate="40Mbit", deadline="60s", min_sites="2") as lab:
            runs = [site.perf("r", "--bytes", str(BYTES), "--rounds", "1000") for site in lab.sites]
            time.sleep(max(0, started + END - time.monotonic()))
            for run in runs:
                run.signal(signal.SIGINT)
            reports = [report_of(run) for run in runs]
    for report in reports:
        check(report["void_rounds"] == 0 and report["left_out_rounds"] == 0, "%s" % report)
        check(all(r["cohort"] == ["a", "b"] for r in report["rounds"]), "cohorts %s" % [r["cohort"] for r in report["rounds"]])
        rounds = Rounds(report, started)
        rounds.quick("before", 0, TENTH, 0.02)
        rounds.quick("whole again", WHOLE, LONGER, 0.02)
        rounds.quick("a longer way", LONGER, OUTAGE, 0.04)
        rounds.quick("after the outage", AGAIN, END, 0.04)
        check(rounds.all and rounds.all[-1][1] > AGAIN, "no round ended in %d s after the outage" % (END - AGAIN))
        for ended in rounds.over((OUTAGE + AGAIN) / 2):
            remark("the round in the outage ended %.2f s after it" % (ended - AGAIN))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
