# For scripts that have stages: `. scripts/stages.sh`, then `stage NAME` before each. At the end, after a failure too, a table
# says what each took: wall time, and processor time (user and system) of all its processes that were waited for.

stages_begun=$SECONDS
stages_file=$(mktemp)
stage_name=
stage_table=

# Sets processor_seconds: of this shell and its children, so far. No subshell, which would count from nothing.
count_processor_seconds() {
  times >"$stages_file"
  processor_seconds=$(awk '{ for (i = 1; i <= 2; ++i) { split($i, part, "m"); sum += 60 * part[1] + part[2] } }
                           END { printf "%d", sum }' "$stages_file")
}

stage_ends() {
  [ -n "$stage_name" ] || return 0
  count_processor_seconds
  stage_table+=$(printf '%8d %10d  %s' $((SECONDS - stage_begun)) $((processor_seconds - stage_processor)) "$stage_name")$'\n'
  stage_name=
}

stage() {
  stage_ends
  count_processor_seconds
  stage_name=$1 stage_begun=$SECONDS stage_processor=$processor_seconds
  printf '\n== %s (after %d s)\n' "$1" $((SECONDS - stages_begun))
}

stages_end() {
  local status=$? failed=$stage_name
  stage_ends
  count_processor_seconds
  printf '\n wall, s  processor  stage\n%s%8d %10d  in all\n' "$stage_table" $((SECONDS - stages_begun)) "$processor_seconds"
  rm -f "$stages_file"
  ((status == 0)) || echo "Ended with status $status in the stage: $failed"
}

trap stages_end EXIT
