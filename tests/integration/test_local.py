#!/usr/bin/env python3
"""gx-perf --local: two complete gateways in one process, DPDK rings between them."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import gxtest
from gxtest import Skip, check, program

NOBODY = 65534


def local(*options, wrapper=(), folder):
    done = subprocess.run([*wrapper, program("gx-perf"), "--local", "--json", *options], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=gxtest.HANG_S, check=False,
                          env=dict(os.environ, TMPDIR=folder))
    if "without DPDK" in done.stderr:
        raise Skip("gx-perf is built without DPDK")
    check(done.returncode == 0, "exit status %d: %s" % (done.returncode, done.stderr))
    check(os.listdir(folder) == [], "left behind: %s" % os.listdir(folder))
    return json.loads(done.stdout)


def rounds(*options, shard_bytes=1408, **keywords):
    """Whole shards only, so that nothing is left to be copied."""
    with tempfile.TemporaryDirectory(prefix="gx-t-") as folder:
        os.chmod(folder, 0o777)
        result = local("--bytes", str(1000 * shard_bytes), "--rounds", "4", "--check", *options, folder=folder, **keywords)
    for report in result["sites"]:
        check(report["errors"] == 0 and report["checked_rounds"] == 5, "report %s" % report)
        check(all(r["cohort"] == ["a", "b"] for r in report["rounds"]), "cohorts %s" % report["rounds"])
    for worker in result["workers"]:
        # Losses on rings come only from a worker that is kept from its CPU for long; their repair is computed, not sent in place.
        sent_again = sum(report["redundant_bytes"] for report in result["sites"])
        check(worker["copied_bytes"] <= sent_again, "copied %s" % worker)
        check(worker["sent_payload_bytes"] >= 4000 * shard_bytes, "sent in place %s" % worker)
        check(worker["cpu_seconds"] > 0 and sum(worker["stage_seconds"].values()) > 0, "time %s" % worker)
        check(set(result["stage_cycles_per_byte"]) == set(worker["stage_seconds"]), "cycles %s" % result)
        if not sent_again:
            check(result["copied_bytes_per_sent_byte"] == 0, "copied per sent byte %s" % result)
    check(result["shard_bytes"] == shard_bytes, "shards of %s" % result["shard_bytes"])
    gxtest.remark("%d core(s), shards of %d: goodput %.2f Gbit/s each way, %.2f Gbit/s per core, copied per sent byte %g" % (
        result["cores"], shard_bytes, result["goodput_bps"] / 1e9, result["goodput_bps_per_core"] / 1e9,
        result["copied_bytes_per_sent_byte"]))
    return result


def test_two_gateways_on_two_cores():
    check(rounds("--cores", "2")["cores"] == 2, "two cores")


def test_two_gateways_in_turn_on_one_core():
    check(rounds("--cores", "1")["cores"] == 1, "one core")


def test_large_frames():
    rounds("--mtu", "9000", shard_bytes=8896)


def test_losses_on_encrypted_links():
    with tempfile.TemporaryDirectory(prefix="gx-t-") as folder:
        result = local("--bytes", "8M", "--rounds", "4", "--check", "--encrypt", "--link-loss", "10%", folder=folder)
    for report in result["sites"]:
        check(report["errors"] == 0 and report["checked_rounds"] == 5, "report %s" % report)
        check(1600000 < report["redundant_bytes"] < 16000000, "repaired with %s" % report)


def test_an_ordinary_user_without_huge_pages():
    if os.geteuid() != 0:
        raise Skip("every other test here runs as an ordinary user already")
    if not shutil.which("setpriv"):
        raise Skip("no setpriv command")
    wrapper = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    if subprocess.run([*wrapper, program("gx-perf"), "--help"], capture_output=True, check=False).returncode != 0:
        raise Skip("%s cannot be run by others" % program("gx-perf"))
    rounds(wrapper=wrapper)


def test_a_rate_gives_bounds():
    result = rounds("--link-rate", "500Mbit")
    check(result["sites"][0]["transfer_ratio_p50"] > 0.6, "ratio %s" % result["sites"][0]["transfer_ratio_p50"])


def test_an_interrupt_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="gx-t-") as folder:
        process = gxtest.Process("perf", [program("gx-perf"), "--local", "--rounds", "1000000", "--bytes", "1M"], "/tmp",
                                 env={"TMPDIR": folder})
        try:
            gxtest.wait_until(lambda: not process.alive() or any(
                name.endswith(".sock") for _, _, names in os.walk(folder) for name in names), "attach sockets")
            if "without DPDK" in process.err():
                raise Skip("gx-perf is built without DPDK")
            time.sleep(0.3)
            process.signal(signal.SIGINT)
            check(process.wait() == -signal.SIGINT, "exit status")
        finally:
            process.kill()
            os.unlink(process.out_path)
            os.unlink(process.err_path)
        check(os.listdir(folder) == [], "left behind: %s" % os.listdir(folder))


def test_options_that_say_nothing_are_refused():
    for words in (["--local", "--link-rate", "1Gbit", "--link-delay", "1ms"], ["--run", "x", "--cores", "2"],
                  ["--local", "--no-offer"], ["--local", "--cores", "3"]):
        done = gxtest.run([program("gx-perf"), *words])
        check(done.returncode == 2, "%s: exit status %d" % (words, done.returncode))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
