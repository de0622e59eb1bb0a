#!/usr/bin/env python3
"""gx-train's GPU device in a site: without a GPU, on the emulation of one (tests/simt/), and, with GX_GPU=1, on a real one
(make test-gpu-site)."""
import json
import os
import socket
import sys

import gxtest
from gxtest import BIN, Lab, Process, Skip, check, program, remark, wait_until

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_train import WAN, make_tokens  # noqa: E402

SLOW = "2500"  # inner steps: a round of seconds, so that the other site comes back before the last one
REAL = bool(os.environ.get("GX_GPU"))
MODEL = ["--layers", "1", "--width", "32", "--heads", "1", "--context", "16", "--batch", "2", "--threads", "1",
         "--val-batches", "2", "--sample", "4", "--seed", "7", "--format", "e3m0"]
NO_GPU = ("no NVIDIA driver", "the driver is there, but no GPU", "driver is too old", "built without CUDA")


def gpu_trainer():
    if REAL:
        return program("gx-train")
    path = os.path.join(os.path.dirname(BIN), "simt", "gx-train")
    if not os.access(path, os.X_OK):
        raise Skip("%s is not built (make tests)" % path)
    return path


def free_tcp_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sites:
    """A trainer at each site, to be started by the test."""

    def __init__(self, lab, rounds, inner_steps):
        self.lab, self.rounds, self.inner_steps, self.starts = lab, rounds, inner_steps, 0
        self.trains, self.val = make_tokens(lab.folder, len(lab.sites))
        self.process = {}

    def start(self, name, path, *options, env=None):
        self.starts += 1
        index = [s.name for s in self.lab.sites].index(name)
        argv = [path, "-s", self.lab.sites[index].socket, "--run", "gpu", "--data", self.trains[index], "--val", self.val,
                "--rounds", str(self.rounds), "--inner-steps", str(self.inner_steps), "--json", self.log(name),
                *MODEL, *options]
        self.process[name] = Process("gx-train-%s-%d" % (name, self.starts), argv, self.lab.folder, env)
        self.lab.processes.append(self.process[name])
        return self.process[name]

    def log(self, name):
        return self.lab.path("log-%s.json" % name)

    def objects(self, name, kind):
        if not os.path.exists(self.log(name)):
            return []
        with open(self.log(name)) as f:
            return [r for r in map(json.loads, (line for line in f if line.endswith("\n"))) if r["type"] == kind]

    def until_round(self, name, round):
        wait_until(lambda: any(r["round"] >= round for r in self.objects(name, "round")), "round %d at %s" % (round, name))

    def end(self, *names):
        """All end well, with the same digest in every round that two of them saw. Records by site."""
        for name in names:
            process = self.process[name]
            check(process.wait() == 0, "%s: exit status %s: %s" % (name, process.popen.returncode, process.tail()))
        records, digests = {name: self.objects(name, "round") for name in names}, {}
        for name in names:
            for r in records[name]:
                other = digests.setdefault(r["round"], r["digest"])
                check(r["digest"] == other, "round %d: %s has digest %s, not %s" % (r["round"], name, r["digest"], other))
            remark("%s: %s" % (name, " ".join("%d:%s" % (r["round"], r["outcome"]) for r in records[name])))
        return records


def test_no_gpu_is_said_and_leaves_the_round():
    with Lab("a", "b", wan=WAN, deadline="3s", min_sites=1) as lab:
        sites = Sites(lab, rounds=4, inner_steps=20)
        sites.start("a", program("gx-train"), "--device", "cpu", "--inner-steps", SLOW)
        failed = sites.start("b", program("gx-train"), "--device", "cuda", env={"CUDA_VISIBLE_DEVICES": ""})
        check(failed.wait() == 1, "exit status %s" % failed.popen.returncode)
        check(any(text in failed.err() for text in NO_GPU), "it said: %s" % failed.err())
        remark(failed.err().strip().splitlines()[-1])
        sites.start("b", program("gx-train"), "--device", "auto", env={"CUDA_VISIBLE_DEVICES": ""})
        records = sites.end("a", "b")
        check("CPU" in sites.process["b"].err(), "auto does not say what it took: %s" % sites.process["b"].err())
        check(records["b"][-1]["outcome"] in ("member", "fetched"), "b's rounds: %s" % records["b"])


