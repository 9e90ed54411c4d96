"""The command line: `andon VERB`, one file a verb in agent/commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from agent import __version__
from agent.errors import AgentError, ConfigError

COMMANDS = ("run", "demo", "check_config", "tickets", "outbox", "device", "db", "spc")
EX_CONFIG = 78
"""sysexits.h: the unit does not restart on it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. 78: the configuration is wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="andon", description="Andon Gateway: from a signal on the line to Feishu.")
    parser.add_argument("--version", action="version", version=f"andon {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"agent.commands.{name}").add_parser(verbs)
    args = parser.parse_args(words)
    os.umask(0o027)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for line in getattr(error, "found", [error]):
            print(f"andon: {line}", file=sys.stderr)
        return EX_CONFIG
    except AgentError as error:
        print(f"andon: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
