# shellcheck shell=bash
# What every step begins with: the options of deploy.sh as variables, and how commands are printed and run.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="${PYTHON:-python3}"

# Set by deploy.sh, teardown.sh or smoke.sh, and exported to the steps.
: "${PROJECT:?run deploy/deploy.sh PROJECT_ID}" "${REGION:=}" "${DRY_RUN:=}" "${STATE:?}" "${BEFORE_APIS:=}"

# How long to wait for what Google's services tell each other only after a while.
: "${PATIENCE_SECONDS:=10}" "${PATIENCE_SECONDS_MAX:=600}"

# What an API answers that is not enabled, or was enabled a moment ago.
API_OFF='has not been used in project|it is disabled'
# What a service says that has not heard yet of an account, a role, an API or a repository made a moment ago.
LATE="$API_OFF|does not exist|was not found|Eventarc Service Agent|concurrent policy changes"
LATE+='|Unable to retrieve the repository metadata|You must grant Storage Object Viewer'
LATE+='|Permission "?eventarc.events.receiveEvent"? denied'
# What Firestore says while it changes another field of the same database.
# shellcheck disable=SC2034 # by those who source this
BUSY='[Uu]nderlying data changed|ABORTED|[Cc]ontention|CONCURRENT'

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

# A question about one thing: prints what gcloud says, or nothing if there is no such thing. Of an API that is off the
# answer is nothing as well, in a dry run and before the step that enables it; later it is waited for.
# Fails for any other reason.
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

# ask_into FILE COMMAND…: in the background, as gcloud starts slowly; `answers` waits for all of them.
ASKING=()
ask_into() {
    local file="$1"
    shift
    ask "$@" >"$STATE/$file" &
    ASKING+=("$!")
}

answers() {
    local pid
    for pid in "${ASKING[@]}"; do
        wait "$pid"
    done
    ASKING=()
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
    printf '%s-%s@%s.iam.gserviceaccount.com' "$SLUG" "$1" "$PROJECT"
}

# Every function of the region, ours and others, into $STATE/functions.json.
read_functions() {
    ask gcloud functions list --v2 --regions="$REGION" --project="$PROJECT" --format=json >"$STATE/functions.json"
}
