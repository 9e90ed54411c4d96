"""The command line: `andon VERB`, one file a verb in agent/commands."""

from __future__ import annotations

import argparse
import errno
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
    os.umask(0o027)
    try:
        try:
            args = parser.parse_args(words)
            return int(args.run(args))
        finally:
            print(end="", flush=True)  # fails here if it fails, and not when Python ends, with its own words and code
    except ConfigError as error:
        for line in getattr(error, "found", [error]):
            print(f"andon: {line}", file=sys.stderr)
        return EX_CONFIG
    except AgentError as error:
        print(f"andon: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _let_go_of_stdout()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _let_go_of_stdout()
        print(f"andon: {error.strerror}", file=sys.stderr)
        return 1


def _let_go_of_stdout() -> None:
    """Nobody reads, or nothing more is taken; what is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