def need_gpu(lab):
    """A round alone: without a GPU, why there is none; with one, what is slow the first time is done."""
    trains, val = make_tokens(lab.folder, 1)
    done = gxtest.run([gpu_trainer(), "--data", trains[0], "--val", val, "--rounds", "1", "--inner-steps", "1", "--device", "cuda",
                       *MODEL])
    line = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode == 1 and any(text in line for text in NO_GPU):
        raise Skip(line)
    check(done.returncode == 0, "gx-train alone: exit status %s: %s" % (done.returncode, done.stderr))


def test_a_cpu_site_and_a_gpu_site():
    with Lab("a", "b", wan=WAN, deadline="20s") as lab:
        if REAL:
            need_gpu(lab)
        cohorts = {}
        for gpu in (False, True):
            sites = Sites(lab, rounds=3, inner_steps=5)
            sites.start("a", program("gx-train"), "--device", "cpu")
            if gpu:
                sites.start("b", gpu_trainer(), "--device", "cuda")
            else:
                sites.start("b", program("gx-train"), "--device", "cpu")
            records = sites.end("a", "b")
            check(records["a"][-1]["val_loss"] < records["a"][0]["val_loss"], "validation loss did not fall")
            start = sites.objects("b", "start")[-1]
            check(start["device"] == ("cuda" if gpu else "cpu"), "b trained on %s" % start["device"])
            cohorts[gpu] = [(start["format"], r["cohort"], r["divisor"]) for r in records["b"]]
            for name in "ab":
                os.unlink(sites.log(name))
        check(cohorts[False] == cohorts[True], "not as two CPU sites: %s" % cohorts)


def test_two_gpus_of_a_site():
    if REAL:
        raise Skip("one GPU is enough for this machine")
    with Lab("a", "b", wan=WAN, deadline="20s") as lab:
        sites = Sites(lab, rounds=3, inner_steps=4)
        sites.start("a", program("gx-train"), "--device", "cpu")
        place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_tcp_port())}
        second = sites.start("b", gpu_trainer(), "--device", "cuda", "--gpu", "0", env=dict(place, RANK="1"))
        sites.start("b", gpu_trainer(), "--device", "cuda", "--gpu", "0", env=dict(place, RANK="0"))
        records = sites.end("a", "b")
        check(second.wait() == 0, "rank 1: %s" % second.tail())
        check([r["outcome"] for r in records["b"][1:]] == ["member"] * 3, "b's rounds: %s" % records["b"])
        for r in records["b"]:
            check(len(r["rank_digests"]) == 2 and len(set(r["rank_digests"])) == 1, "ranks differ: %s" % r)


def test_a_gpu_that_fails_leaves_its_round():
    if REAL:
        raise Skip("a real GPU is not broken")
    with Lab("a", "b", wan=WAN, deadline="3s", min_sites=1) as lab:
        sites = Sites(lab, rounds=6, inner_steps=5)
        checkpoint = ["--checkpoint", lab.path("checkpoint-b")]
        sites.start("a", program("gx-train"), "--device", "cpu", "--inner-steps", SLOW)
        failed = sites.start("b", gpu_trainer(), "--device", "cuda", *checkpoint, env={"GX_SIMT_FAIL_AFTER": "1200"})
        check(failed.wait() == 1, "exit status %s" % failed.popen.returncode)
        check("illegal memory access" in failed.err(), "it said: %s" % failed.err())
        done = sites.objects("b", "round")[-1]["round"]
        check(0 < done < 6, "it failed in round %d" % (done + 1))
        sites.start("b", gpu_trainer(), "--device", "cuda", *checkpoint)
        records = sites.end("a", "b")
        check("resumed from" in sites.process["b"].err(), "it did not resume: %s" % sites.process["b"].err())
        check(records["b"][-1]["outcome"] in ("member", "fetched"), "b's rounds: %s" % records["b"])


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
