#!/usr/bin/env bash
# Write what a user installs with all extras, as a CycloneDX bill of materials, into dist/.
set -euo pipefail
cd "$(dirname "$0")/.."

user=build/user
rm -rf "$user"
python3 -m venv "$user"
"$user/bin/pip" install --quiet "$(ls dist/*.whl)[all]"
.venv/bin/cyclonedx-py environment --pyproject pyproject.toml --output-file dist/bill-of-materials.cdx.json "$user"
echo "Wrote dist/bill-of-materials.cdx.json"
