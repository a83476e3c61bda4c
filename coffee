#!/bin/sh
# coffee-rt out of a clone: ./coffee up starts the lab, ./coffee test checks everything, ./coffee --help lists the rest.
#
# Needs uv, or any Python 3 that has venv, pipx or pip: uv is then put into .uv/ and brings all else.
set -eu

say() { printf 'coffee: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The folder of the clone, also by way of a link.
self=$0
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done
here=$(CDPATH='' cd -- "$(dirname "$self")" && pwd -P)
tools=$here/.uv
log=$tools/setup.log
needed="--no-default-groups --extra lab --group arm64"

# What belongs to another Python or project of the user's is not for this one.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONSTARTUP UV_PROJECT UV_PROJECT_ENVIRONMENT

# Whom this machine trusts, uv does: behind a proxy of one's company that is not whom uv itself brings along.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ ! -s "$bundle" ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}" # its older name
done

can_write() { # Tell whether this folder, or the one that it would be made in, can be written to.
  folder=$1
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  [ -d "$folder" ] && [ -w "$folder" ]
}

# What is kept for the next time, where the user's cache cannot be written to: a container, an account without a home.
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}
if ! can_write "$cache/uv" || ! can_write "$cache/coffee-rt"; then
  XDG_CACHE_HOME=$tools/cache
  export XDG_CACHE_HOME
fi

bundled_pip='
import ensurepip, glob, os
for folder in os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), "/usr/share/python-wheels":
    for wheel in glob.glob(os.path.join(folder, "pip-*.whl")):
        print(os.path.join(wheel, "pip"))
'

install_uv() { # Try each way that a Python has, quietly: its pip, the one that venv would install, a venv.
  for python in python3 python3.12 python3.11 python3.13 python3.14 python; do
    command -v "$python" >/dev/null 2>&1 || continue
    rm -rf "$tools/venv" "$tools/pip"
    # Not the venv first: making it takes as long again as all the rest.
    for pip in "-mpip" $("$python" -c "$bundled_pip"); do
      if "$python" "$pip" install --no-compile --target "$tools/pip" uv; then
        ln -sf ../pip/bin/uv "$tools/bin/uv"
        return
      fi
    done
    if "$python" -m venv "$tools/venv" && "$tools/venv/bin/python" -m pip install uv; then
      ln -sf ../venv/bin/uv "$tools/bin/uv"
      return
    fi
  done
  if command -v pipx >/dev/null 2>&1; then
    PIPX_HOME=$tools/pipx PIPX_BIN_DIR=$tools/bin pipx install uv && return
  fi
  return 1
}

if ! command -v uv >/dev/null 2>&1; then
  PATH=$tools/bin:${HOME:-/nonexistent}/.local/bin:$PATH
  export PATH
fi
if ! command -v uv >/dev/null 2>&1; then
  can_write "$tools/bin" || fail "$here cannot be written to: make a clone of your own, or install uv"
  say "first start: putting uv into $tools …"
  mkdir -p "$tools/bin"
  if ! install_uv >"$log" 2>&1; then
    # A Python that could have, but was not let: by the network, a proxy, a certificate.
    refused=$(grep '^Could not fetch' "$log" | tail -n 1)
    [ -z "$refused" ] || fail "uv cannot be fetched: $refused"
    fail "no uv, and no Python here can install it: install python3-venv or pipx (Debian: apt install python3-venv), \
or uv itself; $log has the attempts"
  fi
fi

require_python() { # uv brings a Python of its own where it may download one.
  uv python find --quiet --project "$here" >/dev/null 2>&1 && return
  say "no Python 3.11 or 3.12 here: fetching 3.12 …"
  uv python install 3.12 || fail "coffee-rt needs Python 3.11 or 3.12, and uv could not fetch one (above): install it, \
e.g. with your system's packages"
}

set_up() { # Install what running needs, and say how much that was.
  can_write "$here/.venv" || fail "$here cannot be written to: make a clone of your own"
  require_python
  say "first start: resolving the packages …"
  uv lock --quiet --project "$here" || fail "the packages could not be resolved (above)"
  # shellcheck disable=SC2086 # options
  count=$(uv sync --project "$here" --frozen $needed --dry-run 2>&1 | sed -n 's/^Would install \([0-9]*\) packages*$/\1/p')
  say "first start: installing ${count:-the} packages into $here/.venv …"
  # shellcheck disable=SC2086
  uv sync --project "$here" --frozen $needed || fail "the packages could not be installed (above)"
  say "installed ${count:-all} packages, $(du -sm "$here/.venv" | cut -f1) MB"
}

if [ "${1:-}" = test ]; then
  shift
  cd "$here"
  unset PYTHONDONTWRITEBYTECODE # else each of the hundreds of processes compiles all of its modules again
  require_python
  uv sync --quiet
  [ $# -eq 0 ] || exec uv run pytest "$@"
  for check in "ruff check" "ruff format --check" "mypy" "mypy --platform darwin --cache-dir .mypy_cache/darwin" \
    "lint-imports" "pytest -n auto --dist loadgroup --no-loadscope-reorder"; do
    say "$check"
    # shellcheck disable=SC2086 # a command and its options
    uv run $check
  done
  exit 0
fi

[ -x "$here/.venv/bin/coffee" ] || set_up
# shellcheck disable=SC2086
exec uv run --quiet --project "$here" $needed coffee "$@"
