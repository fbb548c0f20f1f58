#!/usr/bin/env bash
# Removes what deploy.sh has set up. Users, jobs, runs and everything else in Firestore stay, and so do enabled APIs.
set -euo pipefail

USAGE='usage: deploy/teardown.sh PROJECT_ID [--region REGION] [--dry-run] [--yes] [--folder FOLDER] [--env-file FILE]
  --yes        do not ask'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

YES=""
option() {
    [[ $1 == --yes ]] || usage_error "what is $1?"
    YES=1
}

parse "$@"
begin
# shellcheck source=accounts.sh
source "$HERE/accounts.sh"
# shellcheck source=monitoring.sh
source "$HERE/monitoring.sh"
# shellcheck source=fields.sh
source "$HERE/fields.sh"

if [[ -z $YES && -z $DRY_RUN ]]; then
    say "This removes functions, schedule, alerts, accounts and index exemptions of $TITLE from $PROJECT, region"
    say "$REGION. Data in Firestore stays. Type the project's id to go on:"
    read -r answer
    [[ $answer == "$PROJECT" ]] || die "nothing was removed"
fi

BEFORE_APIS=1 # what is off has nothing of ours

say "
== schedule"
plan scheduler --state="$STATE" --region="$REGION" --remove-all ${DRY_RUN:+--dry-run}

say "
== monitoring"
ask_into metrics.json gcloud logging metrics list --project="$PROJECT" --format=json
read_monitoring
plan monitoring remove --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== functions"
plan functions remove --state="$STATE" --region="$REGION" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== indexes"
read_fields
plan indexes clear --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$BUSY"

say "
== accounts"
read_accounts
plan accounts remove --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$LATE"

say "
Done.${DRY_RUN:+ Nothing was removed.} What stays, to be removed by hand if it is in the way:
- users with their stamps, and the collections of $TITLE
- the services that were enabled, which the app may use
- what Cloud Functions made for its builds: buckets gcf-v2-…, the image repository gcf-artifacts
- logs, until they expire
- a deployer's account, the GitHub pool and rights given by hand, if docs/deploy.md was followed there"
