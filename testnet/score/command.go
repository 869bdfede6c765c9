package score

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// maxPrinted bounds what is kept of a command's output: its end.
	maxPrinted = 32 << 20
	// endsWithin is what a command that is told to end has for it.
	endsWithin = 20 * time.Second
)

// In runs commands in a directory, the module's. Each ends with its children when ctx does.
func In(dir string) Runner {
	return func(ctx context.Context, words []string) (string, error) {
		var printed tail
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &printed, &printed, endsWithin
		alone(cmd)
		err := cmd.Run()
		return printed.String(), err
	}
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.Len() > maxPrinted {
		t.Next(maxPrinted / 2)
	}
	return t.Buffer.Write(p)
}

var executed = regexp.MustCompile(`execs: (\d+)`)

// Fuzz runs every fuzz target of packages for a number of executions, one after the other, and prints a line for each. The
// error names the first that found something, with what it printed.
func Fuzz(ctx context.Context, run Runner, packages []string, times int, out io.Writer) error {
	listed, err := run(ctx, slices.Concat([]string{"go", "list"}, packages))
	if err != nil {
		return fmt.Errorf("list %s: %s", strings.Join(packages, " "), strings.TrimSpace(listed))
	}
	for pkg := range strings.FieldsSeq(listed) {
		names, err := run(ctx, []string{"go", "test", "-list", "^Fuzz", pkg})
		if err != nil {
			return fmt.Errorf("list the fuzz targets of %s: %s", pkg, strings.TrimSpace(names))
		}
		for name := range strings.FieldsSeq(names) {
			if !strings.HasPrefix(name, "Fuzz") {
				continue
			}
			printed, err := run(ctx, []string{"go", "test", pkg, "-run", "^$", "-fuzz", "^" + name + "$", "-fuzztime", fmt.Sprintf("%dx", times)})
			if err != nil {
				return fmt.Errorf("%s %s: %s", pkg, name, strings.TrimSpace(printed))
			}
			n := "0"
			if all := executed.FindAllStringSubmatch(printed, -1); len(all) > 0 {
				n = all[len(all)-1][1]
			}
			fmt.Fprintf(out, "%s %s %s executions\n", pkg, name, n)
		}
	}
	return ctx.Err()
}
