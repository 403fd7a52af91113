#!/bin/sh
# Prints the Python to build the environment with: $1 if it is given, otherwise the first on PATH that serves.
# Where none does, says in one sentence what to install.
set -u

# Python 3.11 to 3.13 are what the tests run on. Debian's and Ubuntu's own lacks ensurepip until python3-venv is there.
serves='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
asked='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2])'

if [ -n "${1:-}" ]; then
  if "$1" -c "$asked" 2>/dev/null; then
    echo "$1"
    exit 0
  fi
  found=$("$1" --version 2>/dev/null)
  echo "voxtral-kernels: PYTHON=$1 is ${found:-no program}; expected Python 3.11 or later with its venv and ensurepip modules." >&2
  exit 1
fi

for name in python3 python3.13 python3.12 python3.11; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -c "$serves" 2>/dev/null; then
    command -v "$name"
    exit 0
  fi
done

found=$(python3 --version 2>/dev/null)
echo "voxtral-kernels: Python 3.11, 3.12 or 3.13 with its venv module is needed and PATH has none (python3 is ${found:-not there}): install one (macOS: brew install python@3.13; Debian, Ubuntu: apt install python3 python3-venv; any: uv python install 3.13) or name it: make PYTHON=/path/to/python3.13" >&2
exit 1
