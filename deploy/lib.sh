# shellcheck shell=bash
# What every step begins with: the options of deploy.sh as variables, and how commands are printed and run.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="${PYTHON:-python3}"

# Set by deploy.sh, teardown.sh or smoke.sh, and exported to the steps.
: "${PROJECT:?run deploy/deploy.sh PROJECT_ID}" "${REGION:=us-central1}" "${DRY_RUN:=}" "${STATE:?}"
: "${ENVIRONMENT:=$STATE/environment.yaml}" # the functions' environment; JSON, which is YAML

export CLOUDSDK_CORE_DISABLE_PROMPTS=1
export CLOUDSDK_CORE_PROJECT="$PROJECT" # gcloud asks some of its questions about this one, whatever --project says

say() { printf '%s\n' "$*"; }

die() {
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

# Print a command; run it, unless this is a dry run.
run() {
    printf '+'
    printf ' %q' "$@"
    printf '\n'
    [[ -n $DRY_RUN ]] || "$@"
}

# As run, again while the service accounts made a moment ago are not known everywhere yet.
run_patiently() {
    local try
    for try in 1 2 3 4 5; do
        if run "$@" 2>"$STATE/tried"; then
            return
        fi
        grep -q 'does not exist' "$STATE/tried" || break
        say "not known yet, once more in $((try * 3)) s"
        sleep $((try * 3))
    done
    cat "$STATE/tried" >&2
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

# Run the commands of a plan, one after the other.
run_plan() {
    local words
    while IFS=$'\t' read -r -a words; do
        run "${words[@]}" </dev/null
    done <"$1"
}

account() {
    printf 'credit-refresh-%s@%s.iam.gserviceaccount.com' "$1" "$PROJECT"
}
