#!/usr/bin/env bash
# Brings the browser that the browser tests drive: Debian's chromium. Does nothing where there is one.
set -euo pipefail

if command -v chromium >/dev/null; then
  exit 0
fi

give_up() {
  echo "$1" >&2
  if [ "${CI:-}" = true ]; then
    echo "CI runs every test: the browser is needed." >&2
    exit 1
  fi
  echo "The browser tests will be skipped." >&2
  exit 0
}

command -v apt-get >/dev/null || give_up "No chromium here, and no apt-get to install it."
[ "$(id -u)" = 0 ] || give_up "No chromium here; it takes root: sudo apt-get install chromium"

echo "installing chromium"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
{
  apt-get update -qq -o DPkg::Lock::Timeout=300 &&
    apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 chromium fonts-dejavu-core
} >"$log" 2>&1 || { tail -n 20 "$log" >&2; give_up "chromium could not be installed."; }
