package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// BenchmarkAppend is admissions made durable on two directories by 1 and 64 callers, and beside
// it the bare write and fsync of the same bytes, record by record, on both directories at a
// time: ratio/bare is the journal's time over that of its disks alone.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(map[int]string{1: "callers=1", 64: "callers=64"}[callers], func(b *testing.B) { benchAppend(b, callers) })
	}
}

func benchAppend(b *testing.B, callers int) {
	o := only(options(b, 90), 0, 1)
	create(b, o)
	j := reopen(b, o)
	body := ledgertest.Admission(1)
	first := j.Behind(0)
	var next atomic.Int64
	var work sync.WaitGroup
	b.ResetTimer()
	for range callers {
		work.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := j.Append(context.Background(), body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	b.StopTimer()
	took := b.Elapsed()
	var sizes []int
	err := j.Replay(func(x *ledger.Batch, exact []ledger.Instant) error {
		sizes = append(sizes, frameLen(encodeBatchRecord(recorded{x, exact})))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	sizes = sizes[first:]
	closed(b, j)
	bare := bareAppends(b, sizes)
	b.ReportMetric(float64(b.N)/float64(len(sizes)), "statements/fsync")
	b.ReportMetric(float64(took)/float64(bare), "ratio/bare")
	b.ReportMetric(float64(b.N)/took.Seconds(), "statements/s")
}

// bareAppends is how long the same records take with nothing but write and fsync.
func bareAppends(b *testing.B, sizes []int) time.Duration {
	b.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	buf := make([]byte, slices.Max(sizes))
	start := time.Now()
	for _, n := range sizes {
		var both sync.WaitGroup
		for _, f := range files {
			both.Go(func() {
				if _, err := f.Write(buf[:n]); err != nil {
					b.Error(err)
				}
				if err := f.Sync(); err != nil {
					b.Error(err)
				}
			})
		}
		both.Wait()
	}
	return time.Since(start)
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
