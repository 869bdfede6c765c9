package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// forget drops kinds from memory, as when they have outgrown it.
func (m *memory) forget(rng *rand.Rand, every int) {
	for i := range m.kinds {
		if every == 1 || rng.IntN(every) == 0 {
			m.kinds[i] = nil
		}
	}
}

// fill makes every answer of a filter a false one.
func (f *filter) fill() {
	for i := range f.bits {
		f.bits[i].Store(^uint64(0))
	}
}

func TestAnswersAreAlikeWhateverIsInMemory(t *testing.T) {
	for every := 1; every <= 1000; every *= 10 {
		t.Run(fmt.Sprint("one of ", every), func(t *testing.T) {
			sc, rng := newScript(t, 21, 300), rand.New(rand.NewPCG(uint64(every), 3))
			fs, at := vfs.NewMem(), 0
			for part := range 3 { // each opening has all in memory again
				s, err := Open("ledger", sc.Group, Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				end := len(sc.log) * (part + 1) / 3
				for ; at < end; at++ {
					s.end.memory.forget(rng, every)
					if every == 10 {
						s.filter.fill()
					}
					if got := s.Apply(sc.log[at].index, [][]byte{sc.log[at].bytes}); string(got[0]) != string(sc.replies[at]) {
						t.Fatalf("reply %d: %x, want %x", at, got[0], sc.replies[at])
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			sc.agrees(t, sc.open(t, Options{FS: fs}))
		})
	}
}

func TestMemoryHasWhatTheDatabaseHas(t *testing.T) {
	sc := newScript(t, 22, 300)
	s := sc.open(t, Options{})
	apply(s, sc.log, all, nil)
	loaded := newMemory()
	if err := loaded.load(s.db); err != nil {
		t.Fatal(err)
	}
	for i, k := range loaded.kinds {
		kept := s.end.memory.kinds[i]
		if (k == nil) != (kept == nil) {
			t.Fatalf("kind %c: in memory %t after loading, %t before", i, k != nil, kept != nil)
		}
		if k == nil {
			continue
		}
		if !slices.Equal(k.keys, kept.keys) || len(k.values) != len(kept.values) || k.size != kept.size {
			t.Errorf("kind %c: %d keys of %d bytes, want %d of %d", i, len(kept.values), kept.size, len(k.values), k.size)
		}
		for key, v := range k.values {
			if got, ok := kept.values[key]; !ok || string(got) != string(v) {
				t.Errorf("kind %c: key %x: %x, want %x", i, key, got, v)
			}
		}
	}
	for k := range pairs(t, s) {
		if k[0] == keyView && isLarge([]byte(k[1:])) && s.filter.lacks([]byte(k[1:])) {
			t.Errorf("the filter lacks key %x", k[1:])
		}
	}
	if !s.filter.lacks([]byte("a right that nobody used")) {
		t.Error("the filter has everything")
	}
	if len(loaded.kinds['p'].values) == 0 {
		t.Error("nothing waits: the day is too easy")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	for i := 0; m.kinds['s'] != nil; i++ {
		if i > maxKind {
			t.Fatal("grows for ever")
		}
		m.set(fmt.Sprintf("s%08d", i), make([]byte, 100))
	}
	m.set("s again", nil)
	m.set("x kept", []byte{1})
	if m.of([]byte("s")) != nil || m.of([]byte("x kept")) == nil {
		t.Error("one kind's size is another's")
	}
}
