# shellcheck shell=bash
# Every step sources this file. It has the options of deploy.sh as variables, and functions that print and run commands.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="${PYTHON:-python3}"

# Set by deploy.sh, teardown.sh or smoke.sh, and exported to the steps.
: "${PROJECT:?run deploy/deploy.sh PROJECT_ID}" "${REGION:=}" "${DRY_RUN:=}" "${STATE:?}" "${BEFORE_APIS:=}"

# Google's services need some time until all of them know of a change. How long to wait between tries, and in all.
: "${PATIENCE_SECONDS:=10}" "${PATIENCE_SECONDS_MAX:=600}"

# The answers of an API that is not enabled, or was enabled a moment ago.
API_OFF='has not been used in project|it is disabled'
# The answers of a service that does not know yet of an account, a role, an API or a repository made a moment ago.
LATE="$API_OFF|does not exist|was not found|Eventarc Service Agent|concurrent policy changes"
LATE+='|Unable to retrieve the repository metadata|You must grant Storage Object Viewer'
LATE+='|Permission "?eventarc.events.receiveEvent"? denied'
# The answers of Firestore while it changes another field of the same database.
# shellcheck disable=SC2034 # used by scripts that source this
BUSY='[Uu]nderlying data changed|ABORTED|[Cc]ontention|CONCURRENT'

export CLOUDSDK_CORE_DISABLE_PROMPTS=1
export CLOUDSDK_CORE_PROJECT="$PROJECT" # some of gcloud's requests use this and ignore --project

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

# Print a command, and run it unless this is a dry run.
run() {
    show "$@"
    [[ -n $DRY_RUN ]] || "$@"
}

# run_patiently PATTERN COMMAND…: like `run`, but repeat a command that fails with such a message for some minutes. Some
# services don't know yet of what was made a moment ago.
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

# ask COMMAND…: print what gcloud answers, or nothing if the resource does not exist. If an API is off, print nothing in a
# dry run and before the step that enables APIs; otherwise wait until it is on. Fail for any other reason.
ask() {
    local asked="$STATE/asked.$BASHPID" waited
    for ((waited = 0; waited < PATIENCE_SECONDS_MAX; waited += PATIENCE_SECONDS)); do
        if "$@" >"$asked.answer" 2>"$asked" </dev/null; then
            if grep -q 'unreachable' "$asked"; then
                break # the list is not complete
            fi
            cat "$asked.answer"
            return
        fi
        if grep -qE "$API_OFF" "$asked"; then
            [[ -z $DRY_RUN && -z $BEFORE_APIS ]] || return 0
            sleep "$PATIENCE_SECONDS"
        elif grep -qiE 'NOT_FOUND|not found|cannot find|HTTPError 404' "$asked"; then
            return
        else
            break
        fi
    done
    cat "$asked" >&2
    return 1
}

# ask_into FILE COMMAND…: ask in the background, because gcloud starts slowly. `wait_for_answers` waits for the end.
ASKING=()
ask_into() {
    local file="$1"
    shift
    ask "$@" >"$STATE/$file" &
    ASKING+=("$!")
}

wait_for_answers() {
    local pid
    for pid in "${ASKING[@]}"; do
        wait "$pid"
    done
    ASKING=()
}

# plan MODULE ARGUMENT…: run a Python module of deploy/. Most print commands, one a line, with tabs between words.
plan() {
    (cd "$ROOT" && "$PYTHON" -m "deploy.$1" "${@:2}")
}

# run_plan FILE [PATTERN]: run the commands of a file one after the other. With a pattern, use run_patiently.
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
    printf '%s-%s@%s.iam.gserviceaccount.com' "$SLUG" "$1" "$PROJECT"
}

# Write all functions of the region, ours and others, into $STATE/functions.json.
read_functions() {
    ask gcloud functions list --v2 --regions="$REGION" --project="$PROJECT" --format=json >"$STATE/functions.json"
}
