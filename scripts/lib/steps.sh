# shellcheck shell=bash disable=SC2154
# Steps with a heading, a time and a count. Sourced by scripts/test and scripts/bench.

passed=0 failed=0 summary=()

# heading TEXT
heading() { printf '\n\033[1m== %s\033[0m\n' "$1"; }

# wanted NAME: is this step among those asked for? (`only` is set by --only; empty means all)
wanted() { [[ -z ${only:-} || $only == "$1" ]]; }

# step NAME COMMAND…: runs a command and counts it once, or, when the command writes
# `PASSED FAILED` to the file $counts, by what it says.
step() {
  local name=$1 code started=$SECONDS ok=0 bad=0
  shift
  heading "$name"
  counts=$cache/counts
  rm -f "$counts"
  "$@"
  code=$?
  if [[ -s $counts ]]; then
    read -r ok bad <"$counts"
  elif [[ $code == 0 ]]; then
    ok=1
  fi
  # A command that failed without a failed test (it did not build, it crashed) still failed.
  if [[ $code != 0 && $bad == 0 ]]; then bad=1; fi
  passed=$((passed + ok)) failed=$((failed + bad))
  summary+=("$(printf '%-6s  %-22s %4d s  %d passed, %d failed' \
    "$([[ $bad == 0 ]] && echo ok || echo FAILED)" "$name" $((SECONDS - started)) "$ok" "$bad")")
  return "$code"
}

# finish: the summary, and the total on a line of its own; non-zero when anything failed or nothing ran.
finish() {
  heading summary
  printf '%s\n' "${summary[@]}"
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [[ $failed == 0 && $passed -gt 0 ]]
}
