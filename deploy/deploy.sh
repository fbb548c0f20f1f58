#!/usr/bin/env bash
# Adds Credit Refresh to a project that has an app, or brings it up to date. May be run again at any time.
set -euo pipefail

USAGE='usage: deploy/deploy.sh PROJECT_ID [options]
  --region     where the functions run; by default near the database
  --folder     own files of this project, in place of those in deploy/; by default deploy/projects/PROJECT_ID
  --env-file   the settings of the functions; by default settings.env of the folder, else of deploy/
  --check      change nothing, tell everything that stands in the way
  --dry-run    change nothing, print every command
  --notify     an e-mail address, or a notification channel by its full name, that the alerts tell; may be repeated
  --prune      also remove scheduler jobs of ours that the schedule has no more
  --from       begin with this step of deploy/steps, such as 50-functions
  --to         end with this one; 60-invokers for all but the schedule and the alerts
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
        *) usage_error "what is $1?" ;;
    esac
}

steps() {
    local step
    for step in "$HERE"/steps/*.sh; do
        printf '%s ' "$(basename "$step" .sh)"
    done
}

# The first line that says ERROR, without that word; else the last line.
why() {
    { grep -m1 ERROR "$STATE/errors" || tail -n1 "$STATE/errors"; } | sed 's/^ERROR: //'
}

failed() {
    local step="$1" again
    again="deploy/deploy.sh $PROJECT --region $REGION${PRUNE:+ --prune}${DRY_RUN:+ --dry-run}"
    ((${#GIVEN[@]} == 0)) || again+=" ${GIVEN[*]}"
    ((${#NOTIFIED[@]} == 0)) || again+="$(printf ' --notify %s' "${NOTIFIED[@]}")"
    [[ -z $TO ]] || again+=" --to $TO"
    {
        printf '\nERROR: step %s failed: %s\n' "$step" "$(why)"
        printf 'What was done stays done. Once the cause is mended, go on from there:\n  %s --from %s\n' "$again" "$step"
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
    # What the step says on standard error is shown as it comes, and kept for the last word.
    if ! { bash "$HERE/steps/$step.sh" 2>&1 >&3 | tee "$STATE/errors" >&2; } 3>&1; then
        failed "$step"
    fi
done
say "
Done.${DRY_RUN:+ Nothing was changed.} deploy/smoke.sh $PROJECT --region $REGION checks it."
