package journal

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pointage/ledger"
)

func TestStatementsGatherWhileTheReaderIsBusy(t *testing.T) {
	o := options(t, 20)
	create(t, o)
	synctest.Test(t, func(t *testing.T) {
		j := reopen(t, o)
		appended1(t, j, count(0))
		if _, _, err := j.Next(context.Background(), j.Start()); err != nil {
			t.Fatal(err)
		}
		// The opening is on its way to the group and a count waits behind it.
		var work sync.WaitGroup
		batches := make([]*ledger.Batch, 20)
		for i := range batches {
			work.Go(func() { batches[i] = appended1(t, j, count(1+i)).Batch })
		}
		work.Wait()
		for _, b := range batches {
			if b != batches[0] {
				t.Errorf("batches of %d and %d statements", b.Header.Count, batches[0].Header.Count)
			}
		}
		closed(t, j)
	})
}

func TestNobodyWaitsForAReaderFarBehind(t *testing.T) {
	o := options(t, 21)
	create(t, o)
	synctest.Test(t, func(t *testing.T) {
		j := reopen(t, o)
		if _, _, err := j.Next(context.Background(), j.Start()); err != nil {
			t.Fatal(err)
		}
		for i := range paceTo {
			appended1(t, j, count(i))
		}
		start := time.Now()
		appended1(t, j, count(paceTo))
		if took := time.Since(start); took != 0 {
			t.Errorf("an append waited %v", took)
		}
		closed(t, j)
	})
}
