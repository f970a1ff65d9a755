// The Go side of weft's benchmarks: the same names, the same work and the same JSON lines as bench/micro, written the
// way a Go programmer would write it. tools/bench.py builds and runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

// metrics are a result's figures by unit, for example "ns_per_op".
type metrics map[string]float64

type bench struct {
	name string
	run  func() (ops int, m metrics, note string)
}

var benches []bench

func add(name string, run func() (int, metrics, string)) {
	benches = append(benches, bench{name, run})
}

var minTimeMs = flag.Int("min-time-ms", 300, "shortest measurement of an auto-scaled benchmark, in milliseconds")

// cpuTime is the CPU time of the process so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail("getrusage: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

type elapsed struct{ wall, cpu time.Duration }

func timeOf(body func()) elapsed {
	start, cpuStart := time.Now(), cpuTime()
	body()
	return elapsed{time.Since(start), cpuTime() - cpuStart}
}

func (e elapsed) metrics(ops int) metrics {
	return metrics{
		"ns_per_op":     float64(e.wall.Nanoseconds()) / float64(ops),
		"cpu_ns_per_op": float64(e.cpu.Nanoseconds()) / float64(ops),
	}
}

// scaled runs body(n) with growing n until one run lasts the least time. The shorter runs before it are the warm-up.
func scaled(body func(n int)) (int, metrics, string) {
	minTime := time.Duration(*minTimeMs) * time.Millisecond
	n := 1
	for {
		took := timeOf(func() { body(n) })
		if took.wall >= minTime {
			return n, took.metrics(n), ""
		}
		n = int(float64(n)*math.Min(10, 1.2*float64(minTime)/float64(took.wall+1))) + 1
	}
}

// fixed times one run of body, which does ops operations.
func fixed(ops int, body func()) (int, metrics, string) {
	took := timeOf(body)
	m := took.metrics(ops)
	m["ms"] = took.wall.Seconds() * 1e3
	return ops, m, ""
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "peer: "+format+"\n", args...)
	os.Exit(1)
}

func selected(name string, filters []string) bool {
	for _, f := range filters {
		if ok, err := path.Match(f, name); err != nil {
			fail("bad filter %q: %v", f, err)
		} else if ok || strings.HasPrefix(name, f+"/") {
			return true
		}
	}
	return len(filters) == 0
}

func main() {
	procs := flag.Int("procs", 1, "GOMAXPROCS")
	asJSON := flag.Bool("json", false, "print one JSON object a line")
	server := flag.String("serve", "", "be a server for tools/net_bench.py: raw, http, echo or ping-pong")
	list := flag.Bool("list", false, "print the names and exit")
	flag.Parse()
	if *procs < 1 {
		fail("--procs %d: must be at least 1", *procs)
	}
	runtime.GOMAXPROCS(*procs)
	if *server != "" {
		serve(*server)
	}

	ran := false
	for _, b := range benches {
		if !selected(b.name, flag.Args()) {
			continue
		}
		ran = true
		if *list {
			fmt.Println(b.name)
			continue
		}
		ops, m, note := b.run()
		print := printText
		if *asJSON {
			print = printJSON
		}
		print(b.name, *procs, ops, m, note)
	}
	if !ran {
		fail("no benchmark matches %q", flag.Args())
	}
}

func printJSON(name string, procs, ops int, m metrics, note string) {
	line := map[string]any{"name": name, "procs": procs, "ops": ops}
	for unit, value := range m {
		line[unit] = value
	}
	if note != "" {
		line["note"] = note
	}
	out, err := json.Marshal(line)
	if err != nil {
		fail("%s: %v", name, err)
	}
	fmt.Println(string(out))
}

func printText(name string, procs, ops int, m metrics, note string) {
	units := make([]string, 0, len(m))
	for unit := range m {
		units = append(units, unit)
	}
	sort.Strings(units)
	fmt.Printf("%-28s procs=%d ops=%d", name, procs, ops)
	for _, unit := range units {
		fmt.Printf("  %s=%.2f", unit, m[unit])
	}
	if note != "" {
		fmt.Printf("  (%s)", note)
	}
	fmt.Println()
}
