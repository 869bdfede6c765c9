// Command pointage-card reads identity cards for the bureau's program, which starts it, listens to its standard output
// and ends it by closing its standard input. It is a process of its own so that the bureau's program needs no library
// of the machine's.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pointage/node/eid"
	"pointage/node/eid/pcsc"
	"pointage/node/provenance"
)

const usage = `pointage-card reads identity cards for pointage, which starts it; it needs PC/SC (Debian: pcscd, libpcsclite1).
--roots FILE names earlier root certificates of the State, in PEM; their digests are in the program.
--version says what this program is.
It writes what happens at the readers, one JSON object a line, until its standard input ends.

Example, to try a reader by hand (shows the card's number and names; Ctrl-D ends it):  pointage-card`

// longest is how long it takes at most to end: a card may be holding it.
const longest = 2 * time.Second

// maxRoots is the length of a file of roots, in bytes.
const maxRoots = 64 << 10

func main() {
	roots := eid.PinnedRoots()
	switch words := os.Args[1:]; {
	case len(words) == 0:
	case len(words) == 1 && (words[0] == "--help" || words[0] == "-h"):
		fmt.Println(usage)
		return
	case len(words) == 1 && words[0] == "--version":
		if err := provenance.Print(os.Stdout, "pointage-card"); err != nil {
			fmt.Fprintf(os.Stderr, "pointage-card: %v\n", err)
			os.Exit(1)
		}
		return
	case len(words) == 2 && words[0] == "--roots":
		var err error
		if roots, err = further(words[1]); err != nil {
			fmt.Fprintf(os.Stderr, "pointage-card: %v\n", err)
			os.Exit(2)
		}
	default:
		fmt.Fprintf(os.Stderr, "pointage-card: takes --roots FILE and nothing else, not %q; see pointage-card --help\n", words)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Both end with the process: neither reading standard input nor a command to a card can be interrupted.
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	context.AfterFunc(ctx, func() {
		<-time.After(longest)
		os.Exit(0)
	})
	if err := pcsc.Run(ctx, os.Stdout, roots); err != nil {
		fmt.Fprintf(os.Stderr, "pointage-card: %v\n", err)
		os.Exit(1)
	}
}

// further reads the roots of a file.
func further(file string) (eid.Roots, error) {
	f, err := os.Open(file)
	if err != nil {
		return eid.Roots{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRoots))
	if err != nil {
		return eid.Roots{}, fmt.Errorf("read %s: %w", file, err)
	}
	r, err := eid.FurtherRoots(text)
	if err != nil {
		return eid.Roots{}, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}
