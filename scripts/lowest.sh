#!/usr/bin/env bash
# Runs the unit and engine tests with every dependency at its lowest allowed version, on the oldest Python that is found.
# uv chooses the versions: pip only knows how to find the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/pythons.sh

for version in $SUPPORTED; do
  python="$(find_python "$version")" && break
done
[ -n "$python" ] || { echo "None of Python $SUPPORTED is installed."; exit 1; }

venv=.cache/lowest
echo "== Python $version, lowest versions"
"$python" -m venv --clear "$venv"
"$venv/bin/pip" install --quiet uv
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --resolution lowest-direct --editable '.[all]' --group test
"$venv/bin/uv" pip freeze --quiet --python "$venv/bin/python"
make --no-print-directory -o "$venv/.test" VENV="$venv" engines
"$venv/bin/pytest" -q -rN tests/unit tests/engines
