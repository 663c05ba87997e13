#!/bin/sh
# An overnight compare sweep: what it would come to, the run, and a gate that a build can use.
#   sh examples/sweep/run.sh [SWEEP]
set -eu
sweep="${1:-$(dirname "$0")/sweep.yaml}"

overnight estimate "$sweep"
batch=$(overnight submit "$sweep")
overnight watch "$batch"
overnight report "$batch" --gate "${GATE:-score(\"gold temperature=0#1\") > 5}"
overnight results "$batch" --format csv | head -3
