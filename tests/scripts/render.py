#!/usr/bin/env python3
"""Render the host's templates with sample values, the way provision does, without building it.

usage: render.py OUT_DIR [--data-volume] [--existing USER [--whole]] [--network NAME] [--key PUBLIC_KEY_FILE] [--host-key PRIVATE_KEY_FILE]

Knows as much of handlebars as the templates may use ({{name}}, {{json name}}, {{#each}} over strings)
and refuses everything else: what this renders, the real renderer does.
"""

import argparse
import base64
import gzip
import json
import pathlib
import re

TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "cloud-init"
SAMPLE_PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + ("A" * 70 + "\n") * 5 + "-----END OPENSSH PRIVATE KEY-----\n"


def substitute(template, values):
    def value(match):
        return json.dumps(values[match[2]]) if match[1] else str(values[match[2]])

    text = re.sub(r"\{\{(json )?(\w+)\}\}", value, template)
    if "{{" in text:
        raise SystemExit(f"render.py: unknown template expression: {text[text.index('{{'):][:60]}")
    return text


def render(name, values):
    template = (TEMPLATES / name).read_text(encoding="utf-8")

    def each(match):
        return "".join(substitute(match[2], {"this": item}) for item in values[match[1]])

    def condition(match):
        return match[2] if values.get(match[1]) else ""

    template = re.sub(r"\{\{#if (\w+)\}\}\n(.*?)\{\{/if\}\}\n", condition, template, flags=re.S)
    return substitute(re.sub(r"\{\{#each (\w+)\}\}\n(.*?)\{\{/each\}\}\n", each, template, flags=re.S), values)


def main():
    parse = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parse.add_argument("out", type=pathlib.Path)
    parse.add_argument("--data-volume", action="store_true")
    parse.add_argument("--network", default="provision")
    parse.add_argument("--key", type=pathlib.Path, action="append", default=[])
    parse.add_argument("--host-key", type=pathlib.Path)
    parse.add_argument("--existing", metavar="USER", help="for a host that was there before")
    parse.add_argument("--whole", action="store_true", help="with a firewall for all of it")
    args = parse.parse_args()

    keys = [file.read_text(encoding="utf-8").strip() for file in args.key]
    keys = keys or ["ssh-ed25519 " + "A" * 68 + ' an "odd" \\ comment'] * 3
    data_volume = "true" if args.data_volume else "false"
    login = args.existing or "deploy"
    root_login, root_shown = ("prohibit-password", "without-password") if login == "root" else ("no", "no")
    base = {"data_volume": data_volume, "network": args.network, "authorized_keys": keys, "login": login, "environment": "sample"}
    base |= {"open": [], "more_tcp": "", "udp": "443"}  # no port that the environment's file allows
    base |= {"root_login": root_login, "root_shown": root_shown}
    base |= {"existing": bool(args.existing), "ours": not args.existing}
    base |= {"scoped": bool(args.existing) and not args.whole, "whole": not args.existing or args.whole}
    converge = render("converge.sh.hbs", base)
    private, public = SAMPLE_PRIVATE, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + " sample"
    if args.host_key:
        private = args.host_key.read_text(encoding="utf-8")
        public = pathlib.Path(f"{args.host_key}.pub").read_text(encoding="utf-8").strip()
    values = {
        "hostname": "sample",
        "instance_id": "sample-1",
        "authorized_keys": keys,
        "host_key_private": private,
        "host_key_public": public,
        "ttl_seconds": 28800,
        "converge_path": "/usr/local/lib/provision/converge",
        "converge_gz_b64": base64.b64encode(gzip.compress(converge.encode(), 9, mtime=0)).decode(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "converge.sh").write_text(converge, encoding="utf-8")
    for name in ("user-data.yaml", "meta-data.yaml"):
        (args.out / name).write_text(render(f"{name}.hbs", values), encoding="utf-8")


main()
