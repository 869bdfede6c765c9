package rights

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// world is one state of a whole model in small numbers, whose meaning is the model's.
type world [10]uint32

// model is what a search goes through: all that can happen, within bounds.
type model interface {
	start() world
	// next calls visit for each place that is one step away, and says what the step was when it is
	// asked.
	next(p *world, visit func(q world, how step))
	// check says which promise is broken, empty for none.
	check(p *world) string
	// tell puts the step from p into words.
	tell(p *world, how step) string
}

// step names what happened, for tell.
type step struct {
	slot uint8
	kind kind
	arg  uint32
}

// result is what a search found.
type result struct {
	states, steps int64
	depth         int
	took          time.Duration
	// complete: every place within the bounds was seen.
	complete  bool
	violation string
	bad       world
}

// log says what a search did.
func (r result) log(t *testing.T, name string) {
	t.Helper()
	t.Logf("%-58s %11d states %12d steps, %3d deep, %8v, %.2f M states/s", name, r.states, r.steps, r.depth, r.took.Round(time.Millisecond), float64(r.states)/1e6/r.took.Seconds())
}

// seen is the set of places by 64-bit fingerprint. With n places the chance that two share one, so
// that one of them is passed over, is about n²/2⁶⁵: one in ten thousand for 60 million.
type seen struct {
	slots []uint64
	mask  uint64
	used  atomic.Int64 // as far as the workers have said
}

func newSeen(bits int) *seen { return &seen{slots: make([]uint64, 1<<bits), mask: 1<<bits - 1} }

// full says that there is little room left.
func (s *seen) full() bool { return s.used.Load() > int64(len(s.slots)/8*7) }

// add says whether the place is new.
func (s *seen) add(p *world) bool {
	h := p.fingerprint()
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		v := atomic.LoadUint64(&s.slots[i])
		if v == 0 {
			if atomic.CompareAndSwapUint64(&s.slots[i], 0, h) {
				return true
			}
			v = atomic.LoadUint64(&s.slots[i])
		}
		if v == h {
			return false
		}
	}
}

// has says whether the place was added.
func (s *seen) has(p *world) bool {
	h := p.fingerprint()
	for i := h & s.mask; ; i = (i + 1) & s.mask {
		switch atomic.LoadUint64(&s.slots[i]) {
		case 0:
			return false
		case h:
			return true
		}
	}
}

func (p *world) fingerprint() uint64 {
	h := uint64(0x243f6a8885a308d3)
	for i := 0; i < len(p); i += 2 {
		h ^= uint64(p[i]) | uint64(p[i+1])<<32
		h *= 0xff51afd7ed558ccd
		h ^= h >> 32
		h *= 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return max(h, 1)
}

// search visits every place of the model, nearest first and on all cores, until a promise is
// broken or the table of 2^bits fingerprints is too full.
func search(m model, bits int) (r result) {
	began := time.Now()
	all, first := newSeen(bits), m.start()
	all.add(&first)
	r.states, r.violation, r.bad = 1, m.check(&first), first
	level := []world{first}
	for len(level) > 0 && r.violation == "" && !all.full() {
		r.depth++
		l := &layer{m: m, all: all, from: level}
		level = l.expand()
		r.states += int64(len(level))
		r.steps += l.steps.Load()
		r.violation, r.bad = l.violation, l.bad
	}
	r.complete, r.took = len(level) == 0 && r.violation == "" && !all.full(), time.Since(began)
	return r
}

// layer is one level of a search.
type layer struct {
	m     model
	all   *seen
	from  []world
	taken atomic.Int64
	steps atomic.Int64

	mu        sync.Mutex
	violation string
	bad       world
	stop      atomic.Bool
}

const share = 512 // places that a worker takes at a time

func (l *layer) expand() []world {
	outs := make([][]world, runtime.GOMAXPROCS(0))
	var work sync.WaitGroup
	for w := range outs {
		work.Go(func() { outs[w] = l.work() })
	}
	work.Wait()
	n := 0
	for _, o := range outs {
		n += len(o)
	}
	next := make([]world, 0, n)
	for w, o := range outs {
		next, outs[w] = append(next, o...), nil
	}
	return next
}

func (l *layer) work() (out []world) {
	steps := int64(0)
	visit := func(q world, _ step) {
		steps++
		if !l.all.add(&q) {
			return
		}
		out = append(out, q)
		if why := l.m.check(&q); why != "" {
			l.broken(why, q)
		}
	}
	for !l.stop.Load() && !l.all.full() {
		known := len(out)
		lo := l.taken.Add(share) - share
		if lo >= int64(len(l.from)) {
			break
		}
		for i := lo; i < min(lo+share, int64(len(l.from))); i++ {
			l.m.next(&l.from[i], visit)
		}
		l.all.used.Add(int64(len(out) - known))
	}
	l.steps.Add(steps)
	return out
}

func (l *layer) broken(why string, p world) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.violation == "" {
		l.violation, l.bad = why, p
	}
	l.stop.Store(true)
}

