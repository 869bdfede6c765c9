package eid

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

// asProgram makes the test binary play a card program: the word after it says which.
const asProgram = "-play-a-card-program"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == asProgram {
		os.Exit(play(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// play is a card program; dir is where it leaves traces.
func play(part, dir string) int {
	say := func(lines ...[]byte) { os.Stdout.Write(slices.Concat(lines...)) }
	untilAsked := func() { bufio.NewReader(os.Stdin).ReadByte() }
	reader := Event{Kind: ReaderPresent, Reader: "one"}.Encode()
	switch part {
	case "day":
		say(Hello(), Event{Kind: Troubled, Trouble: NoReader}.Encode(), Alive(), Event{Kind: Troubled, Trouble: NoReader}.Encode(), reader)
		say(Event{Kind: CardInserted, Reader: "one"}.Encode(), Event{Kind: CardRead, Reader: "one", Identity: someone()}.Encode())
		untilAsked()
		if err := os.WriteFile(filepath.Join(dir, "ended"), nil, 0o600); err != nil {
			return 4
		}
	case "fails":
		say(Hello(), reader, Event{Kind: CardInserted, Reader: "one"}.Encode())
		return 3
	case "silent":
		say(Hello())
		untilAsked()
	case "stuck": // neither speaks nor ends when asked
		say(Hello(), reader)
		<-time.After(time.Hour)
	case "mute":
		untilAsked()
	case "other version":
		say([]byte(`{"event":"hello","version":2}`+"\n"), reader)
		untilAsked()
	case "nonsense":
		say(Hello(), []byte(`{"event":"card-read","reader":"one","number":"80010100009"}`+"\n"))
		untilAsked()
	case "endless line":
		say(Hello(), bytes.Repeat([]byte("x"), 2*MaxLine))
		untilAsked()
	case "many readers":
		say(Hello())
		for i := range MaxReaders + 1 {
			say(Event{Kind: ReaderPresent, Reader: strings.Repeat("r", i+1)}.Encode())
		}
		untilAsked()
	}
	return 0
}

func someone() Identity {
	number, err := ledger.ParseNationalNumber(person.Number)
	if err != nil {
		panic(err)
	}
	return Identity{
		Number: number, Surname: person.Surname, FirstNames: person.FirstNames,
		ValidFrom: Date{2022, 2, 1}, ValidUntil: Date{2032, 2, 1}, Signature: ECDSAP384, Chip: ChipProven,
	}
}

// started is a watched card program.
type started struct {
	events <-chan Event
	stop   context.CancelFunc
	log    *bytes.Buffer
	dir    string
}

// watched starts a watcher whose program plays a part; the test reads its log after the channel has closed.
func watched(t *testing.T, part string, silence time.Duration) *started {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &started{stop: stop, log: new(bytes.Buffer), dir: t.TempDir()}
	s.events = watch(ctx, Options{Program: os.Args[0], Arguments: []string{asProgram, part, s.dir}, Logger: slog.New(slog.NewTextHandler(s.log, nil))}, silence)
	t.Cleanup(s.end)
	return s
}

func (s *started) end() {
	s.stop()
	for range s.events {
	}
}

// next is the next event, or a failure after a while.
func (s *started) next(t *testing.T) Event {
	t.Helper()
	select {
	case e, open := <-s.events:
		if !open {
			t.Fatal("no more events")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event within 20 s")
	}
	return Event{}
}

// expect compares the next events; identities by their holder.
func (s *started) expect(t *testing.T, want ...Event) {
	t.Helper()
	for i, w := range want {
		if got := s.next(t); got != w {
			t.Fatalf("event %d is %v %q %d, want %v %q %d", i, got.Kind, got.Reader, got.Trouble, w.Kind, w.Reader, w.Trouble)
		}
	}
}

var (
	failed = Event{Kind: Troubled, Trouble: ProgramFails}
	there  = Event{Kind: ReaderPresent, Reader: "one"}
	gone   = Event{Kind: ReaderGone, Reader: "one"}
)

func TestWatchTellsWhatHappensAndEndsTheProgram(t *testing.T) {
	s := watched(t, "day", maxSilence)
	s.expect(t, Event{Kind: Troubled, Trouble: NoReader}, there, Event{Kind: CardInserted, Reader: "one"}, Event{Kind: CardRead, Reader: "one", Identity: someone()})
	s.end()
	if _, err := os.Stat(filepath.Join(s.dir, "ended")); err != nil {
		t.Errorf("the program did not end by itself when it was asked: %v", err)
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log)
	}
}

func TestProgramThatFailsIsSaidOnceAndStartedAgain(t *testing.T) {
	s := watched(t, "fails", maxSilence)
	life := []Event{there, {Kind: CardInserted, Reader: "one"}, {Kind: CardRemoved, Reader: "one"}, gone, failed}
	s.expect(t, life...)
	s.expect(t, life...) // a reader was there in between, so the trouble is news
	s.end()
	if !strings.Contains(s.log.String(), "exit status 3") {
		t.Errorf("the log does not say why: %s", s.log)
	}
}

func TestBrokenProgramsAreEndedAndSaidOnce(t *testing.T) {
	for _, part := range []string{"silent", "mute", "other version", "nonsense", "endless line"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			s := watched(t, part, 200*time.Millisecond)
			s.expect(t, failed)
			select {
			case e := <-s.events:
				t.Errorf("said again: %v %d", e.Kind, e.Trouble)
			case <-time.After(1500 * time.Millisecond): // the second life has failed by then
			}
			s.end()
			if strings.Contains(s.log.String(), "80010100009") {
				t.Error("the log holds a number")
			}
		})
	}
}

func TestProgramThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	s := watched(t, "stuck", time.Minute)
	s.expect(t, there)
	s.end()
}

