"""`andon outbox status|list|retry|drop`: what waits, what is dead, and what to do with it."""

from __future__ import annotations

import argparse

from agent.commands.talk import ask, common, local, segment, show
from agent.config import read_config
from agent.outbox.queue import SETTLED
from agent.outbox.rows import ACTIVE


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    parser = verbs.add_parser("outbox", help="look into the outbox, send dead messages again")
    kinds = parser.add_subparsers(dest="what", required=True)
    status = kinds.add_parser("status", help="counters; missing must be 0")
    common(status, roles=True)
    status.set_defaults(run=run_status)
    listing = kinds.add_parser("list", help="messages, newest first")
    common(listing, roles=True)
    listing.add_argument("--state", choices=(*ACTIVE, *SETTLED))
    listing.add_argument("--limit", type=int, default=50)
    listing.set_defaults(run=run_list)
    retry = kinds.add_parser("retry", help="send a dead message again")
    common(retry, roles=True)
    retry.add_argument("uuid")
    retry.set_defaults(run=run_retry)
    drop = kinds.add_parser("drop", help="give a message up; counted and audited")
    common(drop, roles=True)
    drop.add_argument("uuid")
    drop.add_argument("--reason", required=True)
    drop.set_defaults(run=run_drop)


def run_status(args: argparse.Namespace) -> int:
    """Print the counters; exit 1 if conservation does not hold."""
    data = ask(args, "GET", "/v1/outbox/status")
    show(args, data, [(name, value) for name, value in data.items()], ("counter", "value"))
    return 1 if data["missing"] else 0


def run_list(args: argparse.Namespace) -> int:
    """Print messages."""
    data = ask(args, "GET", "/v1/outbox/list", state=args.state, limit=args.limit)
    zone = read_config(args.config).site.zone
    rows = [
        (i["uuid"], i["lane"], i["kind"], i["state"], i["attempts"], local(i["created_at"], zone), i["reason"])
        for i in data["items"]
    ]
    show(args, data["items"], rows, ("uuid", "lane", "kind", "state", "tries", "created", "reason"))
    return 0


def run_retry(args: argparse.Namespace) -> int:
    """Send a dead message again."""
    data = ask(args, "POST", f"/v1/outbox/{segment('uuid', args.uuid)}/retry")
    show(args, data, [(args.uuid, "waiting")], ("uuid", "state"))
    return 0


def run_drop(args: argparse.Namespace) -> int:
    """Give a message up."""
    data = ask(args, "POST", f"/v1/outbox/{segment('uuid', args.uuid)}/drop", {"reason": args.reason})
    show(args, data, [(args.uuid, "shed")], ("uuid", "state"))
    return 0
