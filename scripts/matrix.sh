#!/usr/bin/env bash
# Runs the unit and engine tests on every supported Python that is found, each in a venv of its own under .cache.
# FULL=1 adds the contract tests. Pythons that are not there are named; a failure on one does not keep back the next.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/pythons.sh

suites=(tests/unit tests/engines ${FULL:+tests/contract})
results=()
status=0

run_on() {
  local venv=".cache/python$1"
  make --no-print-directory VENV="$venv" PYTHON="$2" engines && "$venv/bin/pytest" -q -rN "${suites[@]}"
}

for version in $SUPPORTED; do
  if ! python="$(find_python "$version")"; then
    results+=("Python $version: skipped, it is not installed")
    continue
  fi
  echo "== Python $version"
  if run_on "$version" "$python"; then
    results+=("Python $version: passed ($("$python" -c 'import platform; print(platform.python_version())'))")
  else
    results+=("Python $version: FAILED")
    status=1
  fi
done

printf '%s\n' "${results[@]}"
exit "$status"
