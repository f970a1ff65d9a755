#include "options.hpp"

#include <CLI/CLI.hpp>

#include "weft/runtime.hpp"

namespace million {

namespace {

constexpr std::int64_t most_tasks = 100'000'000;

/// A whole number from `least` to `most`.
CLI::Validator whole_number(std::int64_t least, std::int64_t most)
{
    const auto check = [=](const std::string& text)
    {
        std::int64_t value = 0;
        const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= most;
        return good ? std::string()
                    : '"' + text + "\" is not a whole number from " + std::to_string(least) + " to " +
                          std::to_string(most);
    };
    return {check, "", "whole_number"};
}

}  // namespace

parsed parse_options(int argc, char** argv, settings& s)
{
    CLI::App app(
        "Starts a million goroutines that wait for a gate, swap a value with a partner, sleep and finish; then the "
        "same\n"
        "with OS threads, as far as the machine allows. Prints what each of them costs.");
    app.name("million");
    app.add_option("--goroutines", s.goroutines, "goroutines to start")
        ->check(whole_number(1, most_tasks))
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--threads", s.threads, "threads to start at the most, 0 for none")
        ->check(whole_number(0, most_tasks))
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--procs", s.procs,
                   "goroutines that run at the same time (default: WEFT_PROCS, else one for each CPU)")
        ->check(whole_number(1, weft::max_procs_limit))
        ->type_name("N");
    app.add_option("--memory", s.memory,
                   "memory to use at the most, a reserve included; with a unit: 500M, 2G (default: what is free)")
        ->transform(CLI::AsSizeValue(false))
        ->type_name("BYTES");
    app.add_option("--json", s.json, "write all results to this file")->type_name("FILE");
    app.add_option("--html", s.html, "write a page with the table and charts to this file")->type_name("FILE");
    app.add_flag("!--no-progress", s.progress, "show no progress on stderr");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& e) {
        app.exit(e);
        return parsed::help;
    } catch (const CLI::ParseError& e) {
        app.exit(e);
        return parsed::error;
    }
    return parsed::run;
}

}  // namespace million
