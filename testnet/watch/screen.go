// Package watch shows a simulated day on a terminal while it is played.
package watch

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"pointage/testnet/simulation"
)

// maxLines is how many lines of text are kept to be left on the terminal; the oldest go first.
const maxLines = 500

// Screen is a terminal taken for the day, from Start to End; it is a simulation.Live and takes its lines of text. When
// it ends, by End, by its context or by a key, the terminal is as it was, and the lines stand on it.
type Screen struct {
	out     io.Writer
	program *tea.Program
	stop    func() bool
	// ended is closed when the terminal is free again.
	ended chan struct{}

	mu sync.Mutex
	// lines wait for the terminal; free says that it is, and lines go straight to it.
	lines []string
	free  bool
}

// Start draws on out and reads keys from in, both a terminal. A key that ends the run calls interrupt; the end of
// ctx ends the drawing too, so that a second Ctrl-C reaches the program as a signal.
func Start(ctx context.Context, in, out *os.File, interrupt func()) *Screen {
	began := time.Now()
	s := &Screen{out: out, ended: make(chan struct{})}
	s.program = tea.NewProgram(model{interrupt: interrupt, since: func() time.Duration { return time.Since(began) }},
		tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	s.stop = context.AfterFunc(ctx, s.program.Quit)
	go s.run()
	return s
}

func (s *Screen) run() {
	defer close(s.ended)
	last, err := s.program.Run()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = true
	for _, l := range s.lines {
		fmt.Fprintln(s.out, l)
	}
	if err != nil {
		fmt.Fprintf(s.out, "the day is no longer drawn: %v\n", err)
	}
	if m, ok := last.(model); ok && m.ending {
		fmt.Fprintln(s.out, "ending the run; Ctrl-C leaves at once, as it is")
	}
}

// Write takes whole lines.
func (s *Screen) Write(b []byte) (int, error) {
	text := strings.TrimSuffix(string(b), "\n")
	s.mu.Lock()
	if s.free {
		defer s.mu.Unlock()
		return s.out.Write(b)
	}
	if s.lines = append(s.lines, text); len(s.lines) > maxLines {
		s.lines = s.lines[len(s.lines)-maxLines:]
	}
	s.mu.Unlock()
	s.program.Send(lineMsg(text))
	return len(b), nil
}

// Progress implements simulation.Live.
func (s *Screen) Progress(p simulation.Progress) { s.program.Send(stageMsg(p)) }

// Sample implements simulation.Live.
func (s *Screen) Sample(x simulation.Sample) { s.program.Send(sampleMsg(x)) }

// End gives the terminal back, as it was, with the lines on it; a second time it does nothing.
func (s *Screen) End() {
	s.stop()
	s.program.Quit()
	<-s.ended
}
