package main

import (
	"bytes"
	"fmt"
	"os"
)

// memory is what the machine has left and what the process holds, in bytes.
type memory struct {
	available, resident, pageTables float64
}

func readMemory() memory {
	return memory{
		available:  field("/proc/meminfo", "MemAvailable:"),
		resident:   field("/proc/self/status", "VmRSS:"),
		pageTables: field("/proc/self/status", "VmPTE:"),
	}
}

// taken is how much less memory the machine has available than it had at `before`.
func (m memory) taken(before memory) float64 { return before.available - m.available }

// ownTaken is the growth of the process's resident pages and page tables, which other processes do not disturb.
func (m memory) ownTaken(before memory) float64 {
	return m.resident + m.pageTables - before.resident - before.pageTables
}

// resetPeak sets the kernel's high-water mark of resident pages to what is resident now, which it returns.
func resetPeak() float64 {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		fail("%v", err)
	}
	return peak()
}

func peak() float64 { return field("/proc/self/status", "VmHWM:") }

func field(file, name string) float64 {
	text, err := os.ReadFile(file)
	if err != nil {
		fail("%v", err)
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		if bytes.HasPrefix(line, []byte(name)) {
			var kib float64
			if _, err := fmt.Sscanf(string(line[len(name):]), "%f kB", &kib); err != nil {
				fail("%s: %s: %v", file, name, err)
			}
			return kib * 1024
		}
	}
	fail("%s has no %s", file, name)
	return 0
}

func mapsLines() float64 {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		fail("%v", err)
	}
	return float64(bytes.Count(text, []byte("\n")))
}
