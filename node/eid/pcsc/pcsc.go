// Package pcsc watches the readers of this machine through PC/SC and reads the cards that are put in. It is linked
// into node/cmd/pointage-card alone: PC/SC's library is a C one, loaded while running, and a program that
// loads it is no static binary any more.
package pcsc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ElMostafaIdrassi/goscard"

	"pointage/node/eid"
)

const (
	// MaxReading is how long a card may take; the slowest genuine ones take about three seconds.
	MaxReading = 20 * time.Second
	// look is how long a change at a reader is waited for, and how soon a new reader is noticed.
	look = time.Second
	// again is the pause before PC/SC is asked again after it was not there.
	again = 2 * time.Second
	// settle is how long a reader gets to notice that the card whose command failed has left.
	settle = 1500 * time.Millisecond
)

// What PC/SC answers, as far as it is told apart (pcsclite.h, winerror.h).
const (
	noService         = 0x8010001D
	timedOut          = 0x8010000A
	noSuchReader      = 0x80100009
	sharingViolation  = 0x8010000B
	protocolMismatch  = 0x8010000F
	unresponsiveCard  = 0x80100066
	unsupportedCard   = 0x80100065
	noReadersPresent  = 0x8010002E
	readerUnavailable = 0x80100017
)

// code is an answer of PC/SC that is no success.
type code uint64

func (c code) Error() string { return fmt.Sprintf("PC/SC answers 0x%08X", uint64(c)) }

// failed makes an error of goscard's two results; its text is not used, since nothing says what is in it.
func failed(ret uint64, err error) error {
	switch {
	case ret != 0:
		return code(ret)
	case err != nil:
		return errors.New("PC/SC can't be asked")
	}
	return nil
}

// Run says on out what happens at the readers (package eid: Hello, then events) until ctx ends, out fails, or a reader
// hangs. It returns when no reading is under way any more, except in that last case: the process should end then.
func Run(ctx context.Context, out io.Writer, roots eid.Roots) error {
	return run(ctx, out, roots, MaxReading)
}

func run(ctx context.Context, out io.Writer, roots eid.Roots, limit time.Duration) error {
	w := &watch{roots: roots, out: out, seats: seats{at: map[string]*seat{}, limit: limit}, running: map[int]time.Time{}}
	if err := w.write(eid.Hello()); err != nil {
		return err
	}
	for ctx.Err() == nil {
		err := w.session(ctx)
		if err == nil || errors.Is(err, errOut) || errors.Is(err, errHangs) {
			if err == nil {
				w.readings.Wait()
			}
			return err
		}
		w.tell(func(s *seats) []news { return s.clear() })
		w.trouble(eid.NoService)
		w.wait(ctx, again)
	}
	w.readings.Wait()
	return nil
}

var (
	errOut   = errors.New("nobody listens to the card program")
	errHangs = errors.New("a reader hangs")
)

// loading keeps goscard, which has one library for the whole process and refuses to load it twice.
var loading struct {
	sync.Mutex
	done bool
}

// load loads PC/SC's library. It may be tried again: a service can be installed while the bureau is open.
func load() error {
	loading.Lock()
	defer loading.Unlock()
	if loading.done {
		return nil
	}
	if err := goscard.Initialize(goscard.NewDefaultLogger(goscard.LogLevelNone)); err != nil {
		return code(noService)
	}
	loading.done = true
	return nil
}

// watch is one run.
type watch struct {
	roots    eid.Roots
	readings sync.WaitGroup

	// mu orders what is told: an event is decided and written under it.
	mu    sync.Mutex
	out   io.Writer
	seats seats
	said  eid.Trouble
	// visits is the number of the last reading; running has those under way and since when.
	visits  int
	running map[int]time.Time
	pulse   time.Time
	broken  bool
}

// write writes one line; mu is held, or nobody else is there yet.
func (w *watch) write(text []byte) error {
	_, err := w.out.Write(text)
	clear(text)
	if err != nil {
		w.broken = true
		return errOut
	}
	w.pulse = time.Now()
	return nil
}

// tell writes what is new, and begins the readings that it asks for.
func (w *watch) tell(what func(*seats) []news) []news {
	w.mu.Lock()
	defer w.mu.Unlock()
	var begin []news
	for _, n := range what(&w.seats) {
		if n.event.Kind == eid.ReaderPresent {
			w.said = 0
		}
		w.write(n.event.Encode())
		if n.begin != 0 {
			w.running[n.begin] = time.Now()
			begin = append(begin, n)
		}
	}
	return begin
}

