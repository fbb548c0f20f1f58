# shellcheck shell=bash
# What every step begins with: the options of deploy.sh as variables, and how commands are printed and run.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="${PYTHON:-python3}"

# Set by deploy.sh, teardown.sh or smoke.sh, and exported to the steps.
: "${PROJECT:?run deploy/deploy.sh PROJECT_ID}" "${REGION:=us-central1}" "${DRY_RUN:=}" "${STATE:?}"
: "${ENVIRONMENT:=$STATE/environment.yaml}" # the functions' environment; JSON, which is YAML

# How long to wait for what Google's services tell each other only after a while.
: "${PATIENCE_SECONDS:=10}" "${PATIENCE_SECONDS_MAX:=600}"

export CLOUDSDK_CORE_DISABLE_PROMPTS=1
export CLOUDSDK_CORE_PROJECT="$PROJECT" # gcloud asks some of its questions about this one, whatever --project says

say() { printf '%s\n' "$*"; }

die() {
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

show() {
    printf '+'
    printf ' %q' "$@"
    printf '\n'
}

# Print a command; run it, unless this is a dry run.
run() {
    show "$@"
    [[ -n $DRY_RUN ]] || "$@"
}

# run_patiently PATTERN COMMAND…: as run, again and again for some minutes while it fails with such a message, because
# what was made a moment ago is not known everywhere yet.
run_patiently() {
    local pattern="$1" tried="$STATE/tried.$BASHPID" waited
    shift
    for ((waited = 0; waited < PATIENCE_SECONDS_MAX; waited += PATIENCE_SECONDS)); do
        if run "$@" 2>"$tried"; then
            cat "$tried" >&2
            return
        fi
        grep -qE "$pattern" "$tried" || break
        say "$(grep -m1 -oE "$pattern" "$tried"): not known everywhere yet, once more in $PATIENCE_SECONDS s"
        sleep "$PATIENCE_SECONDS"
    done
    cat "$tried" >&2
    return 1
}

# A question about one thing: prints what gcloud says, or nothing if there is no such thing. Fails for any other reason.
ask() {
    local asked="$STATE/asked.$BASHPID"
    if "$@" 2>"$asked"; then
        return
    fi
    if grep -qiE 'NOT_FOUND|not found|cannot find|HTTPError 404' "$asked"; then
        return
    fi
    cat "$asked" >&2
    return 1
}

# Our Python parts, which read tables and print commands, a line each with tabs between the words.
plan() {
    (cd "$ROOT" && "$PYTHON" -m "deploy.$1" "${@:2}")
}

# run_plan FILE [PATTERN]: run the commands of a plan, one after the other; patiently, if a pattern is given.
run_plan() {
    local words
    while IFS=$'\t' read -r -a words; do
        if [[ -n ${2:-} ]]; then
            run_patiently "$2" "${words[@]}" </dev/null
        else
            run "${words[@]}" </dev/null
        fi
    done <"$1"
}

account() {
    printf 'credit-refresh-%s@%s.iam.gserviceaccount.com' "$1" "$PROJECT"
}

# What is deployed of our functions, into $STATE/functions.json. Asked side by side: gcloud starts slowly.
read_functions() {
    local name pid pids=()
    plan names >"$STATE/names"
    while read -r name; do
        ask gcloud functions describe "$name" --gen2 --region="$REGION" --project="$PROJECT" --format=json \
            >"$STATE/function.$name" </dev/null &
        pids+=("$!")
    done <"$STATE/names"
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
    as_list "$STATE"/function.* >"$STATE/functions.json"
}

# Files of a JSON object each, or of nothing, as one list.
as_list() {
    local file
    printf '[null'
    for file in "$@"; do
        if [[ -s $file ]]; then
            printf ',' && cat "$file"
        fi
    done
    printf ']'
}
