"""Go on for a while, and keep what should not have happened in `build/fuzz/`."""

from __future__ import annotations

import argparse
import collections
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.run import try_one
from tests.fuzz.targets import TARGETS

OUT = Path(__file__).resolve().parents[2] / "build" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="default: 60")
    parser.add_argument("--seed", type=int, default=None, help="first seed; default: the time")
    parser.add_argument("--only", default="", help="targets whose names begin so")
    options = parser.parse_args()
    logging.disable()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    targets = [target for target in TARGETS if target.name.startswith(options.only)]
    seed = int(time.time()) if options.seed is None else options.seed
    tried: collections.Counter[str] = collections.Counter()
    taken: collections.Counter[str] = collections.Counter()
    known: set[str] = set()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SFUMATO_HOME"] = str(Path(scratch) / "home")
        while time.monotonic() < end and targets:
            for target in targets:
                folder = Path(scratch) / target.name.replace("/", "-")
                folder.mkdir(exist_ok=True)
                started = time.monotonic()
                fault = try_one(target, seed, folder)
                taken[target.name] += round(1000 * (time.monotonic() - started))
                tried[target.name] += 1
                kind = f"{target.name}: {fault.what.strip().splitlines()[-1]}" if fault else ""
                if fault is not None and kind not in known:
                    known.add(kind)
                    OUT.mkdir(parents=True, exist_ok=True)
                    (OUT / f"{folder.name}-{seed}").write_bytes(fault.data)
                    print(f"\n{target.name}, seed {seed}:\n{fault.what}", flush=True)
            seed += 1
    for name, milliseconds in taken.most_common():
        print(f"{tried[name]:8d} inputs {milliseconds / tried[name]:8.0f} ms each  {name}")
    print(f"{sum(tried.values())} inputs for {len(targets)} readers, {len(known)} faults")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
