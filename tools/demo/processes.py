"""The demo's processes and its directory: every one of them is ended by its process id, whatever happens."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)

TAIL_LINES = 15
TERM_S = 5.0


class Failed(Exception):
    """The demo cannot go on; the text says why, to a reader who has not seen the code."""


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    def __init__(self, name, argv, log, env=None, out=None):
        self.name, self.log = name, log
        environment = dict(os.environ, **(env or {}))
        with open(log, "ab") as log_file, open(out or os.devnull, "ab") as out_file:
            try:
                self.popen = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=out_file if out else log_file, stderr=log_file,
                    env=environment, start_new_session=True, preexec_fn=die_with_parent)
            except OSError as error:
                raise Failed(f"{name}: {argv[0]}: {error.strerror}") from error

    def status(self):
        return self.popen.poll()

    def signal(self, number):
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def end(self, seconds):
        """SIGTERM, then SIGKILL after `seconds`; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.popen.wait()

    def tail(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read().splitlines()[-TAIL_LINES:]
        except OSError:
            return []


class Stage:
    """A temporary directory and the processes that live in it."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="gx-demo-")
        self.processes = []

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, name, argv, env=None, out=None):
        process = Process(name, argv, self.path(name + ".log"), env, out)
        self.processes.append(process)
        return process

    def run(self, name, argv, seconds=120):
        """A command that ends by itself; its failure is the demo's."""
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=seconds, preexec_fn=die_with_parent, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{name}: no end after {seconds} s") from error
        if done.returncode != 0:
            text = done.stdout.decode(errors="replace").strip()
            raise Failed(f"{name}: exit status {done.returncode}\n{text}")
        return done.stdout

    def end(self, processes):
        """Ends these and forgets them; returns what is to be said of those that ended badly."""
        bad = []
        for process in processes:
            process.signal(signal.SIGTERM)
        for process in processes:
            status = process.end(TERM_S)
            if status != 0:
                bad.append(f"{process.name}: exit status {status} after SIGTERM")
            self.processes.remove(process)
        return bad

    def check(self):
        """Raises when a process that should be running, or should have ended well, did neither."""
        for process in self.processes:
            status = process.status()
            if status:
                lines = "\n".join(f"  | {line}" for line in process.tail())
                how = f"exit status {status}" if status > 0 else signal.Signals(-status).name
                raise Failed(f"{process.name} ended with {how}; the end of its log:\n{lines}")

    def close(self, keep):
        """Ends everything; `keep` leaves the directory."""
        for process in self.processes:
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + TERM_S
        for process in self.processes:
            process.end(max(0.0, deadline - time.monotonic()))
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)
