"""English text for the demo: dict-gcide from Debian's archive, or whatever English this machine has."""

import glob
import gzip
import os
import shutil
import subprocess

from processes import Failed

PACKAGE = "dict-gcide"
TEXT = "gcide.txt"
BYTES_MIN = 2_000_000
CHUNK_BYTES = 1 << 16
VALIDATION_EVERY = 50  # chunks: 2% of the text

LOCAL = ["/usr/share/dict/words", "/usr/share/common-licenses/*", "/usr/share/doc/*/README*", "/usr/share/doc/*/copyright",
         "/usr/share/doc/*/changelog*", "/usr/share/perl/*/pod/*.pod"]


def download(directory):
    """The dictionary's text, or None where apt cannot fetch it."""
    work = os.path.join(directory, "unpack")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    try:
        for update_first in (False, True):
            if update_first:
                if os.geteuid() != 0:
                    return None
                subprocess.run(["apt-get", "-qq", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               timeout=60, check=False)
            subprocess.run(["apt-get", "-qq", "download", PACKAGE], cwd=work, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=90, check=False)
            packages = glob.glob(os.path.join(work, PACKAGE + "*.deb"))
            if packages:
                subprocess.run(["dpkg-deb", "-x", packages[0], work], check=True, timeout=60)
                # A .dz file is a gzip file with an index in its header.
                with gzip.open(os.path.join(work, "usr/share/dictd/gcide.dict.dz")) as f:
                    return f.read()
    except (OSError, subprocess.SubprocessError):
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return None


def local_text():
    pieces = []
    for pattern in LOCAL:
        for path in sorted(glob.glob(pattern)):
            try:
                with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
                    pieces.append(f.read())
            except OSError:
                continue
    return b"\n\n".join(pieces)


def load(directory):
    """Returns (text, where it is from). The download is kept in `directory`."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, TEXT)
    if os.path.exists(path):
        with open(path, "rb") as f:
            return f.read(), f"{PACKAGE} (kept from an earlier demo)"
    text = download(directory)
    if text and len(text) >= BYTES_MIN:
        temporary = path + ".new"
        with open(temporary, "wb") as f:
            f.write(text)
        os.rename(temporary, path)
        return text, PACKAGE
    text = local_text()
    if len(text) < BYTES_MIN:
        raise Failed(f"no English text: apt-get download {PACKAGE} failed, and this machine's own documents come to "
                     f"{len(text)} bytes, fewer than {BYTES_MIN}")
    return text, f"this machine's documents: apt-get download {PACKAGE} failed, so losses differ from README's"


def arrange(text):
    """Returns (text with what is for validation at its end, the share of it). Validation is taken evenly from the whole:
    a dictionary's last pages alone would all be words in Z."""
    chunks = [text[i:i + CHUNK_BYTES] for i in range(0, len(text), CHUNK_BYTES)]
    validation = b"".join(chunks[VALIDATION_EVERY // 2::VALIDATION_EVERY])
    training = b"".join(c for i, c in enumerate(chunks) if i % VALIDATION_EVERY != VALIDATION_EVERY // 2)
    return training + validation, len(validation) / len(text)
