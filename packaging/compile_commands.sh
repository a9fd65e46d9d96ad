#!/bin/sh
# Prints a compilation database (clang.llvm.org/docs/JSONCompilationDatabase.html), by which clangd
# and other tools know how a file is compiled: compile_commands.sh COMMAND FILE...
# COMMAND is the compiler with the flags that all files have; tests may include tests/ as well.
set -eu
cd "$(dirname "$0")/.."
command=$1
shift

# As the inside of a JSON string.
escaped() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

command=$(escaped "$command")
folder=$(escaped "$PWD")
between='['
for file in "$@"; do
  case $file in
    tests/*) more=' -Itests' ;;
    *) more= ;;
  esac
  printf '%s\n  {"directory": "%s", "file": "%s",\n   "command": "%s%s -c %s"}' \
    "$between" "$folder" "$file" "$command" "$more" "$file"
  between=','
done
printf '\n]\n'
