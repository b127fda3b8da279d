# Sourced by the scripts that run the tests on several Pythons.

SUPPORTED="3.10 3.11 3.12 3.13"

# Prints the interpreter of a version, as 3.12: the one on PATH, or the newest that pyenv has. Fails if there is none.
find_python() {
  local candidate
  for candidate in "python$1" $(pyenv_pythons "$1"); do
    "$candidate" -c 'import ensurepip, sys, venv; print(sys.executable)' 2>/dev/null && return
  done
  return 1
}

pyenv_pythons() {
  command -v pyenv >/dev/null && ls "$(pyenv root)"/versions/"$1".*/bin/python 2>/dev/null | sort -rV
}
