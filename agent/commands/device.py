"""`andon device add|list|revoke`: kiosks and programs that may write, each with a token of its own."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from agent.commands.talk import ask, common, local, segment, show
from agent.config import read_config


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    parser = verbs.add_parser("device", help="enrol and revoke kiosks and API tokens")
    kinds = parser.add_subparsers(dest="what", required=True)
    add = kinds.add_parser("add", help="enrol a device; prints its token once")
    common(add)
    add.add_argument("id", help="short id, e.g. OP40-A")
    add.add_argument("--kind", choices=("kiosk", "api"), default="kiosk")
    add.add_argument("--name", help="what people call it (default: the id)")
    add.add_argument("--station", help="the station a kiosk stands at")
    add.set_defaults(run=run_add)
    listing = kinds.add_parser("list", help="enrolled devices")
    common(listing)
    listing.set_defaults(run=run_list)
    revoke = kinds.add_parser("revoke", help="make a token worthless, at once")
    common(revoke)
    revoke.add_argument("id")
    revoke.set_defaults(run=run_revoke)


def run_add(args: argparse.Namespace) -> int:
    """Enrol a device and print its token, for a kiosk as the address to open on the tablet."""
    body = {"id": args.id, "kind": args.kind, "name": args.name or args.id, "station": args.station}
    data = ask(args, "POST", "/v1/devices", body)
    edge = read_config(args.config).edge
    if args.kind == "kiosk":
        station = f"&station={quote(args.station)}" if args.station else ""
        data["address"] = f"http://{edge.host}:{edge.port}/#token={data['token']}{station}"
    what = "open on the tablet" if "address" in data else "token"
    show(args, data, [(args.id, data.get("address", data["token"]))], ("id", what))
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print devices."""
    data = ask(args, "GET", "/v1/devices")
    zone = read_config(args.config).site.zone
    rows = [
        (d["id"], d["kind"], d["station"], *(local(d[name], zone) for name in ("created_at", "seen_at", "revoked_at")))
        for d in data["devices"]
    ]
    show(args, data["devices"], rows, ("id", "kind", "station", "created", "seen", "revoked"))
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke a device's token."""
    data = ask(args, "POST", f"/v1/devices/{segment('id', args.id)}/revoke")
    show(args, data, [(args.id, "revoked")], ("id", "state"))
    return 0