// trouble tells what is wrong with readers, once.
func (w *watch) trouble(t eid.Trouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said != t {
		w.said = t
		w.write(eid.Event{Kind: eid.Troubled, Trouble: t}.Encode())
	}
}

// beat shows that the program lives, and says whether it still should.
func (w *watch) beat() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, since := range w.running {
		if time.Since(since) > 2*w.seats.limit {
			return errHangs
		}
	}
	if time.Since(w.pulse) >= eid.Pulse {
		w.write(eid.Alive())
	}
	if w.broken {
		return errOut
	}
	return nil
}

// wait waits and shows meanwhile that the program lives.
func (w *watch) wait(ctx context.Context, d time.Duration) {
	w.beat()
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// session is one connection to PC/SC; the error is why it ended, nil when ctx did.
func (w *watch) session(ctx context.Context) error {
	if err := load(); err != nil {
		return fmt.Errorf("load PC/SC: %w", err)
	}
	pc, ret, err := goscard.NewContext(goscard.SCardScopeSystem, nil, nil)
	if err := failed(ret, err); err != nil {
		return fmt.Errorf("reach PC/SC: %w", err)
	}
	defer pc.Release()
	last := map[string]goscard.SCardState{}
	for ctx.Err() == nil {
		if err := w.beat(); err != nil {
			return err
		}
		names, ret, err := pc.ListReaders(nil)
		if err := failed(ret, err); err != nil && !errors.Is(err, code(noReadersPresent)) {
			return fmt.Errorf("list readers: %w", err)
		}
		if len(names) == 0 {
			w.tell(func(s *seats) []news { return s.clear() })
			w.trouble(eid.NoReader)
			clear(last)
			w.wait(ctx, look)
			continue
		}
		all, err := observe(pc, names, last)
		if err != nil {
			return fmt.Errorf("watch readers: %w", err)
		}
		for _, n := range w.tell(func(s *seats) []news { return s.look(time.Now(), all, w.next) }) {
			reader := n.event.Reader
			raw := names[slices.IndexFunc(names, func(name string) bool { return clean(name) == reader })]
			w.readings.Go(func() { w.reading(reader, raw, n.begin) })
		}
	}
	return nil
}

// next numbers a reading; mu is held.
func (w *watch) next() int {
	w.visits++
	return w.visits
}

// observe waits until something changes at a reader, at most look, and says how all stand. last keeps what PC/SC
// said of each.
func observe(pc goscard.Context, names []string, last map[string]goscard.SCardState) ([]seen, error) {
	for name := range last {
		if !slices.Contains(names, name) {
			delete(last, name)
		}
	}
	states := make([]goscard.SCardReaderState, len(names))
	for i, name := range names {
		// The name goes to C as it is: without this zero it would have no end.
		states[i] = goscard.SCardReaderState{Reader: name + "\x00", CurrentState: last[name]}
	}
	ret, err := pc.GetStatusChange(goscard.NewTimeout(look), states)
	switch err := failed(ret, err); {
	case errors.Is(err, code(timedOut)): // as it was
	case errors.Is(err, code(noSuchReader)), errors.Is(err, code(readerUnavailable)):
		// It left in between: the next list has it no more.
		<-time.After(look / 10)
	case err != nil:
		return nil, err
	default:
		for i, name := range names {
			last[name] = states[i].EventState &^ goscard.SCardStateChanged
		}
	}
	return standing(names, last), nil
}

// standing is how readers stand by what PC/SC said last. A reader of which it has said nothing yet is not there yet; one
// that it calls unknown or unavailable has left.
func standing(names []string, last map[string]goscard.SCardState) (all []seen) {
	for _, name := range names {
		state, said := last[name]
		reader := clean(name)
		if !said || state&(goscard.SCardStateUnknown|goscard.SCardStateUnavailable) != 0 || slices.ContainsFunc(all, func(x seen) bool { return x.reader == reader }) {
			continue
		}
		all = append(all, seen{
			reader: reader, present: state&goscard.SCardStatePresent != 0, mute: state&goscard.SCardStateMute != 0, changes: uint16(state >> 16),
		})
	}
	return all
}

// clean is a reader's name as it is passed on.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
	for len(name) > eid.MaxReaderName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name == "" {
		return "?"
	}
	return name
}
