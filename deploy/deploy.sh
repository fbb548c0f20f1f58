#!/usr/bin/env bash
# Adds Credit Refresh to a project that has an app, or updates it. It may be run again at any time.
set -euo pipefail

USAGE='usage: deploy/deploy.sh PROJECT_ID [options]
  --region     where the functions run; by default near the database
  --folder     files of the project, used instead of those in deploy/; by default deploy/projects/PROJECT_ID
  --env-file   the settings of the functions; by default settings.env of that folder, or else of deploy/
  --check      change nothing, print everything that would stop a deployment
  --dry-run    change nothing, print every command
  --notify     who gets the alerts: an e-mail address, or the full name of a channel; may be repeated
  --prune      also remove our scheduler jobs that are not in the schedule any more
  --from       begin with this step of deploy/steps, such as 50-functions
  --to         end with this step; 60-invokers leaves out the schedule and the alerts
  --only       run this step alone'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PRUNE="" FROM="" TO=""
option() {
    case "$1" in
        --prune) PRUNE=1 ;;
        --check) CHECK=1 ;;
        --notify)
            [[ -n ${2:-} ]] || usage_error "$1 needs a value"
            NOTIFIED+=("$2")
            TAKEN=2
            ;;
        --from | --to | --only)
            [[ -f $HERE/steps/${2:-}.sh ]] || usage_error "$1: the steps are $(steps)"
            [[ $1 == --to ]] || FROM="$2"
            [[ $1 == --from ]] || TO="$2"
            TAKEN=2
            ;;
        *) usage_error "unknown option $1" ;;
    esac
}

steps() {
    local step
    for step in "$HERE"/steps/*.sh; do
        printf '%s ' "$(basename "$step" .sh)"
    done
}

# Print the reason of a failure: the first line with ERROR, without that word; if there is none, the last line.
print_reason() {
    { grep -m1 ERROR "$STATE/errors" || tail -n1 "$STATE/errors"; } | sed 's/^ERROR: //'
}

report_failure() {
    local step="$1" again
    again="deploy/deploy.sh $PROJECT --region $REGION${PRUNE:+ --prune}${DRY_RUN:+ --dry-run}"
    ((${#REPEATED[@]} == 0)) || again+=" ${REPEATED[*]}"
    ((${#NOTIFIED[@]} == 0)) || again+="$(printf ' --notify %s' "${NOTIFIED[@]}")"
    [[ -z $TO ]] || again+=" --to $TO"
    {
        printf '\nERROR: step %s failed: %s\n' "$step" "$(print_reason)"
        printf 'What was done stays done. Correct the cause, then continue with:\n  %s --from %s\n' "$again" "$step"
    } >&2
    exit 1
}

parse "$@"
begin
export PRUNE
say "$TITLE: project $PROJECT, region $REGION, database in $DATABASE_LOCATION${DRY_RUN:+ (dry run: nothing is changed)}"
if [[ -n $CHECK ]]; then
    plan preflight --state="$STATE" --region="$REGION"
    say "Nothing was changed."
    exit
fi

for step in $(steps); do
    [[ ! $step < "$FROM" && (-z $TO || ! $step > "$TO") ]] || continue
    say "
== $step"
    # Standard error of the step is shown at once, and kept for the message about a failure.
    if ! { bash "$HERE/steps/$step.sh" 2>&1 >&3 | tee "$STATE/errors" >&2; } 3>&1; then
        report_failure "$step"
    fi
done
say "
Done.${DRY_RUN:+ Nothing was changed.} deploy/smoke.sh $PROJECT --region $REGION checks it."