// maxTraced is how many places a trace remembers.
const maxTraced = 4_000_000

// trace is a shortest way to a place, in words.
func trace(m model, to world) string {
	type came struct {
		from world
		by   step
	}
	first := m.start()
	how, queue := map[world]came{first: {}}, []world{first}
	for len(queue) > 0 && len(how) < maxTraced {
		p := queue[0]
		queue = queue[1:]
		if p == to {
			var words []string
			for p != first {
				c := how[p]
				words, p = append(words, m.tell(&c.from, c.by)), c.from
			}
			for i, j := 0, len(words)-1; i < j; i, j = i+1, j-1 {
				words[i], words[j] = words[j], words[i]
			}
			return "  " + strings.Join(words, "\n  ")
		}
		m.next(&p, func(q world, by step) {
			if _, known := how[q]; !known {
				how[q] = came{p, by}
				queue = append(queue, q)
			}
		})
	}
	return fmt.Sprintf("  (more than %d states away)", len(how))
}

// peak is the most memory that this process has had, in MiB.
func peak(t *testing.T) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss >> 10
}

// memo remembers what keys lead to: many read while one writes. A key is never 0, a value never
// changes.
type memo[V any] struct {
	now  atomic.Pointer[cells[V]]
	used int // the writer's
}

type cells[V any] struct {
	keys   []atomic.Uint64
	values []*V
}

func newMemo[V any]() *memo[V] {
	x := &memo[V]{}
	x.now.Store(newCells[V](1 << 12))
	return x
}

func newCells[V any](n int) *cells[V] {
	return &cells[V]{keys: make([]atomic.Uint64, n), values: make([]*V, n)}
}

// find is the place of a key, or the free one where it would be.
func (c *cells[V]) find(key uint64) (at int, there bool) {
	h := key * 0x9e3779b97f4a7c15
	for i := int(h^h>>32) & (len(c.keys) - 1); ; i = (i + 1) & (len(c.keys) - 1) {
		switch c.keys[i].Load() {
		case key:
			return i, true
		case 0:
			return i, false
		}
	}
}

func (x *memo[V]) get(key uint64) (v *V, ok bool) {
	c := x.now.Load()
	if i, there := c.find(key); there {
		return c.values[i], true
	}
	return nil, false
}

// put is for one writer at a time; the key must be new.
func (x *memo[V]) put(key uint64, v V) *V {
	c := x.now.Load()
	if x.used++; x.used > len(c.keys)/2 {
		larger := newCells[V](2 * len(c.keys))
		for i := range c.keys {
			if k := c.keys[i].Load(); k != 0 {
				larger.put(k, c.values[i])
			}
		}
		c = larger
		x.now.Store(c)
	}
	c.put(key, &v)
	return &v
}

func (c *cells[V]) put(key uint64, v *V) {
	i, _ := c.find(key)
	c.values[i] = v
	c.keys[i].Store(key)
}
