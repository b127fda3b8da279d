#!/usr/bin/env bash
# Installs what the tests want from the system: Java, npm, Chromium. Only root on Debian or Ubuntu can; elsewhere it
# names the packages, and the tests that need them skip and say so. It never fails.
set -u

wanted=()
command -v java >/dev/null || wanted+=(default-jre-headless)
command -v npm >/dev/null || wanted+=(npm)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || wanted+=(chromium)
[ ${#wanted[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, so some tests will skip: ${wanted[*]} (Debian's names)"
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
echo "Installing ${wanted[*]} ..."
for attempt in 1 2 3; do
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null && exit 0
  echo "apt-get failed ($attempt of 3)."
  sleep $((attempt * 5))
done
echo "Some tests will skip: ${wanted[*]} could not be installed."
exit 0
