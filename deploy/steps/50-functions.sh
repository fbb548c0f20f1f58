#!/usr/bin/env bash
# Deploys the functions of functions.toml side by side. Unchanged functions are skipped.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

gcloud meta list-files-for-upload "$ROOT" >"$STATE/upload"
plan functions plan --state="$STATE" --region="$REGION" --database-location="$DATABASE_LOCATION" >"$STATE/plan"

if [[ -n $DRY_RUN ]]; then
    run_plan "$STATE/plan"
    exit
fi

pids=() names=() failed=()
deploy() {
    run_patiently "$LATE" "$@" --format=none >"$STATE/deploy.$4" 2>&1 </dev/null &
    pids+=("$!") names+=("$4")
    show "$@"
}

finish() {
    local index
    for index in "${!pids[@]}"; do
        if wait "${pids[index]}"; then
            say "${names[index]}: deployed"
        else
            failed+=("${names[index]}")
            cat "$STATE/deploy.${names[index]}" >&2
        fi
    done
    pids=() names=()
    ((${#failed[@]} == 0)) || die "not deployed: ${failed[*]}; $(grep -hm1 ERROR "$STATE/deploy.${failed[0]}" || true)"
}

mapfile -t lines <"$STATE/plan"
((${#lines[@]} == 0)) || say "deploying, which takes some minutes …"
for line in "${lines[@]}"; do
    IFS=$'\t' read -r -a words <<<"$line"
    deploy "${words[@]}"
    # The first function of a project makes what all share, such as the repository of images. The others wait for it.
    [[ $line != "${lines[0]}" || ! -e $STATE/fresh ]] || finish
done
finish
((${#lines[@]} == 0)) || read_functions
