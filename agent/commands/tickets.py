"""`andon tickets list|show`."""

from __future__ import annotations

import argparse
import json

from agent.commands.talk import ask, common, local, segment, show
from agent.config import read_config
from agent.texts import render


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    parser = verbs.add_parser("tickets", help="list and show tickets")
    kinds = parser.add_subparsers(dest="what", required=True)
    listing = kinds.add_parser("list", help="open tickets, newest first")
    common(listing)
    listing.add_argument("--all", action="store_true", help="closed and cancelled ones too")
    listing.add_argument("--station", help="only this station")
    listing.add_argument("--limit", type=int, default=50)
    listing.set_defaults(run=run_list)
    one = kinds.add_parser("show", help="one ticket with its history")
    common(one)
    one.add_argument("no", help="ticket number")
    one.set_defaults(run=run_show)


def run_list(args: argparse.Namespace) -> int:
    """Print tickets."""
    state = "all" if args.all else "open"
    data = ask(args, "GET", "/v1/tickets", state=state, station=args.station, limit=args.limit)
    zone = read_config(args.config).site.zone
    rows = [
        (t["no"], t["state"], t["severity"], t["occurrences"], (t["owner"] or {}).get("name"),
         local(t["raised_at"], zone), render(t["title"], "en", zone))
        for t in data["tickets"]
    ]  # fmt: skip
    show(args, data["tickets"], rows, ("no", "state", "severity", "count", "owner", "raised", "title"))
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one ticket."""
    data = ask(args, "GET", f"/v1/tickets/{segment('no', args.no)}")
    if args.json:
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return 0
    zone = read_config(args.config).site.zone
    print(f"{data['no']}  {data['state']}  {render(data['title'], 'en', zone)}")
    for line in data["strip"]:
        print(f"  {line['kind']:4} {line['mark']:7} due {local(line['due_at'], zone)}")
    for event in data["history"]:
        who = (event["actor"] or {}).get("name", event["via"])
        print(f"  {local(event['at'], zone, seconds=True)}  {who:12}  {render(event['text'], 'en', zone)}")
    return 0
