#!/bin/bash
# venv.sh PYTHON: make .venv with pip in it.
# Debian keeps ensurepip in a package of its own (python3-venv), so it is only asked when pip itself is missing.
set -euo pipefail
python=${1:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>/dev/null || echo "not there")
    echo "Needs Python 3.11 or newer, and $python is $found." >&2
    echo "Name another one: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
fi
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip .venv
    "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip
elif ! "$python" -m venv .venv; then
    echo "Needs pip for $python; on Debian: apt-get install python3-pip" >&2
    exit 1
fi
