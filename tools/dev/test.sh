# ./dev test: the cheap checks and the suites, one per preset.

suites_all=(release tsan asan release-clang lto)
[[ $(uname -m) == aarch64 ]] || suites_all+=(aarch64)

# What each suite builds and runs, so that all of them are over in an hour on two cores. The release suite is whole.
# The others run with 4 Ps and leave to it the other numbers of Ps, what kernels lack, the end-to-end tests, the installed
# library, and the models, which have a machine of their own. Beyond that:
#
#   tsan           no crash tests: what ends a process is not a matter of several threads, and TSan has signal handlers its
#                  own way
#   asan           forced migration as well
#   release-clang  no storms and no edges: a compiler's mistakes show in the unit tests too
#   lto            the conformance tests, which meet all hot paths: each program that is linked compiles all of the core
#                  once more
#   aarch64        as with Clang, but no limits: the emulator does not keep them

# suite_targets PRESET: none: everything.
suite_targets() {
    case $1 in
        release) ;;
        tsan | asan) echo weft_tests ;;
        release-clang) echo weft_unit weft_conform weft_crash weft_fault ;;
        aarch64) echo weft_unit weft_conform weft_crash ;;
        lto) echo weft_conform ;;
    esac
}

# suite_arguments PRESET: ctest's, a line each.
suite_arguments() {
    local leave_out='-procs-(1|2|16)$|^(unit|conform)-(no|hibernate)' labels
    case $1 in
        release) return ;;
        tsan) labels='unit|conform|tls|asio|stress-short|fault' ;;
        asan) labels='unit|conform|tls|asio|stress-short|crash|fault' ;;
        release-clang) labels='unit|conform|crash|fault' ;;
        aarch64) labels='unit|conform|crash' ;;
        lto) labels=conform ;;
    esac
    [[ $1 == asan ]] || leave_out+='|-migrate$'
    printf '%s\n' --label-regex "^($labels)\$" --exclude-regex "$leave_out"
}

# fingerprint PRESET: what a passed suite depends on: sources, tools, its own compilers (`--all` installs more of them than
# `./dev test` has seen), kernel.
fingerprint() {
    local tools=(cmake) tool
    case $1 in
        *clang*) tools+=(clang++-19) ;;
        aarch64) tools+=(aarch64-linux-gnu-g++ qemu-aarch64) ;;
        *) tools+=(g++) ;;
    esac
    {
        find CMakeLists.txt CMakePresets.json cmake src include test examples bench tools dev \
            -type f -not -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        uname -srm
        for tool in "${tools[@]}"; do
            "$tool" --version 2>/dev/null || true
        done
    } | sha256sum | cut -c 1-20
}

# suite PRESET TARGETS [ctest argument...]: TARGETS: words; none: everything.
suite() {
    local preset=$1 targets
    read -ra targets <<<"$2"
    shift 2
    build "$preset" "${targets[@]}"
    ctest --preset "$preset" -j "$jobs" "$@"
}

# run_suite PRESET STAMP TARGETS [ctest argument...]: as a step; leaves the stamp (a file name; may be empty) when it
# passes.
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
    local preset stamp targets=''
    for preset in "${suites[@]}"; do
        stamp=build/stamps/$preset-$(fingerprint "$preset")
        ((!partial)) || stamp=''
        if ((all && !fresh)) && [[ -n $stamp && -e $stamp ]]; then
            skip_step "$preset" "passed before with these sources, not run again"
        else
            if ((all)); then
                targets=$(suite_targets "$preset")
                mapfile -t arguments < <(suite_arguments "$preset")
            fi
            run_suite "$preset" "$stamp" "$targets" "${arguments[@]}"
        fi
    done
    report_steps
}
