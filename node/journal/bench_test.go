package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pointage/ledger/ledgertest"
)

// BenchmarkAppend is admissions made durable on two and three directories by 1 and 64 callers,
// and beside it, in turns, the bare write and fsync of the same bytes at the same places, record by
// record, until two have them: ratio is the journal's time over that of its disks alone,
// p99-ratio that of their 99th percentiles (of an append, and of a record).
func BenchmarkAppend(b *testing.B) {
	for _, media := range []int{2, 3} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("media=%d/callers=%d", media, callers), func(b *testing.B) { benchAppend(b, media, callers) })
		}
	}
}

func benchAppend(b *testing.B, media, callers int) {
	o := only(options(b, 90), []int{0, 1, 2}[:media]...)
	create(b, o)
	j := reopen(b, o)
	bare := newBare(b, o)
	var took, bareTook time.Duration
	var times, bareTimes []time.Duration
	records := 0
	b.ResetTimer()
	for left := b.N; left > 0; left -= min(left, benchTurn) {
		first := j.Behind(0)
		start := time.Now()
		times = append(times, appendAll(b, j, callers, min(left, benchTurn))...)
		took += time.Since(start)
		b.StopTimer()
		sizes := sizesFrom(b, j, first)
		for _, n := range sizes {
			t := bare.append(n)
			bareTimes, bareTook = append(bareTimes, t), bareTook+t
		}
		records += len(sizes)
		b.StartTimer()
	}
	b.StopTimer()
	closed(b, j)
	p99 := func(t []time.Duration) time.Duration { slices.Sort(t); return t[len(t)*99/100] }
	b.ReportMetric(float64(b.N)/float64(records), "statements/fsync")
	b.ReportMetric(float64(took)/float64(bareTook), "ratio")
	b.ReportMetric(float64(p99(times))/float64(p99(bareTimes)), "p99-ratio")
	b.ReportMetric(float64(p99(times))/1e6, "p99-ms")
	b.ReportMetric(float64(b.N)/took.Seconds(), "statements/s")
}

// benchTurn is how many appends the journal does before the bare disks have their turn.
const benchTurn = 2000

// appendAll appends n admissions and says how long each took.
func appendAll(b *testing.B, j *Journal, callers, n int) []time.Duration {
	times := make([]time.Duration, n)
	body := ledgertest.Admission(1)
	var next atomic.Int64
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				start := time.Now()
				if _, err := j.Append(context.Background(), body); err != nil {
					b.Error(err)
					return
				}
				times[i] = time.Since(start)
			}
		})
	}
	work.Wait()
	return times
}

func sizesFrom(b *testing.B, j *Journal, first int) (sizes []int) {
	b.Helper()
	for _, e := range j.chain[first:] { // nobody appends meanwhile
		sizes = append(sizes, int(e.at[j.media[0].member].n))
	}
	return sizes
}

// bare is the journal's places with nothing but write and fsync.
type bare struct {
	b     *testing.B
	files []chan int
	done  chan error
}

func newBare(b *testing.B, o Options) *bare {
	b.Helper()
	x := &bare{b: b, done: make(chan error, members)}
	var work sync.WaitGroup
	for _, m := range o.Media {
		if m.Path == "" {
			continue
		}
		f, err := os.Create(filepath.Join(m.Path, "bare"))
		if err != nil {
			b.Fatal(err)
		}
		todo := make(chan int, 1)
		x.files = append(x.files, todo)
		work.Go(func() {
			buf := make([]byte, maxFrame)
			for n := range todo {
				_, err := f.Write(buf[:n])
				x.done <- errors.Join(err, f.Sync())
			}
		})
		b.Cleanup(func() { f.Close() })
	}
	b.Cleanup(func() {
		for _, f := range x.files {
			close(f)
		}
		work.Wait()
	})
	return x
}

// append is how long n bytes take until two files have them.
func (x *bare) append(n int) time.Duration {
	start := time.Now()
	for _, f := range x.files {
		f <- n
	}
	for range x.files[:quorum] {
		if err := <-x.done; err != nil {
			x.b.Fatal(err)
		}
	}
	took := time.Since(start)
	for range x.files[quorum:] { // the third before the next: its record is not counted for this
		if err := <-x.done; err != nil {
			x.b.Fatal(err)
		}
	}
	return took
}

// BenchmarkOpen is opening with a day of 1,500 records on two media.
func BenchmarkOpen(b *testing.B) {
	o := only(options(b, 91), 0, 1)
	create(b, o)
	j := reopen(b, o)
	for i := range 1500 {
		appended1(b, j, count(i))
	}
	closed(b, j)
	for b.Loop() {
		j, err := Open(o)
		if err == nil {
			err = j.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
