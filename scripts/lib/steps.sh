# shellcheck shell=bash disable=SC2154
# Steps with a heading, a time and a count, one after another or side by side. Sourced by scripts/test.

results=$cache/results
steps=0
rm -rf "$results"
mkdir -p "$results"

# heading TEXT: with the seconds since the script began, so that a run that is cut off tells where its time went.
heading() { printf '\n\033[1m== %s\033[0m  (at %d s)\n' "$1" "$SECONDS"; }

# wanted NAME: is this step among those asked for? (`only` is set by --only; empty means all)
wanted() { [[ -z ${only:-} || $only == "$1" ]]; }

# step NAME COMMAND…: runs a command and counts it once, or, when the command writes
# `PASSED FAILED` to the file $counts, by what it says.
step() {
  steps=$((steps + 1))
  take_step "$results/$(printf %03d $steps)" "$@"
}

# aside NAME COMMAND…: the same in the background; what it prints is shown whole when it ends.
aside() {
  steps=$((steps + 1))
  local at
  at=$results/$(printf %03d $steps)
  (
    take_step "$at" "$@" >"$at.log" 2>&1
    code=$?
    flock "$results" cat "$at.log"
    exit $code
  ) &
}

# lanes N: waits until fewer than N steps are in the background.
lanes() {
  while (($(jobs -rp | wc -l) >= $1)); do wait -n || :; done
}

take_step() {
  local at=$1 name=$2 code started=$SECONDS ok=0 bad=0 counts=$1.counts
  shift 2
  heading "$name"
  "$@"
  code=$?
  if [[ -s $counts ]]; then
    read -r ok bad <"$counts"
  elif [[ $code == 0 ]]; then
    ok=1
  fi
  # A command that failed without a failed test (it did not build, it crashed) still failed.
  if [[ $code != 0 && $bad == 0 ]]; then bad=1; fi
  printf '%-6s  %-22s %4d s  %d passed, %d failed\n' \
    "$([[ $bad == 0 ]] && echo ok || echo FAILED)" "$name" $((SECONDS - started)) "$ok" "$bad" | tee "$at.line"
  return "$code"
}

# finish: the summary, and the total on a line of its own; non-zero when anything failed, nothing ran, or a step
# in the background died without a word.
finish() {
  wait
  heading summary
  cat "$results"/*.line 2>/dev/null
  local passed failed lost
  passed=$(cat "$results"/*.line 2>/dev/null | awk '{ n += $(NF - 3) } END { print n + 0 }')
  failed=$(cat "$results"/*.line 2>/dev/null | awk '{ n += $(NF - 1) } END { print n + 0 }')
  lost=$((steps - $(find "$results" -name '*.line' | wc -l)))
  ((lost == 0)) || echo "$lost steps did not end"
  printf '%d passed, %d failed\n' "$passed" "$((failed + lost))"
  ((failed + lost == 0 && passed > 0))
}
