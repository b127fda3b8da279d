#!/usr/bin/env bash
# Look up known holes in what a user installs with all extras. It asks PyPI's advisory database.
set -euo pipefail
cd "$(dirname "$0")/.."

user=build/user
if [ ! -x "$user/bin/python" ]; then
  python3 -m venv "$user"
  "$user/bin/pip" install --quiet ".[all]"
fi
.venv/bin/pip-audit --strict --progress-spinner off --path "$("$user/bin/python" -c 'import site; print(site.getsitepackages()[0])')"
