#!/usr/bin/env python3
"""Figures of real gxds on this machine: transfer and round over their bounds through gx-wan, idle CPU, and what a gxd
beside it costs a trainer. Measures; asserts nothing about time."""
import json
import os
import random
import signal
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from link import first, realtime  # noqa: E402
import gxtest  # noqa: E402
from gxtest import Lab, Process, program, remark, report_of  # noqa: E402

ROUNDS = os.environ.get("BENCH_ROUNDS", "20")
IDLE_S = 10


def perf(site, *options):
    """As gxtest's, without --check: that would load the cores between rounds."""
    process = Process("perf-%s" % site.name, [program("gx-perf"), "-s", site.socket, "--run", "bench", "--json",
                                              "--timeout", "120", *options], site.lab.folder)
    site.lab.processes.append(process)
    return process


def bench_rounds(loss):
    wan = ["--rate", "200Mbit", "--delay", "25ms", "--loss", loss, "--seed", "7"]
    with Lab("a", "b", wan=wan, memory="1GiB") as lab:
        options = ["--bytes", "25M", "--rounds", ROUNDS, "--link-rate", "200Mbit", "--link-delay", "25ms",
                   "--link-loss", loss]
        reports = [report_of(p, 600) for p in [perf(site, *options) for site in lab.sites]]
    for site, r in zip("ab", reports):
        remark("25 MB fp32, 200 Mbit/s, 25 ms, loss %s, site %s, %s rounds: transfer_ratio p50 %.3f p90 %.3f p99 %.3f, "
               "round_ratio p50 %.3f p90 %.3f p99 %.3f, measured loss %.4f, redundant %.2f%% of what was sent" % (
                   loss, site, ROUNDS, r["transfer_ratio_p50"], r["transfer_ratio_p90"], r["transfer_ratio_p99"],
                   r["round_ratio_p50"], r["round_ratio_p90"], r["round_ratio_p99"], r["loss"],
                   100 * r["redundant_bytes"] / r["sent_bytes"]))


def test_loss_0():
    bench_rounds("0")


def test_loss_1():
    bench_rounds("0.01")


def test_loss_5():
    bench_rounds("0.05")


def test_idle():
    with Lab("a", "b") as lab:
        time.sleep(1)
        pids = [site.gxd.popen.pid for site in lab.sites]
        before = [gxtest.cpu_seconds(pid) for pid in pids]
        time.sleep(IDLE_S)
        for site, pid, start in zip(lab.sites, pids, before):
            remark("idle gxd %s, links up: %.2f%% of a core over %d s" % (
                site.name, 100 * (gxtest.cpu_seconds(pid) - start) / IDLE_S, IDLE_S))


def tokens_file(lab):
    words = "the of and to in a is that for it as was with be by on not he his but at are this have from".split()
    text = lab.path("text")
    generator = random.Random(1)
    with open(text, "w") as f:
        f.write(" ".join(generator.choice(words) for _ in range(100000)))
    gxtest.run([program("gx-tokens"), "--out", lab.path("bench"), text])
    return ["--data", lab.path("bench-train.bin"), "--val", lab.path("bench-val.bin")]


def on_cpu(cpu, argv):
    """The trainer has a core of its own, what exchanges the other; where it is allowed, both before the machine's other work."""
    return ["taskset", "-c", str(cpu), *first(1), *argv]


def tokens_per_second(lab, data):
    """Of the inner steps, as gx-train says."""
    log = lab.path("log-%d" % time.monotonic_ns())
    process = Process("train", on_cpu(1, [program("gx-train"), *data, "--device", "cpu", "--inner-steps", "50", "--rounds", "3", "--threads", "1",
                                          "--val-batches", "1", "--sample", "0", "--json", log]), lab.folder)
    lab.processes.append(process)
    gxtest.check(process.wait(300) == 0, process.tail())
    with open(log) as f:
        records = [json.loads(line) for line in f]
    return statistics.median(r["tokens_per_second"] for r in records if r["type"] == "round" and r["round"] > 0)


def exchange_begin(lab):
    """Rounds of 25 MB both ways, one after the other, until they are ended."""
    run = "beside-%d" % time.monotonic_ns()
    perfs = [Process("perf-%s" % site.name, on_cpu(0, [
        program("gx-perf"), "-s", site.socket, "--run", run, "--bytes", "25M", "--rounds", "1000", "--json"]), lab.folder)
             for site in lab.sites]
    lab.processes += perfs
    time.sleep(1)
    return perfs


def exchange_end(perfs):
    """Mbit/s of contributions that a site received."""
    for perf in perfs:
        perf.signal(signal.SIGINT)
    return statistics.mean(report_of(perf)["goodput_bps"] / 1e6 for perf in perfs)


def test_trainer_beside_an_exchange():
    if (os.cpu_count() or 1) < 2:
        raise gxtest.Skip("one CPU")
    realtime()
    with Lab("a", "b", start=False, rate="200Mbit", memory="1GiB") as lab:
        for site in lab.sites:
            site.start(wrapper=on_cpu(0, []), ready=False)
        lab.wait_up()
        data = tokens_file(lab)
        alone, beside, goodput = [], [], []
        for _ in range(3):
            alone.append(tokens_per_second(lab, data))
            perfs = exchange_begin(lab)
            beside.append(tokens_per_second(lab, data))
            goodput.append(exchange_end(perfs))
        remark("gx-train, one thread, tokens/s, median of 3: %.0f alone, %.0f while two gxds and two gx-perf on the other core exchange "
               "%.0f Mbit/s each way (ratio %.3f)" % (statistics.median(alone), statistics.median(beside), statistics.median(goodput),
                                                      statistics.median(beside) / statistics.median(alone)))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
