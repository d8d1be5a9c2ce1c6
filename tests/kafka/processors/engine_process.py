"""An engine of `sites` alone in a process, without the worker around it: ``python -m … SETTINGS`` (JSON).

It prints a line of its status now and then, and ends as an engine does: by SIGTERM, or by itself with the reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from aggregators.aggregator import Counting
from aggregators.sites import Sites
from processors import Engine, EngineSettings
from schemas.sites import SITES


async def main(settings: dict[str, Any]) -> None:
    settings["state_dir"] = Path(settings["state_dir"])
    engine = Engine(SITES, Sites(Counting()), EngineSettings(**settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stop)
    run = asyncio.ensure_future(engine.run())
    while not run.done():
        await asyncio.wait([run], timeout=0.1)
        sys.stdout.write(json.dumps({"ready": engine.ready, **engine.status()}) + "\n")
        sys.stdout.flush()
    await run


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    uvloop.run(main(json.loads(sys.argv[1])))
