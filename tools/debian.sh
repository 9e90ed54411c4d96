#!/bin/bash
# debian.sh PACKAGE…: install the Debian packages that are missing; as root, or with sudo.
set -euo pipefail
(($# > 0)) || exit 0

missing=()
for package in "$@"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "The tests need what Debian calls: ${missing[*]}" >&2
    echo "Install it in your system's way, then say: make test DEBIAN=" >&2
    exit 1
fi
if ((EUID == 0)); then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null; then
    as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
else
    echo "The tests need Debian packages, and this is neither root nor is there sudo. As root:" >&2
    echo "    apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "Installing from Debian: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
