package report

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine says in a line on what this program runs, and nothing by which its owner could be known.
func Machine() string {
	return fmt.Sprintf("%s/%s, %d processors%s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor("/proc/cpuinfo"), runtime.Version())
}

// processor is the model's name where a system keeps it in such a file.
func processor(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "" // another system
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if name, model, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(model) + ")"
		}
	}
	return ""
}
