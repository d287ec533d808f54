#!/usr/bin/env bash
# Every check and every test of the project. All of them run, whatever failed before; any failure fails the whole.
# Usage: tests/run.sh [pytest arguments]
set -uo pipefail
cd "$(dirname "$0")/.."

bin=.venv/bin
failed=()
step() { # a title, then the command
    echo "--- $1"
    shift
    "$@" || failed+=("$*")
}

if [ -x deploy/servers/install.sh ]; then
    step "servers that tests talk to" deploy/servers/install.sh
fi
step "static checks" make --no-print-directory check

# Coverage data of earlier runs must not count for this one.
rm -f .coverage .coverage.*
log="$(mktemp)"
# A folder of its own: another pytest of the same user takes back what was opened of the usual one for the server's user.
folder="$(mktemp -d)"
trap 'rm -rf "$log" "$folder"' EXIT
echo "--- tests"
"$bin/python" -m pytest -n "${TEST_WORKERS:-2}" --dist loadfile --no-loadscope-reorder --cov --cov-report= \
    --basetemp="$folder/tests" "$@" 2>&1 | tee "$log"
tests_code="${PIPESTATUS[0]}"
[ "$tests_code" -eq 0 ] || failed+=("pytest (exit code $tests_code)")

if [ $# -eq 0 ]; then
    echo "--- coverage"
    step "whole: at least 90%" "$bin/coverage" report --fail-under=90
    step "domain, query and ranking: 100%" "$bin/coverage" report --fail-under=100 \
        --include='src/mnemata/domain/*,src/mnemata/query/*,src/mnemata/ranking/*'
fi

echo
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
fi
# The closing line stands last, where people and machines look for it.
grep -E '^=+ .* in [0-9.]+s.* =+$' "$log" | tail -n 1
[ "${#failed[@]}" -eq 0 ]
