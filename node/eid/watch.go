package eid

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// Pulse is how often the card program shows that it lives; after maxSilence it is ended and started again.
const (
	Pulse      = 3 * time.Second
	maxSilence = 15 * time.Second
)

// The pauses before the card program is started again: doubled after each failure, from the first to the longest. A
// program that lived for longer than the longest begins again at the first.
const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// graceful is how long the card program has to end by itself.
	graceful = 3 * time.Second
)

// backlog is how many events may wait for the screens; behind them the card program waits.
const backlog = 16

// Options say which card program, and where to log.
type Options struct {
	// Program is the path of the card program. Arguments are none in production; tests give some.
	Program   string
	Arguments []string
	// Logger gets one line when the card program fails or comes back; nil for none.
	Logger *slog.Logger
}

// Beside is the path of the card program that is installed beside this one, its name ending as this one's does.
func Beside() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the card program: %w", err)
	}
	name := "pointage-card"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(filepath.Dir(own), name), nil
}

// Watch runs the card program until ctx ends and says what happens at the readers. The channel is closed when the
// program has ended; whoever called Watch reads until then. A trouble that stays is said once: the screens go on
// with typed numbers, and hear of ReaderPresent when there is a reader.
//
// When the card program ends, every reader that it had told of is told to be gone.
func Watch(ctx context.Context, o Options) <-chan Event { return watch(ctx, o, maxSilence) }

func watch(ctx context.Context, o Options, silence time.Duration) <-chan Event {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &watcher{options: o, silence: silence, events: make(chan Event, backlog), cards: map[string]bool{}}
	go w.run(ctx)
	return w.events
}

// watcher is Watch's goroutine; all fields are its own.
type watcher struct {
	options Options
	silence time.Duration
	events  chan Event
	// said is the last trouble about readers, 0 after a reader was there.
	said Trouble
	// cards has every reader told of, and whether a card is in it.
	cards map[string]bool
}

// run starts the card program again and again. It owns the program: none is left when it returns.
func (w *watcher) run(ctx context.Context) {
	defer close(w.events)
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := w.session(ctx)
		w.allGone(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, fs.ErrNotExist):
			w.sayOnce(ctx, NoProgram, err)
		default:
			w.sayOnce(ctx, ProgramFails, err)
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// session is one life of the card program; the error is why it ended.
func (w *watcher) session(ctx context.Context) error {
	if w.options.Program == "" {
		return fs.ErrNotExist
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	program := exec.CommandContext(ctx, w.options.Program, w.options.Arguments...)
	in, err := program.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the card program: %w", err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the card program: %w", err)
	}
	// The end of its input asks it to end; the rest follows after WaitDelay.
	program.Cancel, program.WaitDelay = in.Close, graceful
	if err := program.Start(); err != nil {
		return fmt.Errorf("start the card program: %w", err)
	}
	err = w.listen(ctx, stop, out)
	stop(err)
	ended := program.Wait()
	if !errors.Is(err, io.EOF) {
		return err
	}
	if ended == nil {
		ended = errors.New("by itself, without an error")
	}
	return fmt.Errorf("card program ended: %w", ended)
}

var errSilent = errors.New("card program is silent")

// listen hands on what the card program says until it ends, is silent or speaks nonsense.
func (w *watcher) listen(ctx context.Context, stop context.CancelCauseFunc, out io.Reader) error {
	silence := time.AfterFunc(w.silence, func() { stop(errSilent) })
	defer silence.Stop()
	lines := bufio.NewReaderSize(out, MaxLine)
	for first := true; ; first = false {
		text, err := lines.ReadSlice('\n')
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return fmt.Errorf("hear the card program: %w", err)
		}
		silence.Reset(w.silence)
		l, err := decode(text[:len(text)-1])
		clear(text)
		switch {
		case err != nil:
			return err
		case first:
			if l != (line{Event: hello, Version: Version}) {
				return fmt.Errorf("card program of another version: %w", errLine)
			}
		case l != line{Event: alive}:
			e, err := l.event()
			if err != nil {
				return err
			}
			// While the screens don't listen the program isn't listened to either.
			silence.Stop()
			if err := w.tell(ctx, e); err != nil {
				return err
			}
			silence.Reset(w.silence)
		}
	}
}

// tell hands an event on and keeps count of readers and cards.
func (w *watcher) tell(ctx context.Context, e Event) error {
	switch e.Kind {
	case ReaderPresent:
		if _, known := w.cards[e.Reader]; !known && len(w.cards) == MaxReaders {
			return errLine
		}
		w.cards[e.Reader], w.said = false, 0
	case ReaderGone:
		delete(w.cards, e.Reader)
	case CardInserted, CardRemoved:
		w.cards[e.Reader] = e.Kind == CardInserted
	case Troubled:
		if e.Reader == "" {
			w.sayOnce(ctx, e.Trouble, nil)
			return context.Cause(ctx)
		}
	}
	return w.give(ctx, e)
}

func (w *watcher) give(ctx context.Context, e Event) error {
	select {
	case w.events <- e:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sayOnce tells a trouble about readers when it is not the one that was told last.
func (w *watcher) sayOnce(ctx context.Context, t Trouble, err error) {
	if w.said == t {
		return
	}
	w.said = t
	if err != nil {
		w.options.Logger.Warn("no card reader", "trouble", uint8(t), "err", err)
	}
	w.give(ctx, Event{Kind: Troubled, Trouble: t})
}

// allGone tells that cards and readers are gone with the program that saw them.
func (w *watcher) allGone(ctx context.Context) {
	for reader, card := range w.cards {
		if card {
			w.give(ctx, Event{Kind: CardRemoved, Reader: reader})
		}
		w.give(ctx, Event{Kind: ReaderGone, Reader: reader})
		delete(w.cards, reader)
	}
}
