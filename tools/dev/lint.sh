# Formatting and static checks.

formatted_files() {
    find include src test examples bench \( -name '*.hpp' -o -name '*.cpp' \) -type f | LC_ALL=C sort
}

format_check() {
    local files
    files=$(formatted_files | xargs clang-format-19 --dry-run 2>&1 | sed -n 's/^\([^: ]*\):.*code should be clang-formatted.*/\1/p' | uniq)
    [[ -z $files ]] && return
    printf 'not formatted (./dev fmt does it):\n%s\n' "$files"
    return 1
}

cmd_fmt() {
    case $* in
        '' | --check) ;;
        *) die "fmt: unknown argument: $*" ;;
    esac
    need "${packages_format[@]}"
    if (($#)); then
        format_check && say "all files are formatted"
    else
        formatted_files | xargs clang-format-19 -i
    fi
}

layers_check() { python3 -B tools/layers.py; }

# The tests of tools/*.py.
tools_tests() { python3 -B -m unittest discover --start-directory tools --pattern 'test_*.py'; }

# In a tree of its own, which is not built: there are no precompiled headers, and each file is compiled one way.
tidy_check() {
    configure release-clang -B build/lint -D WEFT_PRECOMPILE=OFF -D WEFT_BUILD_SHARED=OFF
    formatted_files | grep -E '^(src|examples)/.*\.cpp$' |
        xargs -P "$jobs" -n 4 clang-tidy-19 -p build/lint --quiet --warnings-as-errors='*'
}

cmd_lint() {
    (($# == 0)) || die "lint: unknown argument: $1"
    need "${packages_lint[@]}"
    step "layers" layers_check
    step "tools" tools_tests
    step "format" format_check
    step "clang-tidy" tidy_check
    report_steps
}
