#include "page_style.hpp"

namespace million {

std::string_view page_style()
{
    return R"css(
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --text: #1c1f23; --quiet: #5d646c; --line: #e3e0d8;
  --goroutines: #0b7a75; --threads: #c2571a; --small-threads: #8a6d1f; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1c2024; --text: #e8e6e1; --quiet: #9aa2aa; --line: #30363c;
    --goroutines: #3ec7bd; --threads: #f08c4a; --small-threads: #d8b44a; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 68rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 4vw, 2.5rem); }
h1 { font-size: clamp(1.8rem, 5.5vw, 3rem); line-height: 1.12; letter-spacing: -0.02em; margin: 0 0 0.8rem; text-wrap: balance; }
h2 { font-size: 1.3rem; letter-spacing: -0.01em; margin: 3.2rem 0 1rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 0 0 0.8rem; max-width: 44rem; }
.lead { font-size: 1.12rem; color: var(--quiet); }
.quiet, figcaption p, footer { color: var(--quiet); font-size: 0.9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem; margin: 2rem 0 0; }
.fact, figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.fact { padding: 1.1rem 1.25rem; }
.fact b { display: block; font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.02em; color: var(--goroutines); }
.fact span { display: block; font-size: 0.9rem; }
.fact span + span { color: var(--quiet); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: 1.1rem 1.25rem 0.9rem; min-width: 0; }
figcaption p { margin: 0.1rem 0 0.7rem; }
.charts.tall { grid-template-columns: minmax(0, 1fr); }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; font-size: 0.85rem; color: var(--quiet); margin: -0.3rem 0 0.7rem; }
.legend i { display: inline-block; width: 0.75em; height: 0.75em; margin-right: 0.45em; background: var(--text); }
svg { display: block; overflow: visible; }
svg text { fill: var(--text); font-size: 14px; }
svg .value { font-weight: 600; }
svg .tick { fill: var(--quiet); font-size: 12px; }
svg .grid { stroke: var(--line); }
.goroutines { fill: var(--goroutines); }
.threads { fill: var(--threads); }
.small-threads { fill: var(--small-threads); }
.limit { fill: var(--quiet); }
.shade1 { opacity: 0.4; } .shade2 { opacity: 0.72; } .shade3 { opacity: 0.25; } .shade4 { opacity: 0.55; }
.shade5 { opacity: 0.32; } .shade6 { opacity: 0.85; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 12px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: 0.94rem; }
th, td { padding: 0.5rem 0.9rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; vertical-align: bottom; }
thead small { display: block; font-weight: 400; color: var(--quiet); }
th[scope=row] { text-align: left; font-weight: 500; position: sticky; left: 0; background: var(--card); }
tr.detail th[scope=row] { padding-left: 1.9rem; font-weight: 400; }
tr.detail td, tr.detail th { border-top-color: transparent; padding-top: 0; color: var(--quiet); }
.why td:last-child { text-align: left; white-space: normal; min-width: 16rem; color: var(--quiet); }
.bad { color: var(--bad); font-weight: 600; }
.good { color: var(--goroutines); font-weight: 600; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
code { font: 0.92em ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media (max-width: 36rem) {
  th, td { padding: 0.45rem 0.6rem; }
  th[scope=row] { white-space: normal; min-width: 8.5rem; }
  tr.detail th[scope=row] { padding-left: 1.2rem; }
}
)css";
}

}  // namespace million
