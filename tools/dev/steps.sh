# Steps: parts of a run that are timed, of which all are tried even when one fails, and summed up at the end.

step_lines=()
steps_failed=0
tests_passed=0
tests_failed=0

# step NAME FUNCTION [ARG...]: runs it in a shell of its own, where the first command that fails ends it.
step() {
    local name=$1 start=$SECONDS outcome=passed
    shift
    say "$name"
    # Not the condition of an `if`: there `set -e` would be off inside.
    set +e
    (
        set -e
        "$@" 2>&1
    )
    local status=$?
    set -e
    if ((status != 0)); then
        outcome=FAILED
        steps_failed=$((steps_failed + 1))
    fi
    step_lines+=("$(printf '%-16s %-8s %4d s' "$name" "$outcome" $((SECONDS - start)))")
    return 0
}

skip_step() {
    say "$1: $2"
    step_lines+=("$(printf '%-16s %s' "$1" "$2")")
}

# count_ctest LOG: adds what ctest's closing line says.
count_ctest() {
    local line
    line=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$1" | tail -n 1) || return 0
    local failed total
    failed=$(sed -E 's/.*passed, ([0-9]+) tests.*/\1/' <<<"$line")
    total=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<<"$line")
    tests_failed=$((tests_failed + failed))
    tests_passed=$((tests_passed + total - failed))
}

# The table of steps; ends the process with 1 when one has failed.
report_steps() {
    printf '\n'
    printf '  %s\n' "${step_lines[@]}"
    printf '  %-16s %-8s %4d s\n\n' total '' "$SECONDS"
    if ((tests_passed + tests_failed > 0)); then
        printf '%d passed, %d failed\n' "$tests_passed" "$tests_failed"
    fi
    ((steps_failed == 0)) || exit 1
}