func TestReadersBeyondTheLimitAreAFault(t *testing.T) {
	s := watched(t, "many readers", maxSilence)
	for range MaxReaders {
		if e := s.next(t); e.Kind != ReaderPresent {
			t.Fatalf("%v", e.Kind)
		}
	}
	for range MaxReaders {
		if e := s.next(t); e.Kind != ReaderGone {
			t.Fatalf("%v", e.Kind)
		}
	}
	s.expect(t, failed)
}

func TestAbsentProgramIsSaidOnce(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"", filepath.Join(t.TempDir(), "pointage-card")} {
		ctx, stop := context.WithCancel(t.Context())
		s := &started{events: Watch(ctx, Options{Program: program}), stop: stop}
		s.expect(t, Event{Kind: Troubled, Trouble: NoProgram})
		select {
		case e := <-s.events:
			t.Errorf("said again: %v %d", e.Kind, e.Trouble)
		case <-time.After(firstPause + time.Second/2):
		}
		s.end()
	}
}

func TestCardProgramLiesBesideThisOne(t *testing.T) {
	path, err := Beside()
	if err != nil || filepath.Dir(path) != filepath.Dir(os.Args[0]) || filepath.Base(path) != "pointage-card" {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beside a test there is one: %v", err)
	}
}

func TestEventsSurviveTheWire(t *testing.T) {
	long := someone()
	long.Surname, long.FirstNames = strings.Repeat("<", maxSurname), strings.Repeat("&", maxFirstNames)
	for _, e := range []Event{
		there, gone, failed,
		{Kind: CardInserted, Reader: strings.Repeat("<", MaxReaderName)},
		{Kind: CardRemoved, Reader: "one"},
		{Kind: CardRead, Reader: "one", Identity: someone()},
		{Kind: CardRead, Reader: strings.Repeat("<", MaxReaderName), Identity: long},
		{Kind: Troubled, Reader: "one", Trouble: PulledOut},
		{Kind: Troubled, Trouble: NoService},
	} {
		text := e.Encode()
		if got, err := DecodeEvent(text[:len(text)-1]); err != nil || got != e || len(text) > MaxLine {
			t.Errorf("%v: %v, %d bytes", e.Kind, err, len(text))
		}
	}
}

func TestNonsenseLinesAreRefused(t *testing.T) {
	good := `"event":"card-read","reader":"r","number":"80010100008","surname":"X","from":"01.02.2022","until":"01.02.2032","signature":1,"chip":1`
	if _, err := DecodeEvent([]byte("{" + good + "}")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "{}", "[]", "null", "x", `{"event":"dance"}`, `{"event":"hello","version":1}`, `{"event":"alive"}`,
		`{"event":"reader-present"}`, `{"event":"reader-present","reader":"a\nb"}`, `{"event":"reader-present","reader":"` + strings.Repeat("x", MaxReaderName+1) + `"}`,
		`{"event":"reader-present","reader":"r","trouble":4}`, `{"event":"reader-present","reader":"r","surname":"X"}`,
		`{"event":"trouble"}`, `{"event":"trouble","trouble":99}`, `{"event":"trouble","trouble":12}`, `{"event":"trouble","trouble":-1}`, `{"event":"trouble","trouble":300}`,
		"{" + good + `,"address":"x"}`, "{" + good + "} {}", "{" + good + `,"trouble":12}`, "{" + strings.Replace(good, "08", "09", 1) + "}",
		"{" + strings.Replace(good, `"chip":1`, `"chip":0`, 1) + "}", "{" + strings.Replace(good, `"chip":1`, `"chip":3`, 1) + "}",
		"{" + strings.Replace(good, `"signature":1`, `"signature":4`, 1) + "}", "{" + strings.Replace(good, `"X"`, `"`+strings.Repeat("x", maxSurname+1)+`"`, 1) + "}",
		"{" + strings.Replace(good, `"r"`, `""`, 1) + "}", "{" + good + `,"first_names":"` + strings.Repeat("x", MaxLine) + `"}`,
	} {
		if e, err := DecodeEvent([]byte(text)); err == nil || e != (Event{}) {
			t.Errorf("%.60s: taken", text)
		} else if strings.Contains(err.Error(), "80010100008") {
			t.Error("the error holds a number")
		}
	}
}
