# ./dev test: the cheap checks and the suites, one per preset.

suites_all=(release tsan asan release-clang lto)
[[ $(uname -m) == aarch64 ]] || suites_all+=(aarch64)

# What `--all` leaves to the release suite, so that all of it and `./dev test` are over in 50 minutes on two cores: the
# extremes of the number of Ps; what kernels lack; the longest end-to-end test; and, but for ASan, the models, which have
# a machine of their own. Under the emulator 4 Ps alone: there a run takes minutes.
suite_arguments() {
    local leave_out='-procs-(1|16)$|^(unit|conform)-(no|hibernate)|^e2e-million$'
    case $1 in
        release) return ;;
        asan) ;;
        aarch64) leave_out+='|-procs-2$' ;;
        *) leave_out+='|^model$' ;;
    esac
    printf '%s\n' --exclude-regex "$leave_out"
}

# What a passed suite depends on: sources, tools, compilers, kernel.
fingerprint() {
    {
        find CMakeLists.txt CMakePresets.json cmake src include test examples bench tools dev \
            -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        uname -srm
        local compiler
        for compiler in g++ clang++-19 aarch64-linux-gnu-g++ cmake qemu-aarch64; do
            "$compiler" --version 2>/dev/null || true
        done
    } | sha256sum | cut -c 1-20
}

# suite PRESET [ctest argument...]
suite() {
    local preset=$1
    shift
    build "$preset"
    ctest --preset "$preset" -j "$jobs" "$@"
}

# run_suite PRESET STAMP [ctest argument...]: as a step; leaves the stamp (a file name; may be empty) when it passes.
run_suite() {
    local preset=$1 stamp=$2 log=build/$1.test.log failed_before=$steps_failed
    shift 2
    mkdir -p build
    step "$preset" suite_logged "$log" "$preset" "$@"
    count_ctest "$log"
    if [[ $preset == release && -n $stamp ]] && ((steps_failed == failed_before)); then
        step "icount" icount_check
    fi
    if [[ -n $stamp ]] && ((steps_failed == failed_before)); then
        mkdir -p "$(dirname "$stamp")"
        : >"$stamp"
    fi
}

# The instruction counts of the hot paths, against those under version control.
icount_check() { python3 -B tools/icount.py --check; }

suite_logged() {
    local log=$1
    shift
    : >"$log"
    suite "$@" 2>&1 | tee "$log"
}

cmd_test() {
    local all=0 fresh=0 only='' procs='' filter=''
    while (($#)); do
        case $1 in
            --all) all=1 ;;
            --fresh) fresh=1 ;;
            --preset | --procs | --filter)
                (($# >= 2)) || die "test: $1 needs a value"
                case $1 in
                    --preset) only=$2 ;;
                    --procs) procs=$2 ;;
                    --filter) filter=$2 ;;
                esac
                shift
                ;;
            *) die "test: unknown argument: $1" ;;
        esac
        shift
    done
    [[ $procs =~ ^([0-9]+(,[0-9]+)*)?$ ]] || die "test: --procs wants numbers, as in 1,4"
    ((!all)) || [[ -z $only$procs$filter ]] || die "test: --all goes without --preset, --procs and --filter"

    local arguments=() partial=0
    if [[ -n $procs ]]; then
        partial=1
        arguments+=(--tests-regex "-procs-(${procs//,/|})\$")
    fi
    if [[ -n $filter ]]; then
        partial=1
        arguments+=(--label-regex '^(unit|conform|model|crash|fault)$')
        export GTEST_FILTER=$filter
    fi

    if ((all)); then
        need "${packages_test_all[@]}"
    else
        need "${packages_test[@]}"
    fi

    step "layers" layers_check
    step "tools" tools_tests
    if have_package clang-format-19; then
        step "format" format_check
    else
        skip_step "format" "not checked: clang-format-19 is not installed (./dev setup --all)"
    fi

    local suites=(release)
    ((!all)) || suites=("${suites_all[@]}")
    [[ -z $only ]] || suites=("$only")
    local print preset stamp
    print=$(fingerprint)
    for preset in "${suites[@]}"; do
        stamp=build/stamps/$preset-$print
        ((!partial)) || stamp=''
        if ((all && !fresh)) && [[ -n $stamp && -e $stamp ]]; then
            skip_step "$preset" "passed before with these sources, not run again"
        else
            ((!all)) || mapfile -t arguments < <(suite_arguments "$preset")
            run_suite "$preset" "$stamp" "${arguments[@]}"
        fi
    done
    report_steps
}
