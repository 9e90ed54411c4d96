"""python -m agent.sandbox: the Feishu stand-in as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.errors import ConfigError
from agent.lifecycle import die_with_parent
from agent.sandbox.server import Settings, serve
from agent.sandbox.world.world import EVENTS, AppSettings


def settings_from(argv: Sequence[str]) -> tuple[Settings, int | None]:
    """(settings, pid of the parent process to end with) from the command line."""
    known = Settings()
    app = AppSettings()
    parser = argparse.ArgumentParser(prog="python -m agent.sandbox", description=__doc__)
    parser.add_argument("--host", default=known.host)
    parser.add_argument("--port", type=int, default=known.port)
    parser.add_argument("--people", type=Path, help="JSON file of departments and people (default: a sample plant)")
    parser.add_argument("--clock-file", type=Path, help="file of the clock that all demo processes share")
    parser.add_argument("--static", type=Path, help="folder with sandbox.html and assets/")
    parser.add_argument("--tz", default=known.tz)
    parser.add_argument("--app-id", default=app.app_id)
    parser.add_argument("--app-secret", default=app.app_secret, help="for tests; shows in the process list")
    parser.add_argument("--app-secret-file", type=Path, help="file with the app's secret (default: a known one)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds that each call takes")
    parser.add_argument("--all-messages", action="store_true", help="the bot sees group messages that do not @ it")
    parser.add_argument("--no-limits", action="store_true", help="switch rate limits off")
    parser.add_argument("--event", action="append", default=[], help="subscribe one more event type (repeatable)")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this parent process ends")
    args = parser.parse_args(argv)
    app = replace(
        app,
        app_id=args.app_id,
        app_secret=args.app_secret_file.read_text("utf-8").strip() if args.app_secret_file else args.app_secret,
        latency_s=args.latency,
        all_messages=args.all_messages,
        limits=not args.no_limits,
        events=EVENTS | set(args.event),
    )
    settings = Settings(args.host, args.port, args.people, args.clock_file, args.static, args.tz, app)
    return settings, args.die_with_parent


def main(argv: Sequence[str]) -> int:
    """Run until stopped. Exit code 78 for a wrong setting."""
    settings, parent = settings_from(argv)
    if parent is not None:
        die_with_parent(parent)
    try:
        asyncio.run(serve(settings))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 78
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
