package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"pointage/testnet/simulation"
)

// barWidth is the width of the progress bar, in characters.
const barWidth = 24

// plainEvery is the pace of progress lines without a terminal.
const plainEvery = 5 * time.Second

// show writes the day as it goes: a bar on a terminal, plain lines elsewhere.
type show struct {
	out io.Writer
	bar bool

	mu sync.Mutex
	// drawn says that the bar stands on the present line.
	drawn bool
	last  time.Time
}

func newShow(out io.Writer, plain bool) *show {
	return &show{out: out, last: time.Now(), bar: !plain && isTerminal(out) && os.Getenv("NO_COLOR") == ""}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Write puts a line above the bar.
func (s *show) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.last = time.Now()
	return s.out.Write(b)
}

func (s *show) wipe() {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
}

// Progress implements simulation.Live.
func (s *show) Progress(p simulation.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bar {
		if time.Since(s.last) < plainEvery {
			return
		}
		s.last = time.Now()
		fmt.Fprintln(s.out, line(p))
		return
	}
	done := 0
	switch {
	case p.Stage != "" && p.Of > 0:
		done = int(barWidth * min(p.Done, p.Of) / p.Of)
	case p.Expected > 0:
		done = barWidth * p.Came / p.Expected
	}
	fmt.Fprintf(s.out, "\r\x1b[K[%s%s] %s", strings.Repeat("#", done), strings.Repeat(".", barWidth-done), line(p))
	s.drawn = true
}

// Sample implements simulation.Live: the poll is told in lines, its evening by its stages.
func (s *show) Sample(x simulation.Sample) {
	if !x.Evening {
		s.Progress(x.Progress)
	}
}

func line(p simulation.Progress) string {
	switch {
	case p.Stage != "" && p.Of > 0:
		return fmt.Sprintf("%s: %d of %d", p.Stage, p.Done, p.Of)
	case p.Stage != "" && p.Done > 0:
		return fmt.Sprintf("%s: %d", p.Stage, p.Done)
	case p.Stage != "":
		return p.Stage
	}
	leader := "nobody leads"
	if p.Leader != 0 {
		leader = fmt.Sprintf("bureau %d leads", p.Leader)
	}
	out := fmt.Sprintf("%d of %d through, %d check-ins, %d refused, %s, %d anchored", p.Came, p.Expected, p.CheckIns, p.Refused, leader, p.Anchored)
	if len(p.CutOff) > 0 {
		out += fmt.Sprintf(", cut off: %v", p.CutOff)
	}
	if p.Fault != "" {
		out += ", fault: " + p.Fault
	}
	return out
}

// End leaves no bar.
func (s *show) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}
